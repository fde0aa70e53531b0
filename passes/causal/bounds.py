"""Between which numbers a form lies, given how the position along one axis (key) stands to that along another (query).

Interval arithmetic over :mod:`forms`. ``AHEAD``: the key is later than the query, key = query + 1 + e with e ≥ 0;
``OWN``: they are the same; ``FIRST``: the key is position 0. Every other position is any number from 0 on. What cannot
be told lies between -∞ and ∞.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from actcache.passes.causal.forms import Affine, Apply, Computed, Form, Given, Some, Stack, Table, Weights
from actcache.passes.rows.sizes import ZERO as SIZE_0
from actcache.passes.rows.sizes import Size

Interval: TypeAlias = tuple[float, float]
ANY: Interval = (-math.inf, math.inf)
TRUTH: Interval = (0.0, 1.0)
ZERO: Interval = (0.0, 0.0)
#: Ends of integers that the caller may hand in.
_WIDEST = 2.0**64


#: Every type of integers holds the numbers from 0 on up to this.
_FITS_ALL = 7
#: The largest number of float16, and of float32; the least that each holds with all its digits.
_HALF, _SINGLE = 65504.0, float(np.finfo(np.float32).max)
_HALF_LEAST, _SINGLE_LEAST = 2.0**-14, float(np.finfo(np.float32).tiny)
#: From which number on a type of integers holds each, and up to below which.
INTEGERS: dict[str, Interval] = {
    f"{sign}int{bits}": (0.0 if sign else -(2.0 ** (bits - 1)), 2.0**bits if sign else 2.0 ** (bits - 1))
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
#: Products of more sizes are so large that nothing holds them.
_HIGHEST = 40
#: By how much of it a result of Exp or Tanh may be off.
_INEXACT = 1e-5
#: No position is as far on as this.
FARTHEST = 2.0**40


class Order(Enum):
    """How the key's position stands to the query's."""

    AHEAD = "ahead"
    OWN = "own"
    FIRST = "first"


class Never(Exception):
    """Raised when no entry is so: whatever is asked of such entries holds."""


@dataclass
class Scene:
    """What is assumed about positions.

    Attributes:
        query: Axis of the query, from the back.
        key: Axis of the key.
        order: How they stand.
        binary: Assume of masks that the caller hands in that they hold 0 and 1 only, and 1 at position 0.
        assumed: The tensors of which that was assumed.
        farthest: No position is as far on as this.
        largest: No size is larger than this, unless it is a product of others.
        measure: Says how large numbers of a tensor may get. None: as large as they may in any model.
    """

    query: int
    key: int
    order: Order
    binary: bool = False
    assumed: set[str] = field(default_factory=set)
    farthest: float = FARTHEST
    largest: float = math.inf
    measure: Callable[[str], float] | None = None

    def bounds(self, form: Form) -> Interval:
        """Return the least and the largest number that the form can be.

        Raises:
            Never: No entry is so.
        """
        if isinstance(form, Affine):
            return self._affine(form)
        if isinstance(form, Table):
            return self._table(form)
        if isinstance(form, Given):
            return self._given(form)
        if isinstance(form, Weights):
            return self._weights(form)
        if isinstance(form, Some):
            return self._some(form)
        if isinstance(form, Stack):
            return _hull(*map(self.bounds, form.parts))
        return self._applied(form)

    def _some(self, form: Some) -> Interval:
        if not isinstance(form, Computed) or self.measure is None or not form.tensor:
            return form.low, form.high
        most = self.measure(form.tensor)
        return max(form.low, -most), min(form.high, most)

    def _weights(self, form: Weights) -> Interval:
        if form.binary is None or (form.binary and not self.binary):
            return ANY  # and no number
        self.assumed.update(form.binary)
        return self._numbers_of(form)

    def _numbers_of(self, form: Weights) -> Interval:
        ahead = (form.query, form.key) == (self.query, self.key) and self.order is Order.AHEAD
        return ZERO if ahead else TRUTH

    def _affine(self, form: Affine) -> Interval:
        factors = dict(form.terms)
        offset = SIZE_0
        if self.key in factors:
            own = factors.pop(self.key)
            if self.order is not Order.FIRST:
                factors[self.query] = factors.get(self.query, SIZE_0) + own
            if self.order is Order.AHEAD:
                factors[_BEYOND] = offset = own
        least, most = between(form.constant + offset, self.largest)
        for factor in factors.values():
            low, high = between(factor, self.largest)
            least += min(0.0, self.farthest * low)
            most += max(0.0, self.farthest * high)
        return least, most

    def _table(self, form: Table) -> Interval:
        chosen = form.array
        if self.key in form.axes:
            chosen = self._entries(form)
        if not chosen.size:
            raise Never
        low, high = float(chosen.min()), float(chosen.max())
        return ANY if math.isnan(low) or math.isnan(high) else (low, high)

    def _entries(self, form: Table) -> npt.NDArray[np.generic]:
        """The entries of a constant that lie as assumed."""
        key = form.axes.index(self.key)
        if self.order is Order.FIRST:
            return np.take(form.array, [form.start[key]], key)
        if self.query not in form.axes:
            first = form.start[key] + (self.order is Order.AHEAD)
            return np.take(form.array, range(first, form.array.shape[key]), key)
        query = form.axes.index(self.query)
        at = np.arange(form.array.shape[query])[:, None] - form.start[query]
        of = np.arange(form.array.shape[key])[None, :] - form.start[key]
        wanted = (of > at if self.order is Order.AHEAD else of == at) & (at >= 0) & (of >= 0)
        found: npt.NDArray[np.generic] = np.moveaxis(form.array, (query, key), (0, 1))[wanted]
        return found

    def _given(self, form: Given) -> Interval:
        if self.binary and form.axis is not None:
            self.assumed.add(form.name)
            return (1.0, 1.0) if self.order is Order.FIRST and form.axis == self.key else TRUTH
        if form.kind == "b":
            return TRUTH
        return ANY if form.kind == "f" else (-_WIDEST, _WIDEST)

    def _applied(self, form: Apply) -> Interval:
        if form.operator == "Where":
            return self._where(*form.operands)
        if form.operator == "CumSum":
            return self._running_sum(form.operands[0])
        rule = _RULES.get(form.operator)
        if rule is None:
            return ANY
        low, high = rule(*(self.bounds(operand) for operand in form.operands))
        return ANY if math.isnan(low) or math.isnan(high) else _as_single((low, high))

    def _running_sum(self, form: Form) -> Interval:
        """Of up to as many entries as there may be, wherever they lie."""
        anywhere = Scene(_BEYOND, _BEYOND + 1, Order.FIRST, self.binary, farthest=self.farthest, largest=self.largest)
        anywhere.measure = self.measure
        low, high = anywhere.bounds(form)
        self.assumed.update(anywhere.assumed)
        return min(low, FARTHEST * low), max(high, FARTHEST * high)

    def _where(self, condition: Form, yes: Form, no: Form) -> Interval:
        replaced = isinstance(condition, Apply) and condition.operator == "IsNaN" and condition.operands == (no,)
        if replaced and isinstance(no, Weights):
            return _hull(self.bounds(yes), self._numbers_of(no))
        chosen = self.bounds(condition)
        if chosen == (1.0, 1.0):
            return self.bounds(yes)
        if chosen == ZERO:
            return self.bounds(no)
        return _hull(self.bounds(yes), self.bounds(no))


def between(size: Size, largest: float) -> Interval:
    """Return the least and the largest number that a size can be, if axes are no longer than `largest`.

    What is not the size of an axis, such as a quotient, may be a product of three of them.
    """
    least = most = 0.0
    for symbols, factor in size.terms.items():
        degree = sum(1 if symbol.dimension else 3 for symbol in symbols)
        end = float(factor) * largest ** min(degree, _HIGHEST)
        either = not all(symbol.dimension for symbol in symbols)
        least += -abs(end) if either else min(0.0, end) if symbols else end
        most += abs(end) if either else max(0.0, end) if symbols else end
    return least, most


def constant_of(form: Form) -> float | None:
    """Return the number that a form is everywhere; None if it is not, or that is not known."""
    low, high = bounds_anywhere(form)
    return low if low == high else None


def bounds_anywhere(form: Form, *, farthest: float = FARTHEST, largest: float = math.inf) -> Interval:
    """Return the least and the largest number that a form can be, wherever that is; see :class:`Scene`."""
    try:
        return Scene(_BEYOND, _BEYOND + 1, Order.FIRST, farthest=farthest, largest=largest).bounds(form)
    except Never:
        return ANY


#: Stands for e in ``key = query + 1 + e``.
_BEYOND = 1 << 30


def _hull(*intervals: Interval) -> Interval:
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def _add(a: Interval, b: Interval) -> Interval:
    return a[0] + b[0], a[1] + b[1]


def _negative(a: Interval) -> Interval:
    return -a[1], -a[0]


def _multiply(a: Interval, b: Interval) -> Interval:
    """0 times infinity is no number: then nothing is known."""
    products = [x * y for x in a for y in b]
    return ANY if any(math.isnan(product) for product in products) else (min(products), max(products))


def _divide(a: Interval, b: Interval) -> Interval:
    if b[0] <= 0 <= b[1] or math.inf in map(abs, b):
        return ANY
    return _multiply(a, (1 / b[1], 1 / b[0]))


def _absolute(a: Interval) -> Interval:
    return (0.0 if a[0] <= 0 <= a[1] else min(map(abs, a))), max(map(abs, a))


def _truth(yes: bool, no: bool) -> Interval:
    return (1.0, 1.0) if yes else ZERO if no else TRUTH


def _equal(a: Interval, b: Interval) -> Interval:
    return _truth(a == b and a[0] == a[1], a[1] < b[0] or b[1] < a[0])


def _as_truth(a: Interval) -> Interval:
    return _truth(a[0] > 0 or a[1] < 0, a == ZERO)


def _as_half(a: Interval) -> Interval:
    """What float16 cannot hold becomes infinite, or stays as it is where onnxruntime leaves the cast out."""
    return _rounded(a, _HALF, _HALF_LEAST, 11)


def _as_single(a: Interval) -> Interval:
    """What float32 makes of a result; float64 and integers are more exact."""
    return _rounded(a, _SINGLE, _SINGLE_LEAST, 24)


def _rounded(a: Interval, most: float, least: float, digits: int) -> Interval:
    """Return an interval that holds its numbers as they are, and as a type of so many binary digits rounds them.

    What is larger than `most` may become infinite, what is smaller than `least` may become 0.
    """
    return _rounded_down(a[0], most, least, digits), -_rounded_down(-a[1], most, least, digits)


def _rounded_down(end: float, most: float, least: float, digits: int) -> float:
    if math.isinf(end):
        return end
    low = end - _rounding(end, digits)
    if abs(low) < least:
        return 0.0 if low >= 0 else -least
    return -math.inf if low < -most else min(low, most)


def _rounding(end: float, digits: int) -> float:
    """How far rounding to so many binary digits may move a number."""
    fraction, _ = math.frexp(end)
    return 0.0 if math.ldexp(fraction, digits).is_integer() else abs(end) * 2.0**-digits


def _truncated(a: Interval) -> Interval:
    """bfloat16 has 8 bits for a number's digits."""
    return _rounded(a, _SINGLE, _SINGLE_LEAST, 8)


