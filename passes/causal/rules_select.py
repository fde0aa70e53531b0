"""Causal rules of operators that put tensors together, cut parts out, or pick entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actcache.passes.causal.forms import Affine, Form, applied, is_stable, substitute, table
from actcache.passes.causal.joining import axes_of, lost
from actcache.passes.causal.registry import MICROSOFT, Op, Result, known, rule, stable
from actcache.passes.causal.rules_elementwise import form_of
from actcache.passes.causal.state import Counted, LooksAhead, Place, Places, S, State, Value
from actcache.passes.rows.rules_select import slice_bounds, slice_reaches, slice_size, split_parts
from actcache.passes.rows.sizes import ONE, ZERO, Size, const


@rule("Concat")
def concat(op: Op) -> Result:
    """Joins along an axis that is not one of positions; what has no positions is joined with every position's."""
    values = op.present
    rank = len(known(values[0]))
    axis = op.axis(1, rank)
    places: dict[int, Place] = {}
    for value in values:
        if any(place.axis == axis for place in value.places):
            raise LooksAhead("concat-positions", "Concat joins along the axis of positions")
        for place in value.places:
            if places.setdefault(place.axis, place) != place:
                raise LooksAhead(
                    "positions-misaligned", "Concat joins tensors that flatten their positions differently"
                )
    total = sum((known(value)[axis] for value in values), ZERO)
    sizes = list(known(next((v for v in values if v.places), values[0])))
    sizes[axis] = total
    state = stable(tuple(places[a] for a in sorted(places)), values)
    form = lost(next((value.form for value in values if value.form is not None), None))
    result = Value(state, tuple(sizes), form=form)
    return Result([result], {index: axes_of(value) for index, value in enumerate(values)})


@rule("Split")
def split(op: Op) -> Result:
    """Cuts along an axis that is not one of positions."""
    x = op.need(0)
    op.fixed(1)
    axis = op.axis(0, len(known(x)))
    if any(place.axis == axis for place in x.places):
        raise LooksAhead("split-positions", "Split cuts along the axis of positions")
    parts = split_parts(op.rows, known(x)[axis], len(op.node.output))
    shapes = [(*known(x)[:axis], part, *known(x)[axis + 1 :]) for part in parts]
    return Result([Value(stable(x.places, [x]), sizes, form=lost(x.form)) for sizes in shapes], {0: axes_of(x)})


@rule("Slice")
def slice_(op: Op) -> Result:
    """Takes a range; along positions all of it. A part of S positions of a constant has its first S ones."""
    x = op.need(0)
    rank = len(known(x))
    starts, ends, axes, steps = slice_bounds(op.rows, rank)
    sizes = list(known(x))
    shifts: dict[int, Affine | None] = {}
    places: Places = x.places
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step != ONE:
            if any(place.axis == axis for place in places):
                raise LooksAhead("slice-positions", "Slice changes the order of positions, or takes some of them")
            shifts[axis - rank] = None
        elif start == ZERO and slice_reaches(end, sizes[axis]):
            continue
        elif any(place.axis == axis for place in places):
            raise LooksAhead("slice-positions", _part_of_positions(start))
        else:
            shifts[axis - rank] = Affine(((axis - rank, 1),), start) if start.sign() in (0, 1) else None
        sizes[axis] = _taken(op, sizes[axis], start, end, step)
    _not_from_positions(x, sizes)
    form = x.form if x.form is not None else _form_of_constant(x)
    form = substitute(form, shifts) if form is not None else None
    places = tuple(sorted([*places, *_new_places(x, sizes)], key=lambda place: place.axis))
    return Result([Value(_sliced_state(x, places, form), tuple(sizes), form=form)], {0: axes_of(x)})


def _taken(op: Op, size: Size, start: Size, end: Size, step: Size) -> Size:
    """The size of what is taken. Of a constant of T positions, the first S or so: S, or the run fails later."""
    if step == ONE and (size.value or 0) > 1 and start.dimension and (end - start).dimension and end.batch:
        return end - start
    return slice_size(op.rows, size, start, end, step)


def _part_of_positions(start: Size) -> str:
    if (start.value is not None and start.value < 0) or start.batch:
        return "Slice takes the last positions"
    return "Slice takes some of the positions"


def _not_from_positions(x: Value, sizes: Sequence[Size]) -> None:
    if x.data and any(size.batch for axis, size in enumerate(sizes) if all(p.axis != axis for p in x.places)):
        raise LooksAhead("size-from-positions", "the number of positions decides which part is taken")


def _new_places(x: Value, sizes: Sequence[Size]) -> list[Place]:
    own = {place.axis for place in x.places}
    return [Place(axis) for axis, size in enumerate(sizes) if size == S and axis not in own]


def _form_of_constant(x: Value) -> Form | None:
    array = x.array() if x.is_constant else None
    return None if array is None else table(array)


