"""Causal rules of operators that put tensors together, cut parts out, or pick entries."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from actcache.passes.causal.forms import (
    MINUS,
    Affine,
    Form,
    Some,
    Stack,
    along,
    applied,
    is_stable,
    substitute,
)
from actcache.passes.causal.joining import axes_of, lost, unknown
from actcache.passes.causal.registry import MICROSOFT, Op, Result, counted, known, rule, stable
from actcache.passes.causal.rules_elementwise import form_of, form_of_constant
from actcache.passes.causal.state import FIXED, Counted, LooksAhead, Place, Places, S, State, Value
from actcache.passes.rows.rules_select import slice_bounds, slice_reaches, slice_size, split_parts
from actcache.passes.rows.sizes import ONE, ZERO, Size, const


@rule("Concat")
def concat(op: Op) -> Result:
    """Joins along an axis that is not one of data's positions. What has none is joined with every position's. Behind
    or before nothing, positions are as they were: a past that is empty.
    """
    values = op.present
    rank = len(known(values[0]))
    axis = op.axis(1, rank)
    parts = [index for index, value in enumerate(values) if known(value)[axis] != ZERO]
    if len(parts) == 1 and values[parts[0]].data and not any(v.places for v in values if v is not values[parts[0]]):
        return _alone(values, parts[0])
    places: dict[int, Place] = {}
    for value in values:
        for place in value.places:
            if place.axis == axis and any(value.data for value in values):
                return _between(values, axis)
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
        joined = tuple(places[a] for a in sorted(places))
        state = counted(joined, form, kept=state.stable and not total.batch)
    result = Value(state, tuple(sizes), form=form)
    return Result([result], {index: axes_of(value) for index, value in enumerate(values)})


def _between(values: Sequence[Value], axis: int) -> Result:
    """Positions between others entries that no position changes, of which there are a certain number.

    What is in front moves the positions on: all of it is computed again.
    """
    (first, *more), sizes = [n for n, v in enumerate(values) if any(p.axis == axis for p in v.places)], values[0].shape
    main = values[first]
    others = {place.axis: place for place in main.places if place.axis != axis}
    counts = [const(0) if value is main else known(value)[axis] for value in values]
    ends = [sum((count for count in part), ZERO).value for part in (counts[:first], counts[first:])]
    alike = all({p.axis: p for p in value.places if p.axis != axis} == others for value in values)
    if more or sizes is None or not alike or not main.data or ends[0] is None or ends[1] is None:
        raise LooksAhead("concat-positions", "Concat joins along the axis of positions")
    place = next(place for place in main.places if place.axis == axis).bordered(ends[0], ends[1])
    if place is None:
        raise LooksAhead("concat-positions", "Concat joins flattened positions with something else")
    places = tuple(place if each.axis == axis else each for each in main.places)
    whole = tuple(place.size if a == axis else size for a, size in enumerate(known(main)))
    value = Value(stable(places, values), whole, form=unknown(main.form) if ends[0] else main.form)
    moved = frozenset({axis} if ends[0] else ())
    axes = {index: axes_of(value) for index, value in enumerate(values)}
    return Result([value], axes, whole=moved, resumed=bool(moved) and len(places) == 1)


def _alone(values: Sequence[Value], only: int) -> Result:
    """One tensor, joined with others that have no entries, and no positions."""
    value = values[only]
    state = stable(value.places, values)
    return Result([Value(state, known(value), form=value.form)], {only: axes_of(value)})


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
    """Takes a range; along positions of data all of it, or nothing. What is cut out of numbers or constants, its form
    tells.
    """
    x = op.need(0)
    rank = len(known(x))
    starts, ends, axes, steps = slice_bounds(op.rows, rank)
    if x.data and starts == ends and {place.axis for place in x.places} <= set(axes):
        left = [ZERO if axis in axes else size for axis, size in enumerate(known(x))]
        return Result([Value(FIXED, tuple(left))])  # without elements: the sizes of other axes are all it has
    sizes, places = list(known(x)), {place.axis: place for place in x.places}
    shifts: dict[int, Affine | None] = {}
    for given, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        start = ZERO if given + sizes[axis] == ZERO else given  # as many from the end as there are
        if step == ONE and start == ZERO and slice_reaches(end, sizes[axis]):
            continue
        if axis in places and x.data:
            places[axis] = _cut(places[axis], sizes[axis], start, end, step)
            sizes[axis] = places[axis].size
            shifts |= {} if start == ZERO else {axis - rank: None}
            continue
        places.pop(axis, None)
        moves = step == ONE and start.sign() in (0, 1)
        shifts[axis - rank] = along(axis - rank).plus(Affine((), start)) if moves else None
        sizes[axis] = _taken(op, sizes[axis], start, end, step)
    _not_from_positions(x, sizes)
    form = x.form if x.form is not None else form_of_constant(x)
    form = substitute(form, shifts) if form is not None else None
    found = sorted([*places.values(), *_new_places(x, sizes, places)], key=lambda place: place.axis)
    ends_at = {2: axes} if x.data and op.get(2) is not None else {}
    follows = all(place is not None and is_stable(place) for place in shifts.values())
    state = _sliced_state(x, tuple(found), form, follows)
    # Of numbers, what is cut along an axis is cut out of all of them.
    same = {axis: axis for axis in axes_of(x) if x.data or axis - rank not in shifts}
    return Result([Value(state, tuple(sizes), form=form)], {0: same}, ends_at)


def _cut(place: Place, size: Size, start: Size, end: Size, step: Size) -> Place:
    """Where positions lie once padding is cut off at both ends."""
    back = ZERO if slice_reaches(end, size) else end if end.sign() == -1 else end - size
    if step == ONE and start.dimension and start.value is not None and back.value is not None:
        cut = place.trimmed(start.value, -back.value)
        if cut is not None:
            return cut
    raise LooksAhead("slice-positions", _part_of_positions(start, step))


def _taken(op: Op, size: Size, start: Size, end: Size, step: Size) -> Size:
    """The size of what is taken. Of a constant of T positions, the first S or so: S, or the run fails later."""
    end = S if (size.value or 0) > 1 and end == op.symbols.least(size, S) else end
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


def _sliced_state(x: Value, places: Places, form: Form | None, follows: bool) -> State:
    if x.data:
        return stable(places, [x])
    if not places:
        return stable((), [x])
    kept = x.stable and follows and all(place.single and not place.tail and not place.behind for place in x.places)
    return counted(places, form, kept=form is not None and kept)


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
        state = counted(state.places, form, kept=state.stable)
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
    moved: set[int] = set()
    for number, axis in enumerate(axes):
        front, back = pads[number], pads[number + len(axes)]
        if axis in places and (front, back) != (ZERO, ZERO):
            places[axis] = _bordered(op, places[axis], front, back)
            moved |= {axis} if front != ZERO or back.sign() == -1 else set()
        sizes[axis] = sizes[axis] + front + back
    state = stable(tuple(places.values()), [x])
    only_behind = x.data and not moved and all(a in places or size == known(x)[a] for a, size in enumerate(sizes))
    result = Value(state, tuple(sizes), form=x.form if only_behind else unknown(x.form))
    return Result([result], {0: axes_of(x)}, whole=frozenset(moved), resumed=bool(moved) and len(places) == 1)


def _bordered(op: Op, place: Place, front: Size, back: Size) -> Place:
    if op.attribute("mode", "constant") != "constant":
        raise LooksAhead("pad-positions", "Pad repeats positions")
    if front.value is None or back.value is None or (found := place.bordered(front.value, back.value)) is None:
        raise LooksAhead("pad-positions", "Pad takes positions away, or a number of them that is not known")
    return found
