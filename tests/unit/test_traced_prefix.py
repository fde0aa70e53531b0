"""Whether a trace chooses prefixes, and before or after rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from actcache.passes.choice.choose import Choice, choose, sequences, wanted_places
from actcache.passes.choice.prediction import Predictor
from actcache.passes.choice.trace_keys import TraceKeys, places
from actcache.passes.costs.cost import estimate_costs
from actcache.passes.costs.time_model import TimeModel
from actcache.passes.cuts import TensorShape
from actcache.passes.graph.view import GraphView
from actcache.runs.hash_trace import hash_units
from benchmarks.decoders import Decoder

VIEW = GraphView(Decoder(layers=2, width=256).model())
COSTS = estimate_costs(VIEW)
Calls = Sequence[np.ndarray]


def traced(calls: Calls, budget: int = 1 << 30, **asked: object) -> Choice:
    found = sequences(VIEW, COSTS, budget=budget)
    wanted = {place for candidate in found for place in places(candidate.region)} | wanted_places(VIEW, COSTS)
    read = [place for place in wanted if place.tensor == "input_ids"]
    hashes = {place: [hash_units(ids, place) for ids in calls] for place in read}
    shapes = {"input_ids": [TensorShape.of(ids) for ids in calls]}
    trace = TraceKeys(np.full(len(calls), COSTS.total), hashes, shapes)
    predictor = Predictor(TimeModel(COSTS, []), trace, budget)
    return choose(VIEW, COSTS, predictor=predictor, budget=budget, name="m", **asked)  # type: ignore[arg-type]


def tokens(seed: int, length: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 61, (1, length))


def kinds(choice: Choice) -> list[list[str]]:
    return [[candidate.region.granularity for candidate in plan] for plan in choice.plans]


def test_shared_beginnings_are_cached_by_prefixes() -> None:
    choice = traced([np.concatenate([tokens(0), tokens(n, 4)], 1) for n in range(1, 9)])
    assert kinds(choice)[0] == ["prefix"]
    found = next(c for c in choice.considered if c.candidate.region.granularity == "prefix")
    assert found.verdict == "chosen" and found.use is not None and found.ratio is not None
    assert found.use.reuse == pytest.approx(7 * 16 / (8 * 20))
    assert found.ratio < 0.6


def test_where_only_whole_calls_come_again_both_are_predicted() -> None:
    choice = traced([tokens(n % 2) for n in range(12)])
    assert sorted(map(tuple, kinds(choice)))[0] == ("prefix",)
    (prefix,) = (c for c in choice.considered if c.candidate.region.granularity == "prefix")
    assert prefix.use is not None and prefix.use.reuse == pytest.approx(10 / 12)


def test_where_nothing_is_shared_prefixes_are_refused() -> None:
    calls = [np.roll(np.arange(61), -n)[None, :16] for n in range(8)]
    choice = traced(calls)
    assert choice.plans == []
    assert "no call of the trace begins as an earlier one does, in input_ids" in {r.reason for r in choice.refusals}
    (prefix,) = (c for c in choice.considered if c.candidate.region.granularity == "prefix")
    assert prefix.verdict == "never repeats" and prefix.ratio == pytest.approx(1.0, abs=0.01)
    asked = traced(calls, granularity="prefix", min_saving=0.0)
    assert kinds(asked) == [["prefix"]] and asked.considered[-1].use is not None


def test_a_smaller_store_is_predicted_to_reuse_less() -> None:
    calls = [np.concatenate([tokens(n % 4), tokens(n + 9, 4)], 1) for n in range(24)]
    uses = []
    for budget in (1 << 30, 300_000, 120_000):
        choice = traced(calls, budget=budget)
        assert kinds(choice)[0] == ["prefix"]
        uses += [c.use.reuse for c in choice.considered if c.candidate.region.granularity == "prefix" and c.use]
    roomy, smaller, tight = uses
    assert roomy == pytest.approx(23 * 16 / (24 * 20) - 3 * 16 / (24 * 20), abs=0.01)
    assert tight < 0.2 < smaller < roomy
