"""Causal rules of looking things up: by data, or by numbers of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from actcache.passes.causal.forms import (
    Affine,
    Form,
    Some,
    Stack,
    Table,
    along,
    is_stable,
    plain_axis,
    range_of,
    substitute,
    substitute_affine,
)
from actcache.passes.causal.joining import axes_of, lost
from actcache.passes.causal.registry import Op, Result, counted, known, rule, stable
from actcache.passes.causal.rules_elementwise import form_of_constant
from actcache.passes.causal.state import Counted, Fixed, LooksAhead, Place, S, Value
from actcache.passes.rows.sizes import ONE, ZERO, const, product
from actcache.passes.rows.state import Mixes

#: Constants of so many elements are looked through for the least and the largest.
SMALL = 1 << 16


@rule("Gather")
def gather(op: Op) -> Result:
    """out[a…, i…, b…] = data[a…, index[i…], b…]: constants by data (embeddings), data by constants."""
    data, index = op.need(0), op.need(1)
    rank, wide = len(known(data)), len(known(index))
    axis = op.axis(0, rank)
    if any(place.axis == axis for place in data.places):
        return _own_entries(op, data, index, axis)
    moved = {a: a if a < axis else a + wide - 1 for a in range(rank) if a != axis}
    chosen = {a: a + axis for a in range(wide)}
    places = [replace(p, axis=moved[p.axis]) for p in data.places]
    places += [replace(p, axis=chosen[p.axis]) for p in index.places]
    state = stable(tuple(sorted(places, key=lambda place: place.axis)), [data, index])
    sizes = (*known(data)[:axis], *known(index), *known(data)[axis + 1 :])
    form = _gathered_form(data, index, axis, len(sizes))
    return Result([Value(state, sizes, form=form)], {0: moved, 1: chosen})


def _own_entries(op: Op, data: Value, index: Value, axis: int) -> Result:
    """Data whose rows and positions are flattened, each position's own entry of each row: by row·S + position."""
    place = next(place for place in data.places if place.axis == axis)
    wide, form = len(known(index)), index.form
    factors = dict(form.terms) if isinstance(form, Affine) and form.constant == ZERO else {}
    own = [a for a, factor in factors.items() if factor == ONE and known(index)[a] == S]
    row = [a for a, factor in factors.items() if factor == S and known(index)[a] == place.before]
    by_both = len(factors) == 2 and len(row) == 1 and place.block == ONE and not place.bounded
    if axis or len(own) != 1 or not (by_both or (place.plain and len(factors) == 1)):
        raise LooksAhead("pick-positions", _picked(op))
    new = own[0] + wide
    sizes = (*known(index), *known(data)[1:])
    found = None
    if data.form is not None:
        nothing = {a - len(known(data)): None for a in range(len(known(data)))}
        found = substitute(data.form, nothing, {**nothing, -len(known(data)): along(new - len(sizes))})
    return Result([Value(stable((Place(new),), [data]), sizes, form=found)], {1: {a: a for a in range(wide)}})


def _picked(op: Op) -> str:
    try:
        picked = op.integers(1)
    except Mixes:
        picked = None
    if picked is not None and len(picked) == 1:
        which = "the last position" if picked[0] == -1 else f"position {picked[0]}"
        return f"it takes {which} of the sequence"
    return "it picks positions of the sequence by number"


def _gathered_form(data: Value, index: Value, axis: int, rank: int) -> Form | None:
    """Of constants and numbers that are looked up by position."""
    if data.form is None and index.form is None:
        return None
    form = data.form if data.form is not None else _form_of_mask(data)
    if data.is_constant and not isinstance(index.form, Affine):
        return _one_of(data, index.form)
    if form is None or data.data or not _counts_from_the_front(index.form):
        return lost(data.form) or Some(stable=data.stable and index.stable)
    own, wide = len(known(data)), len(known(index))
    places: dict[int, Affine | None] = {a - own: along(a - rank) for a in range(axis)}
    places |= {a - own: along(a + wide - 1 - rank) for a in range(axis + 1, own)}
    places[axis - own] = substitute_affine(index.form, {a - wide: along(axis + a - rank) for a in range(wide)})
    return substitute(form, places)


def _counts_from_the_front(form: Form | None) -> TypeGuard[Affine]:
    """Whether numbers are followed and never negative: those count from the end."""
    return isinstance(form, Affine) and all(size.dimension for size in (form.constant, *dict(form.terms).values()))


