"""Causal rules of operators that put tensors together, cut parts out, or pick entries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from actcache.passes.causal.forms import (
    MINUS,
    Affine,
    Form,
    Some,
    Stack,
    Table,
    along,
    applied,
    is_stable,
    plain_axis,
    range_of,
    substitute,
    substitute_affine,
    table,
)
from actcache.passes.causal.joining import axes_of, lost
from actcache.passes.causal.registry import MICROSOFT, Op, Result, known, rule, stable
from actcache.passes.causal.rules_elementwise import form_of
from actcache.passes.causal.state import Counted, LooksAhead, Place, Places, S, State, Value
from actcache.passes.rows.rules_select import slice_bounds, slice_reaches, slice_size, split_parts
from actcache.passes.rows.sizes import ONE, ZERO, Size, const, product

#: Constants of so many elements are looked through for the least and the largest.
SMALL = 1 << 16


@rule("Concat")
def concat(op: Op) -> Result:
    """Joins along an axis that is not one of data's positions. What has none is joined with every position's."""
    values = op.present
    rank = len(known(values[0]))
    axis = op.axis(1, rank)
    places: dict[int, Place] = {}
    for value in values:
        for place in value.places:
            if place.axis == axis and any(value.data for value in values):
                raise LooksAhead("concat-positions", "Concat joins along the axis of positions")
            if place.axis != axis and places.setdefault(place.axis, place) != place:
                raise LooksAhead(
                    "positions-misaligned", "Concat joins tensors that flatten their positions differently"
                )
    total = sum((known(value)[axis] for value in values), ZERO)
    sizes = list(known(next((v for v in values if v.places), values[0])))
    sizes[axis] = total
    state = stable(tuple(places[a] for a in sorted(places)), values)
    form = _joined_form(op, values, axis, rank)
    if isinstance(state, Counted):
        if total == S:
            places[axis] = Place(axis)
        is_kept = is_stable(form) if form is not None else state.stable and not total.batch
        state = Counted(tuple(places[a] for a in sorted(places)), is_kept)
    result = Value(state, tuple(sizes), form=form)
    return Result([result], {index: axes_of(value) for index, value in enumerate(values)})


def _joined_form(op: Op, values: Sequence[Value], axis: int, rank: int) -> Form | None:
    """Coordinates side by side, or position numbers that go on from part to part."""
    if all(value.form is None for value in values):
        return None
    forms = [form_of(value, op.types[index]) for index, value in enumerate(values)]
    sizes = [known(value)[axis] for value in values]
    if axis == rank - 1 and all(size == ONE for size in sizes):
        return Stack(tuple(forms))
    offset, shifted, single = ZERO, [], []
    for form, size in zip(forms, sizes, strict=True):
        at = Affine((), offset)
        if size == ONE:
            single.append((at, substitute(form, {axis - rank: Affine()})))
        else:
            shifted.append(substitute(form, {axis - rank: along(axis - rank).plus(at, MINUS)}))
        offset = offset + size
    whole = shifted[0] if len(shifted) == 1 else None
    if isinstance(whole, Affine) and all(substitute(whole, {axis - rank: at}) == form for at, form in single):
        return whole
    return Some(stable=all(map(is_stable, forms)))


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
    """Takes a range; along positions of data all of it. What is cut out of numbers or constants, its form tells."""
    x = op.need(0)
    rank = len(known(x))
    starts, ends, axes, steps = slice_bounds(op.rows, rank)
    sizes, places = list(known(x)), {place.axis: place for place in x.places}
    shifts: dict[int, Affine | None] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == ONE and start == ZERO and slice_reaches(end, sizes[axis]):
            continue
        if axis in places and x.data:
            places[axis] = _cut(places[axis], sizes[axis], start, end, step)
            sizes[axis] = places[axis].size
            shifts[axis - rank] = None
            continue
        places.pop(axis, None)
        moves = step == ONE and start.sign() in (0, 1)
        shifts[axis - rank] = along(axis - rank).plus(Affine((), start)) if moves else None
        sizes[axis] = _taken(op, sizes[axis], start, end, step)
    _not_from_positions(x, sizes)
    form = x.form if x.form is not None else _form_of_constant(x)
    form = substitute(form, shifts) if form is not None else None
    found = sorted([*places.values(), *_new_places(x, sizes, places)], key=lambda place: place.axis)
    ends_at = {2: axes} if x.data and op.get(2) is not None else {}
    return Result([Value(_sliced_state(x, tuple(found), form), tuple(sizes), form=form)], {0: axes_of(x)}, ends_at)


def _cut(place: Place, size: Size, start: Size, end: Size, step: Size) -> Place:
    """Where positions lie once padding is cut off at both ends."""
    back = ZERO if slice_reaches(end, size) else end if end.sign() == -1 else end - size
    if step == ONE and start.dimension and start.value is not None and back.value is not None:
        cut = place.widened(-start.value, back.value)
        if cut is not None:
            return cut
    raise LooksAhead("slice-positions", _part_of_positions(start, step))


def _taken(op: Op, size: Size, start: Size, end: Size, step: Size) -> Size:
    """The size of what is taken. Of a constant of T positions, the first S or so: S, or the run fails later."""
    is_first = size == S and end == ONE  # there is at least one position
    is_within = is_first or (size - end).dimension or ((size.value or 0) > 1 and end.batch)
    if step == ONE and start.dimension and (end - start).dimension and is_within:
        return end - start
    return slice_size(op.rows, size, start, end, step)


def _part_of_positions(start: Size, step: Size) -> str:
    if step != ONE:
        return "Slice changes the order of positions, or takes some of them"
    if (start.value is not None and start.value < 0) or start.batch:
        return "Slice takes the last positions"
    return "Slice takes some of the positions"


def _not_from_positions(x: Value, sizes: Sequence[Size]) -> None:
    if x.data and any(size.batch for axis, size in enumerate(sizes) if all(p.axis != axis for p in x.places)):
        raise LooksAhead("size-from-positions", "the number of positions decides which part is taken")


def _new_places(x: Value, sizes: Sequence[Size], own: Collection[int]) -> list[Place]:
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
    if axis or place.block != ONE or len(own) != 1 or not ((len(factors) == 2 and row) or place.plain):
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
    except Exception:
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
    if form is None or data.data or not isinstance(index.form, Affine):
        return lost(data.form if data.form is not None else index.form)
    own, wide = len(known(data)), len(known(index))
    places: dict[int, Affine | None] = {a - own: along(a - rank) for a in range(axis)}
    places |= {a - own: along(a + wide - 1 - rank) for a in range(axis + 1, own)}
    places[axis - own] = substitute_affine(index.form, {a - wide: along(axis + a - rank) for a in range(wide)})
    return substitute(form, places)


def _one_of(data: Value, index: Form | None) -> Form | None:
    """Some entry of a small constant."""
    count = product(known(data)).value
    found = _form_of_constant(data) if count is not None and count <= SMALL else None
    kept = index is None or is_stable(index)
    return range_of(found.array, stable=kept) if isinstance(found, Table) else lost(index)


def _form_of_mask(data: Value) -> Form | None:
    """The form of a constant that may be a mask: of few bits, of one axis, or square."""
    sizes = known(data)
    square = len(sizes) >= 2 and sizes[-1] == sizes[-2]
    return _form_of_constant(data) if len(sizes) == 1 or square else None


@rule("GatherND")
def gather_nd(op: Op) -> Result:
    """out[i…] = data[index[i…, 0], index[i…, 1], …]: each position's own entry, or numbers by position."""
    data, index = op.need(0), op.need(1)
    rank, wide = len(known(data)), len(known(index))
    count = known(index)[-1].value
    if op.attribute("batch_dims", 0) or count is None or count > rank:
        raise LooksAhead("pick-positions", "GatherND picks entries by rows, or by coordinates that are not known")
    parts = index.form.parts if isinstance(index.form, Stack) else ()
    sizes = (*known(index)[:-1], *known(data)[count:])
    chosen = {a: a for a in range(wide - 1)}
    rest = {a: a - count + wide - 1 for a in range(count, rank)}
    places = {rest[p.axis]: replace(p, axis=rest[p.axis]) for p in data.places if p.axis in rest}
    if any(place.axis == wide - 1 for place in index.places):
        raise LooksAhead("pick-positions", "GatherND takes positions for coordinates")
    places |= {p.axis: p for p in index.places}
    moved = {a - wide: along(a - len(sizes)) for a in range(wide - 1)}
    where = [substitute_affine(part, moved) if isinstance(part, Affine) else None for part in parts] or [None] * count
    for place in data.places:
        if place.axis not in rest:
            own = where[place.axis]
            axis = None if own is None else plain_axis(own)
            if not place.plain or axis is None or sizes[axis] != S:
                raise LooksAhead("pick-positions", "GatherND picks positions of the sequence by number")
            places.setdefault(axis + len(sizes), Place(axis + len(sizes)))
    known_places = {a - rank: where[a] for a in range(count)} | {a - rank: along(rest[a] - len(sizes)) for a in rest}
    form = None if data.form is None else substitute(data.form, known_places)
    stable_index = replace(index, state=Counted(index.places, stable=True)) if form is not None and parts else index
    state = stable(tuple(places[a] for a in sorted(places)), [data, stable_index])
    return Result([Value(state, sizes, form=form)], {0: rest, 1: chosen})


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
    difference = along(-1).plus(along(-2), MINUS)
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
    """Adds a border. Along positions it is kept apart from them, for convolutions."""
    op.fixed(1, 2, 3)
    x = op.need(0)
    rank = len(known(x))
    given, content = op.attribute("pads"), op.content(1)
    pads = [const(n) for n in given] if given is not None else None if content is None else list(content.reshape(-1))
    axes = op.rows.axes(rank, position=3) or list(range(rank))
    if pads is None or len(pads) != 2 * len(axes):
        raise LooksAhead("pad-unknown", "Pad by numbers that are not known")
    sizes, places = list(known(x)), {place.axis: place for place in x.places}
    along_positions = set()
    for number, axis in enumerate(axes):
        front, back = pads[number], pads[number + len(axes)]
        if axis in places and (front, back) != (ZERO, ZERO):
            places[axis] = _bordered(op, places[axis], front, back)
            along_positions.add(axis)
        sizes[axis] = sizes[axis] + front + back
    state = stable(tuple(places.values()), [x])
    result = Value(state, tuple(sizes), form=lost(x.form))
    return Result([result], {0: axes_of(x)}, whole=frozenset(along_positions), resumed=bool(along_positions))


def _bordered(op: Op, place: Place, front: Size, back: Size) -> Place:
    if op.attribute("mode", "constant") != "constant":
        raise LooksAhead("pad-positions", "Pad repeats positions")
    if front.value is None or back.value is None or (found := place.widened(front.value, back.value)) is None:
        raise LooksAhead("pad-positions", "Pad takes positions away, or a number of them that is not known")
    return found
