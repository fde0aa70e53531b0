"""The policy benchmark's traces and arithmetic; the replays themselves are run by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.policy import Outcome
from benchmarks.policy_replay import OFFLINE, REFERENCES, MissRatios, miss_ratios, next_uses
from benchmarks.policy_traces import SYNTHETIC, Trace


@pytest.mark.parametrize("make", SYNTHETIC, ids=lambda make: make.__name__)
def test_an_object_has_one_size_and_one_cost(make: Callable[[], Trace]) -> None:
    trace = make()
    _, first, which = np.unique(trace.keys, return_index=True, return_inverse=True)
    assert (trace.sizes == trace.sizes[first][which]).all()
    assert (trace.costs == trace.costs[first][which]).all()
    assert 0 < len(first) < len(trace.keys) / 2, "most requests are repeats, so that a policy matters"


def test_misses_are_weighed_by_what_they_cost() -> None:
    trace = Trace("", np.array([1, 2, 1]), np.array([10, 30, 10]), np.array([5, 1, 5]))
    assert trace.footprint == 40
    assert miss_ratios(trace, np.array([False, False, True])) == MissRatios(2 / 3, 6 / 11, 40 / 50)


def test_next_use_is_the_next_request_for_the_same_object() -> None:
    never = int(next_uses(np.array([7]))[0])
    assert next_uses(np.array([5, 6, 5, 5, 6])).tolist() == [2, 4, 3, never, never]


def test_the_best_reference_does_not_know_the_future() -> None:
    misses = {name: MissRatios(0.5, 0.5, 0.5) for name in ("actcache", *REFERENCES)}
    misses |= {name: MissRatios(0.1, 0.1, 0.1) for name in OFFLINE} | {"LFU": MissRatios(0.4, 0.4, 0.4)}
    assert Outcome("", 0.05, misses, "", 0.0, 0.8).best_reference == "LFU 0.800"
