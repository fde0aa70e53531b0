"""The calls that a compiled model is held to, and what the original answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from actcache.passes.cuts import RowDivision
from actcache.passes.cuts.case import Case
from actcache.passes.cuts.feeds import Feed, row_count, take
from actcache.verification.cases import Run, cases
from tests.conformance.agreement import identical

Axes = Mapping[str, int]


def answers(
    original: Run, feeds: Sequence[Feed], axes: Axes | None, cones: Sequence[Sequence[str]]
) -> Iterator[tuple[Case, list[Any]]]:
    """Yield every call to make with the original's answer.

    A call that the original refuses is left out, and so is one that follows calls that it refuses.

    Args:
        original: Runs the original.
        feeds: Inputs for single calls.
        axes: Graph input to the axis of its rows; None: only whole calls repeat.
        cones: Per region the graph inputs that it depends on.
    """
    known: dict[int, list[Any] | None] = {}
    kept: list[Feed] = []  # alive as long as their ids are used

    def answer(feed: Feed) -> list[Any] | None:
        if id(feed) not in known:
            kept.append(feed)
            try:
                known[id(feed)] = original(feed)
            except Exception:
                known[id(feed)] = None
        return known[id(feed)]

    for case in _cases(feeds, axes, cones):
        wanted = answer(case.feed)
        if wanted is not None and all(answer(feed) is not None for feed in case.prepare):
            yield case, wanted


def _cases(feeds: Sequence[Feed], axes: Axes | None, cones: Sequence[Sequence[str]]) -> Iterator[Case]:
    for feed in feeds:
        yield from _one_input_changed(feed)
        if axes is None:
            yield from cases(feed, (), cones)
        elif agree_on_rows(feed, axes):
            yield from cases(feed, [RowDivision(axes)], cones)
            yield from _of_rows(feed, axes)
    if len(feeds) > 1:
        # One after the other without emptying the cache, and back: shapes and sizes change between them.
        yield from (Case("calls in a row", feed) for feed in [*feeds, *feeds[::-1]])


def _one_input_changed(feed: Feed) -> Iterator[Case]:
    """Every input must be part of the key: other values of one that the model may take, all else the same."""
    for name, value in feed.items():
        if not isinstance(value, np.ndarray):
            continue
        other = np.roll(value, 1)
        if identical(other, value) and value.dtype.kind == "f":
            other = (value * 1.5 + 0.25).astype(value.dtype)
        if not identical(other, value):
            yield Case(f"other values of {name}", {**feed, name: other}, prepare=(feed,))


def _of_rows(feed: Feed, axes: Axes) -> Iterator[Case]:
    """Beyond what verification does: subsets, rows one by one, and batches put together from known ones."""
    count = row_count(feed, axes)
    if count < 2:
        return
    rows = np.arange(count)
    single = [take(feed, axes, rows[row : row + 1]) for row in rows]
    yield Case("subset", take(feed, axes, rows[1::2]), prepare=(feed,))
    yield Case("a new row first", feed, prepare=(take(feed, axes, rows[1:]),))
    yield Case("a known row among new ones", feed, prepare=(single[count // 2],))
    for row in rows[:3]:
        yield Case(f"row {row} alone", single[row])
    yield Case("all rows, seen one by one", feed, prepare=tuple(single))


def agree_on_rows(feed: Feed, axes: Axes) -> bool:
    """Whether all inputs that have rows have the same number of them, and at least one."""
    sizes = {feed[name].shape[axis] for name, axis in axes.items() if name in feed}
    return len(sizes) == 1 and 0 not in sizes
