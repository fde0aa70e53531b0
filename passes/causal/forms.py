"""Forms: how the entries of a tensor are computed from their own positions, as far as masks are made that way.

A form is a tree of elementwise operators. Its leaves are position numbers, constants, tensors that the caller hands in,
and values of which nothing is known. Axes are counted from the back (-1, -2, …), so that trees of broadcast operands
fit together as they are. :mod:`bounds` says between which numbers a form lies where one position is later than
another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from actcache.passes.rows.sizes import ONE, ZERO, Size, const

MINUS = const(-1)
#: Larger trees are not followed.
MOST_PARTS = 64


@dataclass(frozen=True, slots=True)
class Affine:
    """Σ factor · (position along axis) + constant.

    Attributes:
        terms: Axis and factor (not 0), by axis.
        constant: May hold S, as a factor may: then the form is not stable.
    """

    terms: tuple[tuple[int, Size], ...] = ()
    constant: Size = ZERO

    def plus(self, other: Affine, factor: Size = ONE) -> Affine:
        """Return this form and `factor` times another together."""
        sums = dict(self.terms)
        for axis, own in other.terms:
            sums[axis] = sums.get(axis, ZERO) + factor * own
        terms = tuple((axis, sums[axis]) for axis in sorted(sums) if sums[axis] != ZERO)
        return Affine(terms, self.constant + other.constant * factor)


def along(axis: int) -> Affine:
    """Return the position along an axis."""
    return Affine(((axis, ONE),))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A constant: array[start[d] + position along axes[d], …]."""

    array: npt.NDArray[np.generic]
    axes: tuple[int, ...]
    start: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A tensor that the caller hands in.

    Attributes:
        name: Of the tensor.
        axis: Along which its own positions lie; None: unknown or none.
        kind: numpy's kind of its type: ``b``, ``i``, ``u``, ``f``.
    """

    name: str
    axis: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Some:
    """A value between two numbers, or any (finite) result of a computation."""

    low: float = -math.inf
    high: float = math.inf
    stable: bool = True


@dataclass(frozen=True, slots=True)
class Computed(Some):
    """What a computation from data gives.

    Attributes:
        tensor: Its name; "": it has none.
    """

    tensor: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """Numbers from 0 to 1 that are 0 where the position along `key` is later than that along `query`.

    Attributes:
        query: Axis of the query.
        key: Axis of the key.
        binary: Masks that the caller hands in. If they do not hold what :attr:`Scene.binary` says, a query may have
            no number at all (NaN) for its keys, as all of them are closed. None: that may be in any case.
    """

    query: int
    key: int
    binary: frozenset[str] | None = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Forms one after the other along the last axis, each for one place there: coordinates."""

    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """An elementwise operator: its ONNX name, or for casts ``Cast:b`` to truths, ``Cast:i`` to integers that count
    positions, ``Cast:n`` to smaller ones, ``Cast:f`` to floats, ``Cast:e`` to float16, ``Cast:t`` to bfloat16. Or
    ``Wraps:int32`` and the like: what a type of integers makes of numbers that it may not hold.
    """

    operator: str
    operands: tuple[Form, ...]
    parts: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", 1 + sum(parts(operand) for operand in self.operands))


Form: TypeAlias = Affine | Table | Given | Some | Weights | Stack | Apply

#: What a computation from data gives: no model's scores come near the numbers that masks are made of. Those of float16
#: end at 65504: a mask of -65504 that is added closes scores as long as they are within half of that.
COMPUTED, COMPUTED_HALF = Computed(-1e28, 1e28), Computed(-3e4, 3e4)


def parts(form: Form) -> int:
    """Return the number of operators and leaves."""
    return form.parts if isinstance(form, Apply) else 1


def is_stable(form: Form) -> bool:
    """Return whether the number of positions is nowhere in it."""
    if isinstance(form, Affine):
        return not (form.constant.batch or any(factor.batch for _, factor in form.terms))
    if isinstance(form, Apply | Stack):
        return all(map(is_stable, form.operands if isinstance(form, Apply) else form.parts))
    return form.stable if isinstance(form, Some) else True


def is_exact(form: Form) -> bool:
    """Return whether every leaf says what it is: then the form tells by itself if the number of positions matters."""
    if isinstance(form, Apply | Stack):
        return all(map(is_exact, form.operands if isinstance(form, Apply) else form.parts))
    return isinstance(form, Affine | Table)


