"""Steps of random graphs that write into masks and states; see :mod:`~tests.conformance.causal.drawing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.conformance.causal.sketches import WIDTH

if TYPE_CHECKING:
    from tests.conformance.causal.drawing import Drawing


def written_mask(d: Drawing, low: str) -> str:
    """A mask [S, S] that is written into another one: all of it, rows of it, columns, or one entry."""
    old, new = _mask(d, low), _mask(d, low)
    rows, columns = _numbers(d), _numbers(d)
    kind = d.random.integers(4)
    if kind == 0:
        return d.node("ScatterND", old, d.node("Unsqueeze", rows, d.constant([1])), new)
    if kind == 1:
        entry = d.constant([[d.one_of(0, 0, -1), d.one_of(0, 0, -1)]])
        return d.node("ScatterND", old, entry, d.constant([0], np.float32))
    column, row = d.node("Unsqueeze", rows, d.constant([1])), d.node("Unsqueeze", columns, d.constant([0]))
    both = d.node("Shape", d.node("Max", column, row))
    parts = [d.node("Expand", part, both) for part in (column, row)]
    if kind == 2:
        axis = d.random.integers(2)
        return d.node("ScatterElements", old, parts[axis], new, axis=int(axis))
    order = parts if d.often() else parts[::-1]
    stacked = d.node("Concat", *(d.node("Unsqueeze", part, d.constant([2])) for part in order), axis=-1)
    return d.node("ScatterND", old, stacked, new)


def _numbers(d: Drawing) -> str:
    """0 … S-1, seldom the other way round."""
    numbers = d.positions()
    if d.often(0.85):
        return numbers
    return d.node("Sub", d.node("Sub", d.length(), d.constant(1)), numbers)


def _mask(d: Drawing, low: str) -> str:
    """[S, S]: closed for later positions, seldom for others, for all or for none."""
    numbers = d.positions()
    column, row = (d.node("Unsqueeze", numbers, d.constant([axis])) for axis in (1, 0))
    if d.often(0.3):
        size = d.vector(d.length())
        return d.node("Expand", d.one_of(low, d.constant(0, np.float32)), d.node("Concat", size, size, axis=0))
    operator = d.one_of(*["LessOrEqual"] * 5, "GreaterOrEqual", "Less")
    return d.node("Where", d.node(operator, row, column), d.constant(0, np.float32), low)


def overwritten(d: Drawing, x: str) -> str:
    """A state written into another one by positions, by features, or one position of it."""
    old, new = d.node("Transpose", x, perm=[1, 0, 2]), d.node("Transpose", d.state(), perm=[1, 0, 2])
    kind = d.random.integers(3)
    if kind == 0:
        at = d.node("Unsqueeze", _numbers(d), d.constant([1]))
        return d.node("Transpose", d.node("ScatterND", old, at, new), perm=[1, 0, 2])
    if kind == 1:
        batch = d.node("Gather", d.node("Shape", x), d.constant([0]), axis=0)
        sizes = d.node("Concat", d.constant([1]), batch, d.constant([WIDTH]), axis=0)
        fixed = d.node("Expand", d.weight(WIDTH), sizes)
        made = d.node("ScatterND", old, d.constant([[d.one_of(0, 0, -1)]]), fixed)
        return d.node("Transpose", made, perm=[1, 0, 2])
    which = d.node("Min", d.node("Unsqueeze", "ids", d.constant([2])), d.constant(WIDTH - 1))
    values = d.node("ReduceMean", d.state(), axes=[2], keepdims=1)
    return d.node("ScatterElements", x, which, values, axis=2)