def _nearly(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    """A rising function that kernels compute up to a few last digits."""

    def bounds(a: Interval) -> Interval:
        low, high = function(a[0]), function(a[1])
        return low - abs(low) * _INEXACT, high + (0.0 if math.isinf(high) else abs(high) * _INEXACT)

    return bounds


def _rising(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    """A function whose results rise with its argument."""
    return lambda a: (function(a[0]), function(a[1]))


def _kept_in(ends: Interval) -> Callable[[Interval], Interval]:
    """Of integers that wrap around beyond these ends nothing is known."""
    return lambda a: a if is_within(a, ends) else ANY


def is_within(a: Interval, ends: Interval) -> bool:
    """Whether an interval lies between two numbers, of which the second one is none of its own."""
    return ends[0] <= a[0] and a[1] < ends[1]


def _exponential(value: float) -> float:
    return math.inf if value > 700 else math.exp(value)


_RULES: dict[str, Callable[..., Interval]] = {
    "Add": _add,
    "Sub": lambda a, b: _add(a, _negative(b)),
    "Mul": _multiply,
    "Div": _divide,
    "Neg": _negative,
    "Abs": _absolute,
    "Min": lambda *a: (min(low for low, _ in a), min(high for _, high in a)),
    "Max": lambda *a: (max(low for low, _ in a), max(high for _, high in a)),
    "Sum": lambda *a: a[0] if len(a) == 1 else _add(*a) if len(a) == 2 else ANY,
    "Not": lambda a: (1 - a[1], 1 - a[0]),
    "And": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "Or": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "Xor": lambda a, b: _truth({a, b} == {(1.0, 1.0), ZERO}, a == b and a != TRUTH),
    "Equal": _equal,
    "Less": lambda a, b: _truth(a[1] < b[0], a[0] >= b[1]),
    "LessOrEqual": lambda a, b: _truth(a[1] <= b[0], a[0] > b[1]),
    "Greater": lambda a, b: _truth(a[0] > b[1], a[1] <= b[0]),
    "GreaterOrEqual": lambda a, b: _truth(a[0] >= b[1], a[1] < b[0]),
    "IsNaN": lambda a: TRUTH,
    "IsInf": lambda a: TRUTH,
    "Cast:b": _as_truth,
    "Cast:i": _rising(lambda value: float(np.trunc(value))),
    "Cast:n": lambda a: a if a[0] >= 0 and a[1] <= _FITS_ALL else ANY,
    "Cast:f": lambda a: a,
    "Cast:e": _as_half,
    "Cast:t": _truncated,
    "Identity": lambda a: a,
    **{f"Wraps:{name}": _kept_in(ends) for name, ends in INTEGERS.items()},
    "Exp": _nearly(_exponential),
    "Tanh": _nearly(math.tanh),
    "Relu": _rising(lambda value: max(value, 0.0)),
    "Floor": _rising(lambda value: float(np.floor(value))),
    "Ceil": _rising(lambda value: float(np.ceil(value))),
    "Round": _rising(lambda value: float(np.round(value))),
    "Sqrt": lambda a: ANY if a[0] < 0 else (math.sqrt(a[0]), math.sqrt(a[1])),
}
