"""One model behind everything that benchmarks.reuse_curve compares, and what one turn of all of them took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import actcache
from actcache.base.tolerance import scale_of, type_tolerance
from benchmarks.caches import RequestCache, RowLru
from benchmarks.contender_names import LIMIT, NAMES, ORIGINAL
from benchmarks.counts import begin_anew
from benchmarks.interleaved import turn
from benchmarks.rows import Mixed
from benchmarks.sessions import Workload, compiled_path, session
from models import Feed
from models.fetch import fetch

Outputs = list[NDArray[Any]]

#: What each of the caches may keep: actcache's default.
BUDGET_BYTES = 256 << 20


class _Runs(Protocol):
    def run(self, names: None, feed: Feed, /) -> Outputs: ...


class WrongOutputError(Exception):
    """A contender's outputs are not the original's."""


class Contenders:
    """All of them for one model, which is compiled for the workload's batch.

    Args:
        workload: The model.
        clock: Says how late it is, in seconds.
    """

    def __init__(self, workload: Workload, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        # A session of its own for each: one that follows its own calls finds the weights in the processor's cache.
        self._original, self._alone, self._behind_rows, self._behind_requests = (
            session(fetch(workload.model), compiled=False) for _ in range(4)
        )
        self._compiled = session(compiled_path(workload), compiled=True)

    def begin(self, seen: Sequence[Feed]) -> None:
        """Empty all caches, have the compiled model learn anew whether lookups pay, and make the calls of `seen`."""
        actcache.configure(budget_bytes=BUDGET_BYTES)
        begin_anew(self._compiled, seen[0])
        self._row_lru = RowLru(self._behind_rows, BUDGET_BYTES)
        self._request_cache = RequestCache(self._behind_requests, BUDGET_BYTES)
        for each in (self._compiled, self._row_lru, self._request_cache):
            _all(each, seen)()

    def turn(self, calls: Mixed, number: int) -> tuple[dict[str, float], dict[str, float]]:
        """Make the calls by every contender.

        Returns:
            By name: seconds, and the largest difference of an output to the original's.

        Raises:
            WrongOutputError: An output is not the original's.
        """
        alone = calls.new_alone()
        took = turn(
            [
                _all(self._original, calls.calls),
                _all(self._compiled, calls.calls),
                _all(self._alone, alone),
                _all(self._row_lru, calls.calls),
                _all(self._request_cache, calls.calls),
            ],
            number,
            self._clock,
        )
        results = dict(zip(NAMES, (each.result for each in took), strict=True))
        wanted = dict.fromkeys(NAMES, results[ORIGINAL])
        wanted[LIMIT] = [
            [output[places] for output in outputs]
            for outputs, places in zip(results[ORIGINAL], calls.new, strict=True)
            if len(places)
        ]
        differences = {name: largest_difference(name, results[name], wanted[name]) for name in NAMES[1:]}
        seconds = {name: each.seconds for name, each in zip(NAMES, took, strict=True)}
        return seconds if alone else seconds | {LIMIT: 0.0}, differences


def largest_difference(name: str, got: Sequence[Outputs], wanted: Sequence[Outputs]) -> float:
    """Return the largest absolute difference over all calls.

    Raises:
        WrongOutputError: It is beyond what verification accepts, or a type or a shape is another one.
    """
    largest = 0.0
    for call, (outputs, originals) in enumerate(zip(got, wanted, strict=True)):
        for place, (one, other) in enumerate(zip(outputs, originals, strict=True)):
            if one.dtype != other.dtype or one.shape != other.shape:
                raise WrongOutputError(f"{name}: output {place} of call {call} has another type or shape")
            if not one.size or np.array_equal(one, other):
                continue
            difference = float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())
            if not difference <= type_tolerance(other.dtype) * scale_of(other):
                raise WrongOutputError(f"{name}: output {place} of call {call} differs by {difference:.3g}")
            largest = max(largest, difference)
    return largest


def _all(runner: _Runs, calls: Sequence[Feed]) -> Callable[[], list[Outputs]]:
    return lambda: [runner.run(None, feed) for feed in calls]
