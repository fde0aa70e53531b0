"""Models whose inputs do not repeat together: the part that depends on one of them is found, and hits whenever that
one repeats, whatever the others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import composed
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from two_texts import CANDIDATE, QUERY, prefixed, texts

import actcache
from models import Feed, feed
from models.fetch import fetch

TOLERANCE = 1e-4


class Pair:
    """A model and what was compiled of it."""

    def __init__(self, source: Path, folder: Path, **options: object) -> None:
        self.result = actcache.compile_model(source, folder / "cached.onnx", **options)  # type: ignore[arg-type]
        self.original = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"])
        self.session = actcache.InferenceSession(str(self.result.output), providers=["CPUExecutionProvider"])

    def regions(self) -> dict[frozenset[str], tuple[str, str]]:
        """Cone to granularity and id of its region."""
        found = [region.candidate for region in self.result.regions]
        return {frozenset(c.cone): (c.region.granularity, c.region.id) for c in found}

    def hits(self, given: Feed) -> Mapping[str, int]:
        """Run both, compare, and return the hits of every region in this call."""
        before = self._counts()
        mine = self.session.run(None, given)
        hits = {name: count - before.get(name, 0) for name, count in self._counts().items()}
        for a, b in zip(mine, self.original.run(None, given), strict=True):
            assert a.shape == b.shape
            assert float(np.abs(a - b).max()) <= TOLERANCE * max(1.0, float(np.abs(b).max()))
        return hits

    def _counts(self) -> dict[str, int]:
        return {name: region["hits"] for name, region in actcache.stats()["regions"].items()}


# -- queries against candidates ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("towers") / "towers.onnx"
    onnx.save(composed.two_towers(fetch("paraphrase_minilm_l3"), fetch("minilm_l6_int8")), path)
    return path


def test_each_tower_hits_when_its_own_input_repeats(towers: Path, tmp_path: Path) -> None:
    pair = Pair(towers, tmp_path, samples=[texts(0, 0)])
    regions = pair.regions()
    assert regions[CANDIDATE][0] == "row" and regions[QUERY][0] == "row"
    query, candidate = regions[QUERY][1], regions[CANDIDATE][1]
    pair.hits(texts(1, 1))
    again = pair.hits(texts(2, 1))  # other queries, the same candidates
    assert (again[candidate], again[query]) == (4, 0)
    again = pair.hits(texts(2, 3))
    assert (again[candidate], again[query]) == (0, 3)
    few = pair.hits(texts(2, 1, queries=1, candidates=2))  # other numbers of rows on either side
    assert (few[candidate], few[query]) == (2, 1)


def test_a_trace_leaves_out_the_tower_that_never_repeats(towers: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    for number in range(16):
        np.savez(calls / f"{number}.npz", **texts(number, number % 3))  # type: ignore[arg-type]
    pair = Pair(towers, tmp_path, trace=[calls])
    assert list(pair.regions()) == [CANDIDATE]
    assert any(r.rule == "never-repeats" for r in pair.result.refusals)
    trace = pair.result.trace
    assert trace is not None and trace.predicted is not None and trace.played == 8
    (reuse,) = trace.reuse.values()
    assert reuse == pytest.approx(5 / 8)  # three sets of candidates in eight calls
    assert trace.predicted < 0.75  # `python -m benchmarks` holds it to what is measured
    name = pair.regions()[CANDIDATE][1]
    assert [pair.hits(texts(query, 20))[name] for query in (20, 21)] == [0, 4]


# -- an image and where to look at it ------------------------------------------------------------------


def test_an_image_is_encoded_once_for_many_points(tmp_path: Path) -> None:
    path = tmp_path / "prompted.onnx"
    onnx.save(composed.image_and_point(fetch("vit_s_focus")), path)
    random = np.random.default_rng(3)

    def call(image: int) -> Feed:
        point = random.uniform(-1, 1, (2, 1, 1, 2)).astype(np.float32)
        return {**prefixed("i_", feed("vit_s_focus", 2, seed=image)), "point": point}

    pair = Pair(path, tmp_path, samples=[call(0)])
    regions = pair.regions()
    assert list(regions) == [frozenset({"i_input_image"})]
    granularity, name = regions[frozenset({"i_input_image"})]
    assert granularity == "row"
    assert pair.hits(call(1))[name] == 0
    assert pair.hits(call(1))[name] == 2
    assert pair.hits(call(2))[name] == 0


# -- an encoder and a decoder --------------------------------------------------------------------------

STATES = frozenset({"encoder_hidden_states"})


def test_what_depends_on_the_encoder_alone_is_reused_over_decode_steps(tmp_path: Path) -> None:
    """Dynamically quantised: whole calls. One encoded text, and a decoder that grows its tokens by one a step.

    Whether copying these projections is cheaper than computing them again depends on the machine: whatever is safe.
    """
    full = feed("flan_t5_small_dec_int8", 4, seed=5, size=64)

    def step(tokens: int, rows: slice = slice(None)) -> Feed:
        return {**{n: a[rows] for n, a in full.items()}, "input_ids": full["input_ids"][rows, :tokens]}

    pair = Pair(fetch("flan_t5_small_dec_int8"), tmp_path, samples=[step(2)], min_saving=0)
    granularity, name = pair.regions()[STATES]
    assert granularity == "tensor"
    region = next(r.candidate for r in pair.result.regions if r.candidate.region.id == name)
    assert len(region.region.live_outs) == 16  # keys and values of eight layers
    assert pair.hits(step(1))[name] == 0
    assert all(pair.hits(step(tokens))[name] == 1 for tokens in range(2, 6))
    assert pair.hits(step(3, slice(0, 2)))[name] == 0  # other texts: a scale of their own
