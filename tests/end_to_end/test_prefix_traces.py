"""What a trace predicts for prefixes is what comes when its calls are made; and so does the curve of their log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from recurrent_models import recurrent_model
from sequences import Array, Feed, feed_of

import actcache
from actcache.errors import NothingToCache
from actcache.passes.choice.prediction import RegionUse
from actcache.report.page import write_report
from benchmarks.decoders import Decoder

SMALL = Decoder(padding=True)


@pytest.fixture(autouse=True)
def without_bypass() -> Iterator[None]:
    """Every call is looked up, and everything is stored the first time."""
    actcache.configure(bypass="off")
    yield
    actcache.configure(bypass=None, budget_bytes=None, audit_path="")
    actcache.invalidate()


def requests(count: int, seed: int = 0) -> list[Array]:
    """Tokens of requests: one of three documents, three words more each, now and then in twos; some go on."""
    random = np.random.default_rng(seed)
    documents = random.integers(0, 61, (3, 14))
    found: list[Array] = []
    for number in range(count):
        if number % 5 == 4:
            found.append(np.concatenate([found[-1], random.integers(0, 61, (len(found[-1]), 1))], 1))
            continue
        chosen = documents[random.integers(0, 3, 2 if number % 7 == 3 else 1)]
        found.append(np.concatenate([chosen, random.integers(0, 61, (len(chosen), 3))], 1))
    return found


def padded(feed: Feed) -> Feed:
    """The call with its first position closed: it is computed without the cache."""
    mask = feed["attention_mask"].copy()
    mask[:, 0] = 0
    return {**feed, "attention_mask": mask}


def saved(feeds: Sequence[Feed], folder: Path) -> Path:
    folder.mkdir()
    for number, feed in enumerate(feeds):
        actcache.save_sample(folder / f"{number}.npz", feed)
    return folder


@dataclass(frozen=True)
class Predicted:
    """A model that was compiled by a trace, and what was predicted of the first half of its calls, `feeds`."""

    model: Path
    feeds: Sequence[Feed]
    use: RegionUse
    region: str


def predicted(model: onnx.ModelProto, feeds: Sequence[Feed], folder: Path, budget: int = 1 << 30) -> Predicted:
    """Compile by a trace."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{folder.name}.onnx"
    onnx.save_model(model, path)
    calls = saved(feeds, folder / "calls")
    result = actcache.compile_model(
        path, trace=[calls], granularity="prefix", min_saving=0.0, budget_bytes=budget, verify=False
    )
    considered = result.considered[-1]
    assert considered.use is not None and considered.candidate.region.granularity == "prefix"
    assert result.trace is not None and result.trace.predicted is not None
    return Predicted(result.output, feeds[: len(feeds) // 2], considered.use, considered.candidate.region.id)


def made(by: Predicted, budget: int = 1 << 30) -> tuple[int, int]:
    """Make the calls from an empty store; return how many positions were looked up, and how many were computed."""
    actcache.configure(budget_bytes=budget)
    actcache.invalidate()
    session = actcache.InferenceSession(str(by.model))
    before = actcache.stats()["regions"][by.region]
    for feed in by.feeds:
        session.run(None, feed)
    after = actcache.stats()["regions"][by.region]
    return after["lookups"] - before["lookups"], after["misses"] - before["misses"]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Predicted:
    """With room for everything; one call is computed without the cache."""
    feeds = [feed_of(SMALL, ids) for ids in requests(60)]
    feeds[6] = padded(feeds[6])
    return predicted(SMALL.model(), feeds, tmp_path_factory.mktemp("traced"))


def test_what_a_trace_predicts_comes_about(decoder: Predicted) -> None:
    assert 0.2 < decoder.use.reuse < 0.9
    assert (decoder.use.lookups, decoder.use.computed) == made(decoder)


def test_so_does_what_it_predicts_of_a_small_store(decoder: Predicted, tmp_path: Path) -> None:
    budget = 30_000
    feeds = [*decoder.feeds, *decoder.feeds]  # of which the first half counts
    small = predicted(SMALL.model(), feeds, tmp_path / "small", budget)
    lookups, computed = made(small, budget)
    assert small.use.lookups == lookups
    assert 0.05 < small.use.reuse < decoder.use.reuse - 0.05
    # What is worth keeping depends on times that were measured for each call; a prediction knows their mean.
    assert small.use.reuse == pytest.approx(1 - computed / lookups, abs=0.12)


def test_calls_go_on_where_earlier_ones_ended(tmp_path: Path) -> None:
    lstm = predicted(recurrent_model(), [{"ids": ids % 40} for ids in requests(40)], tmp_path / "lstm")
    assert 0.1 < lstm.use.reuse < 0.9
    assert (lstm.use.lookups, lstm.use.computed) == made(lstm)


def test_nothing_is_predicted_where_no_call_begins_as_another(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save_model(Decoder(width=64).model(), path)
    tokens = np.random.default_rng(0).permutation(61)
    calls = saved([{"input_ids": np.roll(tokens, -n)[None, :12]} for n in range(16)], tmp_path / "calls")
    with pytest.raises(NothingToCache) as refused:
        actcache.compile_model(path, trace=[calls], granularity="prefix")
    reasons = {refusal.rule: refusal.reason for refusal in refused.value.refusals}
    assert reasons["never-repeats"] == "no call of the trace begins as an earlier one does, in input_ids"


def test_the_curve_of_their_log_is_what_they_did(decoder: Predicted, tmp_path: Path) -> None:
    actcache.configure(audit_path=str(tmp_path / "audit.jsonl"))
    lookups, computed = made(decoder)
    actcache.configure(audit_path="")
    facts = write_report(tmp_path / "audit.jsonl", tmp_path / "report.html", budget_bytes=30_000)
    assert facts.curve is not None and facts.curve.complete
    assert facts.curve.points[-1].reuse == pytest.approx(1 - computed / lookups, abs=1e-9)
    assert facts.here is not None and 0 < facts.here.reuse < facts.curve.points[-1].reuse