def applied(operator: str, operands: tuple[Form, ...]) -> Form:
    """Return an operator on forms; sums and differences of position numbers are followed exactly, as if their types
    held all numbers (:mod:`ranges`).
    """
    affine = [form for form in operands if isinstance(form, Affine)]
    if len(affine) == len(operands) and operator in _EXACT:
        exact = _EXACT[operator](*affine)
        if exact is not None:
            return exact
    if operator in _COMPARISONS and len(affine) == 2:
        operands = (affine[0].plus(affine[1], MINUS), Affine())  # what both have in common, S as well, goes
    form = Apply(operator, operands)
    return form if form.parts <= MOST_PARTS else Some(stable=is_stable(form))


def _product(a: Affine, b: Affine) -> Affine | None:
    for one, other in ((a, b), (b, a)):
        if not one.terms:
            return Affine().plus(other, one.constant)
    return None


_EXACT: dict[str, Callable[..., Affine | None]] = {
    "Add": lambda a, b: a.plus(b),
    "Sub": lambda a, b: a.plus(b, MINUS),
    "Neg": lambda a: Affine().plus(a, MINUS),
    "Mul": _product,
    "Cast:i": lambda a: a,
    "Cast:f": lambda a: a,
    "Identity": lambda a: a,
}
_COMPARISONS = frozenset({"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"})


def substitute(
    form: Form, places: Mapping[int, Affine | None], given: Mapping[int, Affine | None] | None = None
) -> Form:
    """Return the form with positions along axes replaced; None: by something that is not known.

    Axes that are not in `places` stay. `given`: the same for what the caller hands in, if it is not the same.
    """
    if isinstance(form, Affine):
        return substitute_affine(form, places) or Some(stable=is_stable(form))
    if isinstance(form, Table):
        return _substituted_table(form, places)
    if isinstance(form, Given):
        return form if form.axis is None else replace(form, axis=_moved(form.axis, places if given is None else given))
    if isinstance(form, Weights):
        query, key = (_moved(axis, places) for axis in (form.query, form.key))
        return Some() if query is None or key is None else replace(form, query=query, key=key)
    if isinstance(form, Stack):
        return (
            Some(stable=is_stable(form))
            if -1 in places
            else Stack(tuple(substitute(part, places, given) for part in form.parts))
        )
    if isinstance(form, Apply):
        return Apply(form.operator, tuple(substitute(operand, places, given) for operand in form.operands))
    return form


def substitute_affine(form: Affine, places: Mapping[int, Affine | None]) -> Affine | None:
    """Return a sum with positions replaced; None where something is not known."""
    result = Affine((), form.constant)
    for axis, factor in form.terms:
        new = places.get(axis, along(axis))
        if new is None:
            return None
        result = result.plus(new, factor)
    return result


def plain_axis(place: Affine) -> int | None:
    """Return the axis, if a position is exactly that along one axis."""
    return place.terms[0][0] if place.constant == ZERO and len(place.terms) == 1 and place.terms[0][1] == ONE else None


def _moved(axis: int, places: Mapping[int, Affine | None]) -> int | None:
    new = places.get(axis, along(axis))
    return None if new is None else plain_axis(new)


def _substituted_table(table: Table, places: Mapping[int, Affine | None]) -> Form:
    array, axes, start = table.array, [], []
    for axis, first in zip(table.axes, table.start, strict=True):
        new = places.get(axis, along(axis))
        shift = None if new is None else new.constant.value
        if new is None or shift is None or len(new.terms) > 1 or any(factor != ONE for _, factor in new.terms):
            return range_of(table.array, stable=new is None or not new.constant.batch)
        if new.terms:
            axes.append(new.terms[0][0])
            start.append(first + shift)
        elif 0 <= first + shift < array.shape[len(axes)]:
            array = np.take(array, first + shift, len(axes))
        else:
            return range_of(table.array)
    if len(set(axes)) < len(axes) or any(first < 0 for first in start):
        return range_of(table.array)
    return Table(array, tuple(axes), tuple(start))


def range_of(array: npt.NDArray[np.generic], *, stable: bool = True) -> Some:
    """Return what is known of some entry of a constant."""
    if not array.size or array.dtype.kind not in "biuf":
        return Some(stable=stable)
    low, high = float(array.min()), float(array.max())
    return Some(stable=stable) if math.isnan(low) or math.isnan(high) else Some(low, high, stable)


def table(array: npt.NDArray[np.generic]) -> Form | None:
    """Return the form of a constant; None for one that holds no numbers."""
    if array.dtype.name == "bfloat16":  # numpy knows no kind of it
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        return None
    if array.size == 1 and array.dtype.kind in "iu":
        return Affine((), const(int(array.reshape(-1)[0])))
    wide = [dim for dim, size in enumerate(array.shape) if size != 1]
    return Table(
        array.reshape([array.shape[dim] for dim in wide]), tuple(d - array.ndim for d in wide), (0,) * len(wide)
    )