def _sliced_state(x: Value, places: Places, form: Form | None) -> State:
    if x.data:
        return stable(places, [x])
    if not places:
        return stable((), [x])
    return Counted(places, form is not None and is_stable(form))


@rule("Gather")
def gather(op: Op) -> Result:
    """out[a…, i…, b…] = data[a…, index[i…], b…]: constants by data (embeddings), data by constants."""
    data, index = op.need(0), op.need(1)
    rank, wide = len(known(data)), len(known(index))
    axis = op.axis(0, rank)
    if any(place.axis == axis for place in data.places):
        raise LooksAhead("pick-positions", _picked(op))
    moved = {a: a if a < axis else a + wide - 1 for a in range(rank) if a != axis}
    chosen = {a: a + axis for a in range(wide)}
    places = [replace(p, axis=moved[p.axis]) for p in data.places]
    places += [replace(p, axis=chosen[p.axis]) for p in index.places]
    state = stable(tuple(sorted(places, key=lambda place: place.axis)), [data, index])
    sizes = (*known(data)[:axis], *known(index), *known(data)[axis + 1 :])
    form = _gathered_form(data, index, axis, len(sizes))
    return Result([Value(state, sizes, form=form)], {0: moved, 1: chosen})


def _picked(op: Op) -> str:
    try:
        picked = op.integers(1)
    except Exception:
        picked = None
    if picked is not None and len(picked) == 1:
        which = "the last position" if picked[0] == -1 else f"position {picked[0]}"
        return f"it takes {which} of the sequence"
    return "it picks positions of the sequence by number"


def _gathered_form(data: Value, index: Value, axis: int, rank: int) -> Form | None:
    """Of a constant of one axis, looked up by position."""
    if data.form is None and index.form is None:
        return None
    array = data.array() if data.is_constant else None
    if array is not None and array.ndim == 1 and isinstance(index.form, Affine):
        found = table(array)
        return None if found is None else substitute(found, {-1: index.form})
    return lost(data.form if data.form is not None else index.form)


@rule("GatherElements")
def gather_elements(op: Op) -> Result:
    """Positions agree on every axis but the one indexed."""
    data, index = op.need(0), op.need(1)
    axis = op.axis(0, len(known(data)))
    places = {place.axis: place for value in (data, index) for place in value.places}
    if axis in places:
        raise LooksAhead("pick-positions", "GatherElements picks positions of the sequence by number")
    for value in (data, index):
        if {place.axis for place in value.places} != set(places):
            raise LooksAhead("positions-misaligned", "GatherElements reads a tensor without positions at each position")
    state = stable(tuple(places[a] for a in sorted(places)), [data, index])
    return Result([Value(state, known(index), form=lost(data.form))], {0: axes_of(data), 1: axes_of(index)})


@rule("Trilu")
@rule("Trilu", domain=MICROSOFT)
def trilu(op: Op) -> Result:
    """Zeros above or below a diagonal of the last two axes."""
    x, moved = op.need(0), Affine()
    if op.get(1) is not None:
        content = op.content(1)
        if content is None:
            raise LooksAhead("mask-unknown", "Trilu with a diagonal that is not known")
        moved = Affine((), content.reshape(-1)[0])
    difference = Affine(((-2, -1), (-1, 1)))
    operator = "GreaterOrEqual" if op.attribute("upper", 1) else "LessOrEqual"
    kept = applied(operator, (difference, moved))
    form = applied("Where", (kept, form_of(x, op.types[0]), Affine()))
    state = x.state
    if x.data and not is_stable(form):
        raise LooksAhead("size-in-data", "the number of positions decides which part Trilu keeps")
    if isinstance(state, Counted):
        state = Counted(state.places, is_stable(form))
    return Result(
        [Value(state, known(x), form=form)], {0: axes_of(x)}, whole=frozenset(range(len(known(x)) - 2, len(known(x))))
    )


@rule("Pad")
def pad(op: Op) -> Result:
    """Adds a border; none along positions."""
    op.fixed(1, 2, 3)
    x = op.need(0)
    rank = len(known(x))
    given, content = op.attribute("pads"), op.content(1)
    pads = [const(n) for n in given] if given is not None else None if content is None else list(content.reshape(-1))
    axes = op.rows.axes(rank, position=3) or list(range(rank))
    if pads is None or len(pads) != 2 * len(axes):
        raise LooksAhead("pad-unknown", "Pad by numbers that are not known")
    sizes = list(known(x))
    for number, axis in enumerate(axes):
        front, back = pads[number], pads[number + len(axes)]
        if any(place.axis == axis for place in x.places) and (front, back) != (ZERO, ZERO):
            raise LooksAhead("pad-positions", "Pad adds positions to the sequence")
        sizes[axis] = sizes[axis] + front + back
    return Result([Value(stable(x.places, [x]), tuple(sizes), form=lost(x.form))], {0: axes_of(x)})
