"""When recorded calls have said clearly which model takes less time."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from actcache.runs.paired_times import PairedTimes

#: A call's number to what it takes, original and compiled.
Times = Callable[[int], tuple[float, float]]


def clear_after(times: Times, calls: int = 2000) -> int | None:
    """Return after how many calls it is clear; None: it never is."""
    pairs = PairedTimes()
    for number in range(calls):
        pairs.add(*times(number))
        if pairs.are_clear(calls):
            assert len(pairs) == number + 1
            return number + 1
    return None


@pytest.mark.parametrize(("seconds", "calls"), [(0.01, 96), (0.1, 32)])
def test_half_of_the_calls_found_is_clear_after_few(seconds: float, calls: int) -> None:
    assert clear_after(lambda number: (seconds, seconds * (number % 2))) == calls


def test_nothing_found_is_clear_after_half_of_the_calls() -> None:
    noise = itertools.cycle([0.99, 1.01, 1.02])
    assert clear_after(lambda _: (0.1, 0.102 * next(noise)), 640) == 320


def test_short_calls_are_looked_at_for_longer() -> None:
    taken = clear_after(lambda number: (0.001, 0.001 * (number % 2)))
    assert taken is not None and taken * 0.0015 >= 1.0


def test_what_is_found_by_and_by_is_waited_for() -> None:
    """The first calls fill the cache: a loss at the beginning says nothing."""
    taken = clear_after(lambda number: (0.1, 0.11 if number < 128 else 0.01))
    assert taken is not None and taken > 128


def test_what_is_found_no_more_is_not_taken_for_a_gain() -> None:
    assert clear_after(lambda number: (0.01, 0.002 if number < 24 else 0.0101)) is None


@pytest.mark.parametrize("ratio", [0.96, 0.99])
def test_a_small_gain_is_never_clear(ratio: float) -> None:
    assert clear_after(lambda _: (0.1, 0.1 * ratio)) is None


def test_wide_spread_is_not_clear() -> None:
    """One call in fifty takes a hundred times as long: too few of them tell how much."""
    assert clear_after(lambda n: (0.01, 1.0) if n % 50 == 0 else (0.02, 0.001), 300) is None


def test_sums_are_kept() -> None:
    times = PairedTimes()
    assert not times.are_clear(0) and len(times) == 0
    times.add(2.0, 1.0)
    times.add(4.0, 1.5)
    assert (times.original, times.compiled, len(times)) == (6.0, 2.5, 2)