def _one_of(data: Value, index: Form | None) -> Form | None:
    """Some entry of a small constant."""
    count = product(known(data)).value
    found = form_of_constant(data) if count is not None and count <= SMALL else None
    kept = index is None or is_stable(index)
    return range_of(found.array, stable=kept) if isinstance(found, Table) else Some(stable=kept)


def _form_of_mask(data: Value) -> Form | None:
    """The form of a constant that may be a mask: of few bits, of one axis, or square."""
    sizes = known(data)
    square = len(sizes) >= 2 and sizes[-1] == sizes[-2]
    return form_of_constant(data) if len(sizes) == 1 or square else None


@rule("GatherND")
def gather_nd(op: Op) -> Result:
    """out[i…] = data[index[i…, 0], index[i…, 1], …]: each position's own entry, or numbers by position."""
    data, index = op.need(0), op.need(1)
    rank, wide = len(known(data)), len(known(index))
    count = known(index)[-1].value
    if op.attribute("batch_dims", 0) or count is None or count > rank:
        raise LooksAhead("pick-positions", "GatherND picks entries by rows, or by coordinates that are not known")
    parts = coordinates(index, count)
    sizes = (*known(index)[:-1], *known(data)[count:])
    chosen = {a: a for a in range(wide - 1)}
    rest = {a: a - count + wide - 1 for a in range(count, rank)}
    places = {rest[p.axis]: replace(p, axis=rest[p.axis]) for p in data.places if p.axis in rest}
    if any(place.axis == wide - 1 for place in index.places):
        raise LooksAhead("pick-positions", "GatherND takes positions for coordinates")
    places |= {p.axis: p for p in index.places}
    moved = {a - wide: along(a - len(sizes)) for a in range(wide - 1)}
    where = [None if part is None else substitute_affine(part, moved) for part in parts]
    for place in data.places:
        if place.axis not in rest:
            own = where[place.axis]
            axis = None if own is None else plain_axis(own)
            if not place.plain or axis is None or sizes[axis] != S:
                raise LooksAhead("pick-positions", "GatherND picks positions of the sequence by number")
            places.setdefault(axis + len(sizes), Place(axis + len(sizes)))
    known_places = {a - rank: where[a] for a in range(count)} | {a - rank: along(rest[a] - len(sizes)) for a in rest}
    form = None if data.form is None else substitute(data.form, known_places)
    state = stable(tuple(places[a] for a in sorted(places)), [data, index])
    if isinstance(state, Counted) and form is not None:
        state = counted(state.places, form, kept=state.stable)
    return Result([Value(state, sizes, form=form)], {0: rest, 1: chosen})


def coordinates(index: Value, count: int) -> list[Affine | None]:
    """Return what each coordinate of an index is, by the positions along the index's axes; None: not known."""
    array = index.array() if index.is_constant else None
    parts: Sequence[Form | None] = index.form.parts if isinstance(index.form, Stack) else (index.form,)
    if array is not None and 0 < array.size <= SMALL:
        parts = [_counted(array[..., number]) for number in range(count)]
    if len(parts) != count:
        return [None] * count
    return [part if _counts_from_the_front(part) else None for part in parts]


def _counted(array: npt.NDArray[np.generic]) -> Affine | None:
    """Numbers that go on by one along an axis of an index, or are all the same; that has an axis more."""
    first = int(array.reshape(-1)[0])
    if (array == first).all():
        return Affine((), const(first))
    for axis, size in enumerate(array.shape):
        numbers = first + np.arange(size).reshape(-1, *[1] * (array.ndim - axis - 1))
        if (array == numbers).all():
            return along(axis - array.ndim - 1).plus(Affine((), const(first)))
    return None


@rule("GatherElements")
def gather_elements(op: Op) -> Result:
    """Positions agree on every axis but the one indexed."""
    data, index = op.need(0), op.need(1)
    axis = op.axis(0, len(known(data)))
    if isinstance(data.state, Fixed):  # every position looks up what it wants
        form = _one_of(data, index.form) if data.is_constant else lost(data.form)
        value = Value(stable(index.places, [data, index]), known(index), form=form)
        return Result([value], {1: {axis: axis}})
    places = {place.axis: place for value in (data, index) for place in value.places}
    if axis in places:
        raise LooksAhead("pick-positions", "GatherElements picks positions of the sequence by number")
    for value in (data, index):
        if {place.axis for place in value.places} != set(places):
            raise LooksAhead("positions-misaligned", "GatherElements reads a tensor without positions at each position")
    state = stable(tuple(places[a] for a in sorted(places)), [data, index])
    return Result([Value(state, known(index), form=lost(data.form))], {0: axes_of(data), 1: axes_of(index)})
