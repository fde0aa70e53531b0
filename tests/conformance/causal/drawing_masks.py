"""Computed masks of random graphs: numbers made of positions, in several types, are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tests.conformance.causal.drawing import Drawing

#: Types to compute in: name of numpy, number of onnx.
_TYPES = ((np.float32, 1), (np.float32, 1), (np.int64, 7), (np.int64, 7), (np.int32, 6), (np.float16, 10), (np.int8, 3))
_CONSTANTS = (0, 0, 0, 1, 1, -1, 2, 3, 0.5, 1e-30, -1e-30, 1e30, 2**24, 2**31 - 1, -(2**20))


def computed_mask(d: Drawing, scores: str, low: str) -> str:
    """Scores of which those are closed that a drawn truth of two positions says."""
    numbers = d.positions()
    column, row = (d.node("Unsqueeze", numbers, d.constant([axis])) for axis in (1, 0))
    causal = d.node("LessOrEqual", row, column)
    truths = [_truth(d, row, column) for _ in range(d.one_of(1, 1, 2))]
    if d.often(0.5):
        truths.append(causal)
    open_ = truths[0]
    for other in truths[1:]:
        open_ = d.node(d.one_of("And", "And", "And", "Or", "Xor"), open_, other)
    if d.often(0.15):
        open_ = d.node("Not", open_)
    kind = d.random.integers(4)
    if kind == 0:
        return d.node("Add", scores, d.node("Where", open_, d.constant(0, np.float32), low))
    if kind == 1:
        shut = d.node("Sub", d.constant(1, np.float32), d.node("Cast", open_, to=1))
        return d.node("Add", scores, d.node("Mul", shut, d.constant(np.finfo(np.float32).min, np.float32)))
    return d.node("Where", open_, scores, low)


def _truth(d: Drawing, row: str, column: str) -> str:
    dtype, number = _TYPES[d.random.integers(len(_TYPES))]
    wide = row, column, d.node("Sub", row, column), d.node("Sub", column, row)
    leaves = [d.node("Cast", part, to=number) for part in wide]
    if d.often(0.2):
        leaves.append(d.node("Cast", _power(d), to=number))
    sides = []
    for _ in range(2):
        value = d.one_of(*leaves, leaves[2])
        for _ in range(d.random.integers(0, 3)):
            value = _computed(d, value, leaves, dtype)
        sides.append(value)
    if d.often(0.5):
        sides[1] = _number(d, dtype)
    operator = d.one_of("LessOrEqual", "LessOrEqual", "Less", "GreaterOrEqual", "Greater", "Equal")
    if dtype in (np.float16, np.int8) and operator == "Equal":
        operator = "LessOrEqual"
    return d.node(operator, *sides)


def _power(d: Drawing) -> str:
    """The length, squared some times: up to its 64th power, which no type holds."""
    power = d.length()
    for _ in range(d.random.integers(7)):
        power = d.node("Mul", power, power)
    return power


def _computed(d: Drawing, value: str, leaves: list[str], dtype: type) -> str:
    floating = np.issubdtype(dtype, np.floating)
    kind = d.random.integers(10)
    if kind <= 3:
        operator = d.one_of("Add", "Sub", "Mul", *(["Div"] if floating else ["Mul"]))
        if dtype is np.int8:
            operator = d.one_of("Max", "Min")
        return d.node(operator, value, _number(d, dtype) if d.often() else d.one_of(*leaves))
    if kind == 4:
        return d.node(d.one_of("Max", "Min"), value, _number(d, dtype))
    if kind == 5:
        return d.node(d.one_of("Abs", "Neg", "Identity"), value)
    if kind == 6 and floating and dtype is np.float32:
        return d.node(d.one_of("Relu", "Tanh", "Exp", "Floor", "Ceil", "Round", "Sqrt"), value)
    if kind == 7 and dtype is not np.int8:
        return (
            d.node("Sum", value, _number(d, dtype)) if floating else d.node("Div", value, _number(d, dtype, of=(2, 3)))
        )
    if kind == 8:
        there, back = d.random.integers(len(_TYPES)), next(number for name, number in _TYPES if name is dtype)
        return d.node("Cast", d.node("Cast", value, to=_TYPES[there][1]), to=back)
    if kind == 9 and dtype in (np.float32, np.int32, np.int64):
        later = d.node("Greater", d.one_of(*leaves), _number(d, dtype))
        return d.node("Where", later, _number(d, dtype), d.one_of(value, _number(d, dtype)))
    return value


def _number(d: Drawing, dtype: type, of: tuple[float, ...] = _CONSTANTS) -> str:
    if np.issubdtype(dtype, np.floating):
        most = float(np.finfo(dtype).max)
    else:
        most = float(min(np.iinfo(dtype).max, 2**31 - 1))
    return d.constant(float(np.clip(d.one_of(*of), -most, most)), dtype)
