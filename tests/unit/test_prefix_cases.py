"""The calls for positions of a sequence show what a cache of beginnings may do wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from actcache.passes.cuts import PrefixDivision
from actcache.passes.cuts.feeds import Feed
from actcache.verification.cases import SEQUENCES, affordable
from actcache.verification.verify import Verification, compare, references

Array = npt.NDArray[Any]
Model = Callable[[Feed], list[Any]]
Key = Callable[[Array], bytes]
ROWS, POSITIONS = {"ids": 0, "mask": 0}, {"ids": 1, "mask": 1}
DIVISION = PrefixDivision(POSITIONS, ROWS)
SAMPLE: Feed = {"ids": np.array([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]]), "mask": np.ones((2, 5), np.int64)}


def causal(feed: Feed) -> list[Any]:
    return [np.cumsum(feed["ids"] * feed["mask"], 1)]


def looking_ahead(feed: Feed) -> list[Any]:
    return [np.cumsum(feed["ids"][:, ::-1], 1)[:, ::-1]]


class Beginnings:
    """Keeps the result of each position by `key` of what comes before it in its row, itself included."""

    def __init__(
        self, compute: Callable[[Feed], list[Any]], key: Callable[[Array], bytes] = np.ndarray.tobytes
    ) -> None:
        self.compute, self.key = compute, key
        self.kept, self.known = dict[bytes, Any](), list[tuple[int, int]]()

    def clear(self) -> None:
        self.kept.clear()

    def __call__(self, feed: Feed) -> list[Any]:
        ids = feed["ids"]
        keys = [[self.key(row[: t + 1]) for t in range(len(row))] for row in ids]
        known = min(next((t for t, key in enumerate(row) if key not in self.kept), len(row)) for row in keys)
        self.known.append((ids.shape[1], known))
        result = self.compute(feed)[0].copy()
        for row, own in enumerate(keys):
            for t, key in enumerate(own):
                result[row, t] = self.kept.setdefault(key, result[row, t]) if t >= known else self.kept[key]
        return [result]


def report(compiled: Beginnings, original: Model = causal, **asked: Any) -> Verification:
    return compare(compiled, compiled.clear, references(original, [SAMPLE], [DIVISION], **asked), exact=True)


def test_a_causal_model_passes_and_every_way_of_knowing_a_beginning_is_tried() -> None:
    compiled = Beginnings(causal)
    found = report(compiled)
    assert found.failure is None and found.bit_exact and not found.skipped and found.cases > 15
    appended = {size - known for size, known in compiled.known if known}
    assert {0, 1, 2, 5} <= appended
    assert {(2, 1), (3, 2), (4, 3), (12, 0), (12, 6)} <= set(compiled.known)


def test_growing_calls_are_tried_where_bits_count() -> None:
    assert affordable(causal, SAMPLE, [DIVISION]) == SEQUENCES
    compiled = Beginnings(causal)
    assert report(compiled, sequences=SEQUENCES).failure is None
    assert {(9, 8), (17, 16), (33, 31)} <= set(compiled.known)


def test_a_model_that_looks_ahead_fails() -> None:
    found = report(Beginnings(looking_ahead), looking_ahead)
    assert found.failure is not None and "known" in found.failure


@pytest.mark.parametrize(
    "key",
    [
        lambda begin: begin[-1:].tobytes() + bytes([len(begin)]),  # not chained
        lambda begin: begin[1:].tobytes() + bytes([len(begin)]),  # the first position is forgotten
        lambda begin: begin[: len(begin) // 2 + 1].tobytes() + bytes([len(begin)]),  # an end is taken for another
    ],
)
def test_wrong_keys_fail(key: Key) -> None:
    assert report(Beginnings(causal, key)).failure is not None


def test_beginnings_are_the_parts_that_the_original_should_agree_on() -> None:
    parts = list(DIVISION.parts(SAMPLE))
    assert [(part.first, part.end, part.count) for part in parts] == [(0, 2, 5), (0, 3, 5), (0, 4, 5)]
    assert all(part.feed["ids"].shape == (2, part.end) for part in parts)


def test_a_sample_without_the_sequence_has_no_cases() -> None:
    assert DIVISION.count({"x": np.zeros(3)}) == 0
    assert list(DIVISION.cases({"x": np.zeros(3)})) == []


def test_masks_that_have_to_be_open_are_opened_and_closed_ones_are_tried_once() -> None:
    closed = SAMPLE | {"mask": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])}
    cases = list(PrefixDivision(POSITIONS, ROWS, ones=("mask",)).cases(closed))
    assert [case.name for case in cases if not case.feed["mask"].all()] == ["masks that close positions"]
    assert len(cases) > 10 and np.array_equal(cases[0].feed["mask"], closed["mask"])
    assert not any("close" in case.name for case in PrefixDivision(POSITIONS, ROWS, ones=("mask",)).cases(SAMPLE))
