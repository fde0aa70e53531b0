"""Times things against each other on a machine that others use too.

Calls alternate (A B, B A, A B, ...), and what counts is the median of the ratios of neighbours: a slow second hits
both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Call = Callable[[], object]


@dataclass(frozen=True)
class Took:
    """What one call took, in seconds, and what it returned."""

    seconds: float
    result: Any


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of some values."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Return those of two values or more."""
        low, median, high = statistics.quantiles(values, n=4)
        return Spread(median, low, high)


@dataclass(frozen=True)
class Ratio:
    """Outcome of an interleaved measurement.

    Attributes:
        first: Median seconds of a call of the first.
        second: Median seconds of a call of the second.
        ratio: Median over the pairs of first / second.
        low: Lower quartile of the pairs' ratios.
        high: Upper quartile of the pairs' ratios.
        pairs: How many pairs there were.
    """

    first: float
    second: float
    ratio: float
    low: float
    high: float
    pairs: int


def interleaved(
    first: Callable[[int], Call],
    second: Callable[[int], Call],
    pairs: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Time `pairs` calls of each, in turn.

    Args:
        first: Given the number of the pair, prepares a call; only the call itself is timed.
        second: Likewise.
        pairs: How many.
        clock: Says how late it is, in seconds.
    """
    times: list[tuple[float, float]] = []
    for number in range(pairs + 2):
        took = turn([first(number), second(number)], number, clock)
        if number >= 2:  # two to warm up
            times.append((took[0].seconds, took[1].seconds))
    spread = Spread.of([a / b for a, b in times])
    return Ratio(
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        spread.median,
        spread.low,
        spread.high,
        pairs,
    )


def turn(calls: Sequence[Call], number: int, clock: Callable[[], float] = time.perf_counter) -> list[Took]:
    """Make each call once, another one first in each turn; the results are in the order of `calls`."""
    took: dict[int, Took] = {}
    for step in range(len(calls)):
        place = (number + step) % len(calls)
        start = clock()
        result = calls[place]()
        took[place] = Took(clock() - start, result)
    return [took[place] for place in range(len(calls))]
