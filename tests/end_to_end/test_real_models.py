"""Real models, compiled without options and run in plain onnxruntime, in every state that the cache can be in."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import actcache
from models import MODELS, Feed, feed
from models.fetch import fetch

ROW_MODELS = {
    "open_nsfw_resnet": {},
    "paraphrase_minilm_l3": {"size": 24},
    "minilm_l6_int8": {"size": 24},
    "rapidocr_rec_v6s": {"size": 160},
    "rapidocr_cls_v2": {},
    "magika_v3_3": {},
    "silero_vad": {},
    "vit_s_focus": {},
    "rapidocr_det_v6s": {"size": 160},
}
TENSOR_MODELS = {"flan_t5_small_enc_int8": {"size": 24}}
#: Largest difference to the original, relative to the largest magnitude (facts: batch sizes alone move it by 1e-5).
TOLERANCE = 1e-4
_SEEDS = itertools.count(1)


@dataclass
class Compiled:
    """A catalogue model, the model made of it, and a session for each."""

    name: str
    folder: Path
    size: dict[str, int] = field(default_factory=dict)

    @cached_property
    def result(self) -> actcache.CompileResult:
        sample = feed(self.name, 3, seed=0, **self.size)
        granularity = "row" if self.name in ROW_MODELS else "auto"  # of a busy machine, too
        return actcache.compile_model(
            fetch(self.name), self.folder / f"{self.name}.onnx", samples=[sample], granularity=granularity
        )

    @cached_property
    def original(self) -> ort.InferenceSession:
        return ort.InferenceSession(str(fetch(self.name)), providers=["CPUExecutionProvider"])

    @cached_property
    def session(self) -> ort.InferenceSession:
        return self.new_session()

    def new_session(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.register_custom_ops_library(actcache.library_path())
        return ort.InferenceSession(str(self.result.output), options, providers=["CPUExecutionProvider"])

    @property
    def axes(self) -> dict[str, int]:
        region = self.result.regions[-1].candidate
        return dict(region.row_axes)

    def fresh(self, rows: int, size: dict[str, int] | None = None) -> Feed:
        """Rows that this process has not used yet."""
        return feed(self.name, rows, seed=next(_SEEDS), **(self.size if size is None else size))

    def take(self, full: Feed, rows: list[int]) -> Feed:
        return {n: np.take(a, rows, self.axes[n]) if n in self.axes else a for n, a in full.items()}

    def join(self, one: Feed, two: Feed) -> Feed:
        return {n: np.concatenate([a, two[n]], self.axes[n]) if n in self.axes else a for n, a in one.items()}

    def counts(self, given: Feed) -> tuple[list[np.ndarray], int, int]:
        """Run the compiled model; return its outputs and how many rows hit and missed."""
        before = self.statistics()
        outputs = self.session.run(None, given)
        after = self.statistics()
        for one in (before, after):
            assert one["lookups"] == one["hits"] + one["misses"] + one["bypassed"]
        return outputs, after["hits"] - before["hits"], after["misses"] - before["misses"]

    def statistics(self) -> dict[str, int]:
        # Other tests may have compiled the same region into a model of another name: one more entry here.
        fingerprint = self.result.regions[-1].fingerprint
        found = [r for r in actcache.stats()["regions"].values() if r["fingerprint"] == fingerprint]
        return {name: sum(r[name] for r in found) for name in ("lookups", "hits", "misses", "bypassed")}

    def check(self, given: Feed, hits: int, misses: int) -> list[np.ndarray]:
        """Run both; the outputs agree, and so many rows hit and missed."""
        outputs, hit, missed = self.counts(given)
        assert_close(outputs, self.original.run(None, given))
        assert (hit, missed) == (hits, misses)
        return outputs


def assert_close(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for mine, original in zip(got, expected, strict=True):
        assert mine.shape == original.shape and mine.dtype == original.dtype
        scale = max(1.0, float(np.abs(original).max(initial=0.0)))
        assert float(np.abs(mine - original).max(initial=0.0)) <= TOLERANCE * scale


def assert_same(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for mine, original in zip(got, expected, strict=True):
        assert mine.shape == original.shape and mine.tobytes() == original.tobytes()


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    name = request.param
    size = {**ROW_MODELS, **TENSOR_MODELS}[name]
    return Compiled(name, tmp_path_factory.mktemp("compiled"), size)


rows_only = pytest.mark.parametrize("compiled", ROW_MODELS, indirect=True)
one_text_model = pytest.mark.parametrize("compiled", ["paraphrase_minilm_l3"], indirect=True)


@rows_only
def test_rows_are_proven_and_verified(compiled: Compiled) -> None:
    region = compiled.result.regions[-1]
    assert region.candidate.region.granularity == "row"
    assert region.candidate.time_share > 0.8
    assert compiled.result.verify is not None and compiled.result.verify.cases > 0


@rows_only
def test_cold_then_warm(compiled: Compiled) -> None:
    batch = compiled.fresh(3)
    cold = compiled.check(batch, hits=0, misses=3)
    warm = compiled.check(batch, hits=3, misses=0)
    assert_same(warm, cold)


@rows_only
def test_permuted_and_single_rows_hit(compiled: Compiled) -> None:
    batch = compiled.fresh(3)
    compiled.check(batch, hits=0, misses=3)
    compiled.check(compiled.take(batch, [2, 0, 1]), hits=3, misses=0)
    compiled.check(compiled.take(batch, [1]), hits=1, misses=0)


@rows_only
def test_partly_warm(compiled: Compiled) -> None:
    seen, new = compiled.fresh(2), compiled.fresh(2)
    compiled.check(seen, hits=0, misses=2)
    mixed = compiled.take(compiled.join(seen, new), [2, 0, 3, 1])
    compiled.check(mixed, hits=2, misses=2)


@rows_only
def test_equal_rows_of_a_batch_are_computed_once(compiled: Compiled) -> None:
    batch = compiled.fresh(2)
    compiled.check(compiled.take(batch, [0, 1, 0, 0]), hits=2, misses=2)


@rows_only
def test_one_row(compiled: Compiled) -> None:
    row = compiled.fresh(1)
    cold = compiled.check(row, hits=0, misses=1)
    assert_same(compiled.check(row, hits=1, misses=0), cold)


@rows_only
def test_no_rows(compiled: Compiled) -> None:
    empty = compiled.take(compiled.fresh(1), [])
    behaviour = MODELS[compiled.name].zero_rows
    if behaviour == "runs":
        compiled.check(empty, hits=0, misses=0)
    elif behaviour == "fails":
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever onnxruntime raises for the original
            compiled.session.run(None, empty)
    compiled.check(compiled.fresh(1), hits=0, misses=1)


@pytest.mark.parametrize("compiled", TENSOR_MODELS, indirect=True)
def test_coupled_rows_are_cached_whole(compiled: Compiled) -> None:
    region = compiled.result.regions[-1].candidate.region
    assert region.granularity == "tensor"
    assert any("DynamicQuantizeLinear" in str(refusal) for refusal in compiled.result.refusals)
    batch, other = compiled.fresh(3), compiled.fresh(3)
    cold = compiled.check(batch, hits=0, misses=1)
    compiled.check(other, hits=0, misses=1)
    assert_same(compiled.check(batch, hits=1, misses=0), cold)


@one_text_model
def test_sequence_lengths_are_kept_apart(compiled: Compiled) -> None:
    short, long = compiled.fresh(2, {"size": 16}), compiled.fresh(2, {"size": 40})
    for batch in (short, long):
        compiled.check(batch, hits=0, misses=2)
    for batch in (long, short):
        compiled.check(batch, hits=2, misses=0)


@one_text_model
def test_two_sessions_share_what_they_know(compiled: Compiled) -> None:
    batch = compiled.fresh(2)
    cold = compiled.new_session().run(None, batch)
    compiled.check(batch, hits=0, misses=2)  # what another session stored is computed once more, to be compared
    assert_same(compiled.check(batch, hits=2, misses=0), cold)


@one_text_model
def test_eight_threads_on_one_session(compiled: Compiled) -> None:
    pool = compiled.fresh(12)
    expected = compiled.original.run(None, pool)
    problems: list[BaseException] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        try:
            for _ in range(12):
                rows = generator.integers(0, 12, 4).tolist()
                got = compiled.session.run(None, compiled.take(pool, rows))
                assert_close(got, [np.take(e, rows, 0) for e in expected])
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    final = compiled.statistics()
    assert final["lookups"] == final["hits"] + final["misses"] + final["bypassed"]


@one_text_model
def test_a_compiled_model_compiles_to_an_equivalent_one(compiled: Compiled, tmp_path: Path) -> None:
    sample = feed(compiled.name, 3, seed=0, **compiled.size)
    again = actcache.compile_model(compiled.result.output, tmp_path / "again.onnx", samples=[sample])
    one, two = again.regions[-1].candidate, compiled.result.regions[-1].candidate
    assert (one.cone, one.region.frontier, one.region.granularity) == (
        two.cone,
        two.region.frontier,
        two.region.granularity,
    )
    assert again.notes and "compiled before" in again.notes[0]
    batch = compiled.fresh(2)
    expected = compiled.session.run(None, batch)
    options = ort.SessionOptions()
    actcache.register(options)
    assert_same(ort.InferenceSession(str(again.output), options).run(None, batch), expected)
