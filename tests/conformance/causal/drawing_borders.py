"""Entries beside positions in random graphs: what is joined in front or behind and cut off again, sinks of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.conformance.causal.sketches import WIDTH

if TYPE_CHECKING:
    from tests.conformance.causal.drawing import Drawing

_END = np.iinfo(np.int64).max


def bordered(d: Drawing, x: str) -> str:
    """Entries more at the ends of the sequence, and as many less, before or afterwards, at the right end or another."""
    first = d.often(0.3)
    front, back = (1, 0) if first else d.one_of((1, 0), (1, 0), (2, 0), (0, 1), (1, 1))
    right = 0, -front - back
    start, end = d.one_of(right, right, right, (front + back, _END))
    cut = [d.constant([number]) for number in (start, end, 1)]
    parts = [d.node("Slice", x, *cut) if first else x]
    if front:
        parts.insert(0, _more(d, x, front))
    if back:
        parts.append(d.state() if d.often(0.1) else _more(d, x, back))
    made = d.node("Tanh", d.node("Concat", *parts, axis=1))
    return made if first else d.node("Slice", made, *cut)


def _more(d: Drawing, x: str, count: int) -> str:
    """So many entries for each row of a state."""
    rows = d.node("Gather", d.node("Shape", x), d.constant([0]))
    return d.node("Expand", d.weight(1, 1, WIDTH), d.node("Concat", rows, d.constant([count, WIDTH]), axis=0))


def weights_of(d: Drawing, scores: str) -> str:
    """Softmax of scores; some less the largest, some beside a sink that is cut off again."""
    axis, sunk = d.constant([3]), d.often(0.2)
    if sunk:
        ends = d.one_of((0, 1), (0, 1), (0, 1), (1, 0))
        pads = d.constant([0, 0, 0, ends[0], 0, 0, 0, ends[1]])
        scores = d.node("Pad", scores, pads, d.constant(d.one_of(0, 1, -5), np.float32))
    if d.often(0.2):
        operator = d.one_of("ReduceMax", "ReduceMax", "ReduceMax", "ReduceMin")
        scores = d.node("Sub", scores, d.node(operator, scores, axes=[3], keepdims=1))
    made = d.node("Softmax", scores, axis=-1)
    if not sunk:
        return made
    start, end = d.one_of((0, -1), (0, -1), (0, -1), (1, _END))
    return d.node("Slice", made, d.constant([start]), d.constant([end]), axis)
