"""Batches in which a known share of the rows was seen before, and all others are new.

The models measured here have their rows on axis 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sessions import Workload
from models import MODELS, Feed

#: Rows that are drawn once, where drawing takes longer than computing.
_DRAWN = 16


class NewRows:
    """Rows of a workload, each given out once.

    Sentences are drawn anew. A photograph takes longer to draw than to classify, so a few are drawn, and each new row
    is one of these moved by another number of values: other bytes, of the same kind.
    """

    def __init__(self, workload: Workload, first_seed: int = 1000) -> None:
        self._workload = workload
        self._seeds = itertools.count(first_seed)
        self._draws_all = MODELS[workload.model].size_unit == "tokens"
        self._drawn: Feed = {} if self._draws_all else workload.feed(_DRAWN, next(self._seeds))
        self._given = 0

    def take(self, rows: int) -> Feed:
        """Return so many new rows."""
        if self._draws_all:
            return self._workload.feed(rows, next(self._seeds))
        numbers = range(self._given, self._given + rows)
        self._given += rows
        return {name: np.stack([_moved(array, number) for number in numbers]) for name, array in self._drawn.items()}


def _moved(drawn: NDArray[Any], number: int) -> NDArray[Any]:
    row: NDArray[Any] = drawn[number % _DRAWN]
    return np.roll(row.ravel(), number // _DRAWN).reshape(row.shape)


@dataclass(frozen=True)
class Mixed:
    """Calls of which some rows were seen before.

    Attributes:
        calls: Batches of all rows.
        new: For each, the places of its new rows.
    """

    calls: list[Feed]
    new: list[NDArray[np.int64]]

    def new_alone(self) -> list[Feed]:
        """Return the batches without the rows that were seen; none for a call without new rows."""
        return [rows_of(feed, places) for feed, places in zip(self.calls, self.new, strict=True) if len(places)]


def mixed(seen: Sequence[Feed], count: int, new: NewRows, random: np.random.Generator) -> Mixed:
    """Return as many calls as there are in `seen`, of the same sizes.

    Args:
        seen: Calls that were made before.
        count: How many of the rows are to be taken from them, at any places; all: the same calls again.
        new: Where the other rows come from.
        random: Decides which rows, and where.
    """
    ends = np.cumsum([row_count(feed) for feed in seen])
    total = int(ends[-1])
    if count == total:
        return Mixed(list(seen), [np.zeros(0, np.int64) for _ in seen])
    is_new = np.ones(total, bool)
    is_new[random.permutation(total)[:count]] = False
    taken = random.permutation(total)[:count]
    known, fresh = joined(seen), new.take(total - count)
    rows = {name: np.empty_like(array) for name, array in known.items()}
    for name, array in rows.items():
        array[is_new] = fresh[name]
        array[~is_new] = known[name][taken]
    spans = list(itertools.pairwise([0, *(int(end) for end in ends)]))
    calls = [{name: array[first:end] for name, array in rows.items()} for first, end in spans]
    return Mixed(calls, [np.flatnonzero(is_new[first:end]) for first, end in spans])


def joined(feeds: Sequence[Feed]) -> Feed:
    """Return all rows as one batch."""
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def rows_of(feed: Feed, places: NDArray[np.int64]) -> Feed:
    """Return some rows of a batch."""
    return {name: array[places] for name, array in feed.items()}


def row_count(feed: Feed) -> int:
    """Return how many rows a batch has."""
    return len(next(iter(feed.values())))
