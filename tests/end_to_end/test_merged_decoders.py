"""Merged decoders: both forms behind one If. First calls know beginnings, whichever branch earlier calls took."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from oldest import OLDEST
from sequences import Array, Counts, Feed, feed_of, next_tokens, options

import actcache
from actcache.errors import UnsupportedAudit
from actcache.inspection.explain_miss import explain_inputs
from actcache.inspection.logged_miss import explain_recorded
from actcache.inspection.model_diff import diff_models
from actcache.inspection.regions import inspect_model
from actcache.model.samples import save_sample
from actcache.passes.rewrite.inline_regions import inline_regions
from actcache.replay.replay import replay_audit
from benchmarks.decoders import Decoder
from benchmarks.merged_decoders import CONDITION, merged_decoder

SIZES = Decoder(past=True, padding=True, position_ids=True, rotary=True, groups=2)
#: Weights: one that a node of the main graph reads, too, and one that only the branches read.
AROUND, INSIDE = "h0.mlp.c_fc.weight", "h0.mlp.c_proj.weight"
NOTHING = Counts(0, 0)
_NUMBERS = itertools.count()


@dataclass
class Merged:
    """A merged decoder and what was compiled of it."""

    folder: Path
    result: actcache.CompileResult

    @property
    def original(self) -> Path:
        return self.folder / "merged.onnx"

    @property
    def compiled(self) -> Path:
        return self.result.output


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Merged:
    folder = tmp_path_factory.mktemp("merged")
    model = merged_decoder(SIZES)
    model.graph.node.insert(0, onnx.helper.make_node("Neg", [AROUND], ["nobody reads it"]))
    onnx.save_model(model, folder / "merged.onnx")
    asked: dict[str, Any] = {"granularity": "prefix", "min_saving": 0}
    asked |= {"account_output": "reused", "control_input": "cache"}
    result = actcache.compile_model(folder / "merged.onnx", folder / "compiled.onnx", **asked)
    return Merged(folder, result)


class Pair:
    """A session of each model; every call is made by both."""

    def __init__(self, merged: Merged) -> None:
        made = options()
        made.add_session_config_entry("actcache.namespace", f"merged{next(_NUMBERS)}")
        made.register_custom_ops_library(actcache.library_path())
        self.plain = ort.InferenceSession(str(merged.original), options(), providers=["CPUExecutionProvider"])
        self.session = ort.InferenceSession(str(merged.compiled), made, providers=["CPUExecutionProvider"])

    def call(self, feed: Feed, *, cached: bool) -> tuple[list[Array], Counts]:
        """Make a call; hold all outputs to the original's."""
        feed = {**feed, CONDITION: np.array([cached])}
        expected = self.plain.run(None, feed)
        *given, reused = self.session.run(None, feed)
        for mine, other in zip(given, expected, strict=True):
            assert mine.shape == other.shape
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)
        hits, misses, _ = reused.sum(0)
        return expected, Counts(int(hits), int(misses))

    def first(self, ids: Array, dummies: int = 0) -> tuple[list[Array], Counts]:
        """Make the first call of a sequence, with a past of `dummies` positions that nobody reads."""
        feed = feed_of(SIZES, ids)
        for name, array in feed.items():
            if name.startswith("past_key_values"):
                feed[name] = np.ones((*array.shape[:2], dummies, array.shape[3]), np.float32)
        return self.call(feed, cached=False)

    def later(self, ids: Array, past: list[Array]) -> tuple[list[Array], Counts]:
        """Make a call behind others."""
        return self.call(feed_of(SIZES, ids, past), cached=True)


def ids_of(rows: int, length: int, seed: int) -> Array:
    return np.random.default_rng(seed).integers(0, SIZES.vocabulary, (rows, length))


def test_both_branches_are_cached_by_prefixes_and_the_report_tells_them_apart(merged: Merged) -> None:
    regions = {region["id"]: region for region in inspect_model(merged.compiled)["regions"]}
    assert list(regions) == ["merged.then", "merged.else"]
    assert {region["granularity"] for region in regions.values()} == {"prefix"}
    assert regions["merged.else"]["branch"] == {"condition": CONDITION, "taken_if": False}
    assert regions["merged.else"]["cone"] == ["attention_mask", "input_ids", "position_ids"]
    assert regions["merged.then"]["branch"] == {"condition": CONDITION, "taken_if": True}
    assert "past_key_values.0.key" in regions["merged.then"]["cone"]
    causal = [line for line in merged.result.explain if "is causal along" in line]
    assert [("merged.then" in line, "merged.else" in line) for line in causal] == [(True, False), (False, True)]
    heads = [line for line in merged.result.explain if line.startswith("the ") and line.endswith(":")]
    assert [head.rpartition(" ")[2] for head in heads] == ["true:", "false:"]
    assert merged.result.verify is not None and merged.result.verify.failure is None


