"""Times two things against each other on a machine that others use too.

Calls alternate (A B, B A, A B, ...), and what counts is the median of the ratios of neighbours: a slow second hits
both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Call = Callable[[], object]


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
        a, b = first(number), second(number)
        if number % 2:
            later = _seconds(b, clock)
            pair = _seconds(a, clock), later
        else:
            pair = _seconds(a, clock), _seconds(b, clock)
        if number >= 2:  # two to warm up
            times.append(pair)
    ratios = [a / b for a, b in times]
    quartiles = statistics.quantiles(ratios, n=4)
    return Ratio(
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(ratios),
        quartiles[0],
        quartiles[2],
        pairs,
    )


def _seconds(call: Call, clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start
