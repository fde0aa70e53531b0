"""Causal rules of writing into a tensor: exporters fill parts of masks so (``mask[:, :, :, :n] = …``).

What is followed writes a box: every entry that is written has the coordinates of its place in the updates, each moved
by a number. Then the result is the updates inside of the box, and what was there before outside. onnxruntime refuses
coordinates beyond the data, and updates whose sizes are not those of the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from actcache.passes.causal.forms import MINUS, Affine, Form, Some, along, applied, is_stable, plain_axis, substitute
from actcache.passes.causal.joining import axes_of, lost
from actcache.passes.causal.registry import SIZE_IN_DATA, Op, Result, counted, known, rule, stable
from actcache.passes.causal.rules_elementwise import form_of
from actcache.passes.causal.rules_index import coordinates
from actcache.passes.causal.state import Counted, Fixed, LooksAhead, Place, Places, S, State, Value
from actcache.passes.rows.sizes import ONE, ZERO, Size
from actcache.passes.rows.state import Shape

_ELSEWHERE = "it writes positions of the sequence by number, or what is handed in decides where it writes"


@dataclass(frozen=True)
class _Box:
    """What is written.

    Attributes:
        starts: Along each axis of the data the first entry.
        sizes: How many entries.
        axes: Along which axis of the updates these lie; None: there is one, and no axis for it.
    """

    starts: tuple[Size, ...]
    sizes: tuple[Size, ...]
    axes: tuple[int | None, ...]

    def inside(self, shape: Shape) -> Form | None:
        """Return the form of the truth that an entry of data of this shape is written; None: every one is."""
        found = list(self._bounds(shape))
        return reduce(lambda a, b: applied("And", (a, b)), found) if found else None

    def _bounds(self, shape: Shape) -> Iterator[Form]:
        for axis, (start, size, whole) in enumerate(zip(self.starts, self.sizes, shape, strict=True)):
            place = along(axis - len(shape))
            if start != ZERO:
                yield applied("GreaterOrEqual", (place, Affine((), start)))
            if start + size != whole:
                yield applied("Less", (place, Affine((), start + size)))

    def of_updates(self, rank: int) -> dict[int, Affine | None]:
        """Return where an entry of the data lies along each axis of updates of this rank, counted from the back."""
        found: dict[int, Affine | None] = {axis: Affine() for axis in range(-rank, 0)}
        for axis, own in enumerate(self.axes):
            if own is not None:
                found[own - rank] = along(axis - len(self.axes)).plus(Affine((), self.starts[axis]), MINUS)
        return found

    def covers(self, axis: int, size: Size) -> bool:
        """Whether all entries along an axis of this size are written, each at its own place."""
        return self.starts[axis] == ZERO and self.sizes[axis] == size


@rule("ScatterND")
def scatter_nd(op: Op) -> Result:
    """data[index[i…, :], r…] = updates[i…, r…]."""
    data, index = op.need(0), op.need(1)
    count = known(index)[-1].value
    if count is None or not 0 < count <= len(known(data)):
        raise LooksAhead("scatter-positions", "ScatterND writes at coordinates that are not known")
    parts = coordinates(index, count)
    box = _box_of_coordinates(parts, known(data), known(index))
    if box is None and _is_of_own_positions(parts, data, index, op.need(2)):
        _replaces(op)
        return Result([Value(Counted(data.places, True), known(data), form=Some())])
    return _written(op, box)


def _is_of_own_positions(parts: list[Affine | None], data: Value, index: Value, updates: Value) -> bool:
    """Whether each position of what holds no data is written at itself, in whatever entries of its own: sines at even
    features, cosines at odd ones.
    """
    if any(part.data or not part.stable for part in (data, index, updates)) or len(data.places) != 1:
        return False
    axis, wide = data.places[0].axis, len(known(index)) - 1
    own: Places = ()
    at: int | None = axis - len(parts) + wide  # behind the coordinates: whole rows
    if axis < len(parts):
        place = parts[axis]
        at = None if place is None else plain_axis(place)
        at = None if at is None or at == -1 else at + wide + 1
        own = () if at is None else (Place(at),)
    return at is not None and index.places == own and updates.places == (Place(at),) and data.places[0].plain


def _box_of_coordinates(parts: list[Affine | None], data: Shape, index: Shape) -> _Box | None:
    """The box that is written, where each coordinate goes along an axis of the index of its own, or is one number."""
    wide = len(index) - 1
    starts, sizes, axes = [], [], []
    for part in parts:
        if part is None or len(part.terms) > 1 or not part.constant.dimension:
            return None
        axis = wide + 1 + part.terms[0][0] if part.terms else None
        if axis is not None and (part.terms[0][1] != ONE or axis == wide):
            return None
        starts.append(part.constant)
        sizes.append(ONE if axis is None else index[axis])
        axes.append(axis)
    along_index = [axis for axis in axes if axis is not None]
    unused = [size for axis, size in enumerate(index[:wide]) if axis not in along_index]
    if len(set(along_index)) < len(along_index) or any(size != ONE for size in unused):
        return None  # some entries are written twice, or a diagonal is
    rest = range(len(parts), len(data))
    return _Box(
        (*starts, *[ZERO] * len(rest)),
        (*sizes, *[data[axis] for axis in rest]),
        (*axes, *[axis - len(parts) + wide for axis in rest]),
    )


@rule("ScatterElements", "Scatter")
def scatter_elements(op: Op) -> Result:
    """data[…, index[…, i, …], …] = updates[…, i, …], with the place of i along `axis`."""
    data, index, updates = op.need(0), op.need(1), op.need(2)
    rank = len(known(data))
    axis = op.axis(0, rank)
    if _is_of_features(axis, data, index, updates):
        _replaces(op)
        value = Value(stable(data.places, [data, index, updates]), known(data), form=Some() if data.form else None)
        return Result([value], {slot: axes_of(part) for slot, part in enumerate((data, index, updates))})
    form, box = index.form, None
    if isinstance(form, Affine) and form.terms == along(axis - rank).terms and form.constant.dimension:
        starts = [form.constant if a == axis else ZERO for a in range(rank)]
        box = _Box(tuple(starts), tuple(known(index)), tuple(range(rank)))
    return _written(op, box)


def _is_of_features(axis: int, *parts: Value) -> bool:
    """Whether every position writes into its own features alone, along an axis of these."""
    places = parts[0].places
    own = all(part.places == places for part in parts) and all(place.plain and place.axis != axis for place in places)
    return own and any(part.data for part in parts)


def _replaces(op: Op) -> None:
    if op.attribute("reduction", "none") != "none":
        raise LooksAhead("not-followed", f"{op.node.op_type} that combines what it writes with what was there")


def _written(op: Op, box: _Box | None) -> Result:
    """The result of writing `updates` into `data`; None: it is not known where."""
    _replaces(op)
    data, index, updates = op.need(0), op.need(1), op.need(2)
    shape, new = known(data), form_of(updates, op.types[2])
    if box is None:
        inside: Form | None = Some(0, 1, stable=False)  # numbers below 0 count from the end
        new = lost(new) or new
    else:
        inside, new = box.inside(shape), substitute(new, box.of_updates(len(known(updates))))
    form = new if inside is None else applied("Where", (inside, new, form_of(data, op.types[0])))
    if not any(part.data for part in (data, index, updates)):
        return Result([Value(_without_data(op, shape, form), shape, form=form)])
    if box is None or index.data or not (inside is None or is_stable(inside)):
        raise LooksAhead("scatter-positions", _ELSEWHERE)
    if not is_stable(form):
        raise LooksAhead("size-in-data", SIZE_IN_DATA)
    places = _places(box, inside, data, updates)
    state = stable(tuple(places[axis] for axis in sorted(places)), [data, index, updates])
    return Result([Value(state, shape, form=form)], {0: axes_of(data)}, whole=frozenset(places), resumed=True)


def _without_data(op: Op, shape: Shape, form: Form) -> State:
    if all(isinstance(part.state, Fixed) for part in op.present):
        return op.present[0].state
    places = tuple(Place(axis) for axis, size in enumerate(shape) if size == S)
    return counted(places, form, kept=all(part.stable for part in op.present))


def _places(box: _Box, inside: Form | None, data: Value, updates: Value) -> Mapping[int, Place]:
    """Where positions lie: each is written as a whole, or those that have numbers of their own are."""
    places = {place.axis: place for place in data.places}
    if inside is not None and not all(place.plain for place in (*data.places, *updates.places)):
        raise LooksAhead("scatter-positions", _ELSEWHERE)
    for place in updates.places:
        axis = box.axes.index(place.axis) if place.axis in box.axes else None
        if axis is None or not box.covers(axis, known(data)[axis]):
            raise LooksAhead("scatter-positions", _ELSEWHERE)
        moved = replace(place, axis=axis)
        if places.setdefault(axis, moved) != moved:
            raise LooksAhead("positions-misaligned", "what is written flattens its positions differently")
    return places