def test_first_calls_go_on_from_what_they_share_and_later_ones_pass(merged: Merged) -> None:
    pair = Pair(merged)
    prompt = ids_of(1, 9, 0)
    assert pair.first(prompt)[1] == Counts(0, 9)
    assert pair.first(prompt, dummies=1)[1] == Counts(9, 0)
    longer = np.concatenate([prompt, ids_of(1, 4, 1)], 1)
    results, counts = pair.first(longer)
    assert counts == Counts(9, 4)
    for _ in range(4):
        results, counts = pair.later(next_tokens(results[0]), results[1:])
        assert counts == NOTHING
    assert pair.first(longer)[1] == Counts(13, 0)


def test_calls_in_any_order_are_the_originals(merged: Merged) -> None:
    pair, random = Pair(merged), np.random.default_rng(3)
    shared = ids_of(3, 6, 4)
    states: list[tuple[Array, list[Array]]] = []
    found = 0
    for step in range(40):
        rows = int(random.integers(1, 4))
        if not states or random.random() < 0.5:
            ids = np.concatenate([shared[:rows], ids_of(rows, int(random.integers(1, 4)), step % 5)], 1)
            results, counts = pair.first(ids, dummies=int(random.integers(0, 3)))
            found += counts.hits
        elif random.random() < 0.2:
            results, _ = pair.later(ids_of(rows, 5, step), [])  # an empty past
        else:
            tokens, past = states[int(random.integers(len(states)))]
            results, counts = pair.later(tokens, past)
            assert counts == NOTHING
        states.append((next_tokens(results[0]), results[1:]))
    assert found > 100


def test_a_call_steers_the_regions_of_its_branch(merged: Merged) -> None:
    pair, ids = Pair(merged), ids_of(1, 6, 8)
    pair.first(ids)
    for flag, row in ((False, 1), (True, 0)):
        feed = {**feed_of(SIZES, ids), CONDITION: np.array([flag]), "cache": np.array("bypass")}
        reused = pair.session.run(["reused"], feed)[0]
        assert reused[row].tolist() == [0, 0, 6] and not reused[1 - row].any()


def test_a_compiled_model_is_taken_apart_again(merged: Merged) -> None:
    proto = onnx.load_model(merged.compiled)
    assert inline_regions(proto) and "ai.actcache" not in proto.SerializeToString().decode("latin-1")
    onnx.checker.check_model(proto)
    again = ort.InferenceSession(proto.SerializeToString(), options(), providers=["CPUExecutionProvider"])
    plain = ort.InferenceSession(str(merged.original), options(), providers=["CPUExecutionProvider"])
    assert [v.name for v in again.get_outputs()] == [v.name for v in plain.get_outputs()]
    assert [v.name for v in again.get_inputs()] == [v.name for v in plain.get_inputs()]
    feed = feed_of(SIZES, ids_of(2, 5, 0))
    for flag in (True, False):
        call = {**feed, CONDITION: np.array([flag])}
        for mine, other in zip(again.run(None, call), plain.run(None, call), strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("name", [AROUND, INSIDE])
def test_weights_of_a_session_are_part_of_the_keys(merged: Merged, name: str) -> None:
    """A session that replaces one looks at no entries of sessions that do not."""
    original, compiled = merged.original, merged.compiled
    main = {tensor.name for tensor in onnx.load_model(compiled).graph.initializer}
    assert (name in main) == (name == AROUND)
    (weight,) = (tensor for tensor in onnx.load_model(original).graph.initializer if tensor.name == name)
    feed = {**feed_of(SIZES, ids_of(1, 6, 11)), CONDITION: np.array([False])}
    compared = []
    for factor in (1, 2, 1, 2):
        value = ort.OrtValue.ortvalue_from_numpy(onnx.numpy_helper.to_array(weight) * np.float32(factor))
        answers = []
        for path in (original, compiled):
            made = options()
            made.add_session_config_entry("actcache.namespace", f"weights {name}")
            made.register_custom_ops_library(actcache.library_path())
            made.add_initializer(name, value)
            before = compared_rows()
            answers.append(ort.InferenceSession(str(path), made, providers=["CPUExecutionProvider"]).run(None, feed))
        compared.append(compared_rows() - before)
        np.testing.assert_allclose(answers[1][0], answers[0][0], rtol=0, atol=1e-5)
    assert compared == [0, 0, 6, 6]


def compared_rows() -> int:
    """How many positions were compared with those that another session had computed."""
    found: int = actcache.stats()["regions"].get("merged.else", {"compared": 0})["compared"]
    return found


@pytest.fixture
def calls(tmp_path: Path) -> list[Path]:
    ids = ids_of(1, 6, 12)
    feeds = [feed_of(SIZES, ids), feed_of(SIZES, np.concatenate([ids, ids_of(1, 2, 13)], 1))]
    flagged = [(feeds[0], False), (feeds[1], False), (feeds[1], True)]
    return [
        save_sample(tmp_path / f"call{i}.npz", {**feed, CONDITION: np.array([flag])})
        for i, (feed, flag) in enumerate(flagged)
    ]


#: First calls, a longer one, and one with a past, in plain onnxruntime; prints how many positions each found.
OLDEST_PROGRAM = """
import sys
import numpy as np
import onnxruntime as ort

library, original, compiled, *calls = sys.argv[1:]
options = ort.SessionOptions()
options.register_custom_ops_library(library)
plain = ort.InferenceSession(original, providers=["CPUExecutionProvider"])
session = ort.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])
for call in (calls[0], calls[1], calls[2], calls[0]):
    feed = dict(np.load(call))
    expected = plain.run(None, feed)
    *given, reused = session.run(None, feed)
    assert all(np.allclose(mine, other, rtol=0, atol=1e-5) for mine, other in zip(given, expected))
    print(reused[:, 0].sum(), end=" ")
print(ort.__version__)
"""


@pytest.mark.skipif(not OLDEST.exists(), reason="make test prepares the oldest onnxruntime")
def test_the_oldest_onnxruntime_takes_operators_in_branches(merged: Merged, calls: list[Path]) -> None:
    files = [actcache.library_path(), merged.original, merged.compiled, *calls]
    command = [str(OLDEST), "-c", OLDEST_PROGRAM, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "6", "0", "6", "1.18.1"]


def test_why_a_position_is_known_or_not_asked_for(merged: Merged, calls: list[Path]) -> None:
    first, second, other = calls
    found = explain_inputs(merged.compiled, first, second)
    assert [(why.region, why.outcome) for why in found] == [("merged.then", "not asked"), ("merged.else", "miss")]
    assert "6 of its 8 positions" in found[1].text
    found = explain_inputs(merged.compiled, first, other)
    assert [(why.region, why.outcome, why.reason) for why in found] == [
        ("merged.then", "miss", "branch"), ("merged.else", "not asked", "branch"),
    ]  # fmt: skip


def test_a_log_tells_what_became_of_a_call_and_cannot_be_replayed(
    merged: Merged, calls: list[Path], tmp_path: Path
) -> None:
    pair, log, ids = Pair(merged), tmp_path / "audit.jsonl", ids_of(1, 6, 12)
    actcache.configure(audit_path=str(log))
    try:
        pair.first(ids)
        pair.first(np.concatenate([ids, ids_of(1, 2, 13)], 1))
    finally:
        actcache.configure(audit_path="")
    records, found = explain_recorded(merged.compiled, calls[1], log)
    assert [(why.region, why.outcome) for why in records] == [("merged.then", "not asked"), ("merged.else", "miss")]
    assert list(found) == ["merged.else"] and "6 of its 8 positions" in records[1].text
    with pytest.raises(UnsupportedAudit, match="does not say which branch each call took"):
        replay_audit(log, merged.compiled, [])


def test_a_model_shares_everything_with_itself(merged: Merged) -> None:
    answer: dict[str, Any] = diff_models(merged.compiled, merged.compiled)
    assert answer["shared"] and len(answer["regions"]) == 2
