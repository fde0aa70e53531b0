"""Causal rules of the operators that read, make and change shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from actcache.passes.causal.forms import Affine, Form, along, is_stable, substitute, table
from actcache.passes.causal.joining import broadcast_axes, broadcast_shape, fitted
from actcache.passes.causal.ranges import held
from actcache.passes.causal.registry import Op, Result, known, rule, stable
from actcache.passes.causal.state import FIXED, Counted, LooksAhead, Place, S, Value
from actcache.passes.rows.registry import normal_axis, objects
from actcache.passes.rows.rules_shape import target_sizes
from actcache.passes.rows.sizes import ONE, ZERO, Size, const, product
from actcache.passes.rows.state import Content, Shape


@rule("Shape")
def shape(op: Op) -> Result:
    """The sizes themselves."""
    start, end = int(op.attribute("start", 0)), op.attribute("end")
    chosen = op.shape(0)[slice(start, None if end is None else int(end))]
    return Result([sizes_value(objects(chosen, (len(chosen),)))])


@rule("Size")
def size(op: Op) -> Result:
    """The product of the sizes."""
    return Result([sizes_value(objects([product(op.shape(0))], ()))])


def sizes_value(content: Content) -> Value:
    """Return the value of a tensor of integers that are known as sizes."""
    counted = any(size.batch for size in content.reshape(-1))
    return Value(Counted() if counted else FIXED, tuple(map(const, content.shape)), content)


@rule("Transpose")
def transpose(op: Op) -> Result:
    """Axis perm[a] of the input becomes axis a of the result."""
    x = op.need(0)
    rank = len(known(x))
    perm = [normal_axis(p, rank) for p in op.attribute("perm", range(rank - 1, -1, -1))]
    return moved(x, {old: new for new, old in enumerate(perm)}, tuple(known(x)[p] for p in perm))


@rule("Squeeze")
def squeeze(op: Op) -> Result:
    """Axes of size 1 go; S may be any number."""
    x = op.need(0)
    sizes = known(x)
    axes = op.axes(len(sizes))
    if axes is None:
        if any(size.value is None for size in sizes):
            raise LooksAhead("rank-unknown", "Squeeze without axes: whether an axis goes depends on unknown sizes")
        axes = [axis for axis, size in enumerate(sizes) if size == ONE]
    kept = [axis for axis in range(len(sizes)) if axis not in axes]
    return moved(x, {old: new for new, old in enumerate(kept)}, tuple(sizes[axis] for axis in kept))


@rule("Unsqueeze")
def unsqueeze(op: Op) -> Result:
    """New axes of size 1."""
    x = op.need(0)
    given = op.attribute("axes") or op.integers(1)
    if given is None:
        raise LooksAhead("axes-unknown", "the axes of Unsqueeze are not constants")
    rank = len(known(x)) + len(given)
    new = {normal_axis(axis, rank) for axis in given}
    kept = [axis for axis in range(rank) if axis not in new]
    sizes = [ONE] * rank
    for old, axis in enumerate(kept):
        sizes[axis] = known(x)[old]
    return moved(x, dict(enumerate(kept)), tuple(sizes))


def moved(x: Value, axes: Mapping[int, int], sizes: Shape) -> Result:
    """Return a tensor whose axes are renumbered; one of positions that is not in `axes` is lost."""
    if any(place.axis not in axes for place in x.places):
        raise LooksAhead("positions-lost", "the axis of positions is removed")
    places = sorted((replace(place, axis=axes[place.axis]) for place in x.places), key=lambda place: place.axis)
    form = renumbered(x.form, axes, len(known(x)), len(sizes))
    state = stable(tuple(places), [x])
    return Result([Value(state, sizes, form=form)], {0: axes})


def renumbered(
    form: Form | None,
    axes: Mapping[int, int],
    old_rank: int,
    new_rank: int,
    places: Mapping[int, int] | None = None,
) -> Form | None:
    """Return a form with its axes renumbered; of those that are gone there was one position, or it is not known.

    `places`: where positions lie then, which what the caller hands in is told by, if it is not told by the axes.
    """
    if form is None:
        return None

    def new(known: Mapping[int, int]) -> dict[int, Affine | None]:
        return {a - old_rank: along(known[a] - new_rank) if a in known else None for a in range(old_rank)}

    return substitute(form, new(axes), None if places is None else new(places))


@rule("Flatten")
def flatten(op: Op) -> Result:
    """[d0 … dk | …] to [d0·…·dk-1, rest]."""
    sizes = op.shape(0)
    axis = int(op.attribute("axis", 1))
    axis += len(sizes) if axis < 0 else 0
    return _reshaped(op.need(0), (product(sizes[:axis]), product(sizes[axis:])), {})


@rule("Reshape")
def reshape(op: Op) -> Result:
    """Row-major order is kept: positions are where the sizes before and behind them multiply to the same."""
    x = op.need(0)
    given = op.attribute("shape")
    target = op.content(1) if given is None else objects([const(n) for n in given], (len(given),))
    if target is None:
        raise LooksAhead("reshape-unknown", "Reshape to sizes that are not known")
    sizes = target_sizes(op.rows, known(x), _enforced(op, known(x), list(target)))
    return _reshaped(x, sizes, {1: list(range(len(sizes)))})


def _enforced(op: Op, source: Shape, target: list[Size]) -> list[Size]:
    """Sizes that are the smaller one of S and of another number are S, where a Reshape fails otherwise."""
    whole = [S if op.symbols.cut_to(size, S) else size for size in target]
    return whole if product(whole) == product(source) else target


def _reshaped(x: Value, sizes: Shape, operands: Mapping[int, Sequence[int | None]]) -> Result:
    source = known(x)
    places, axes = [], {}
    for place in x.places:
        found = _place(source, place, sizes)
        if found is None:
            text = f"Reshape [{_text(source)}] → [{_text(sizes)}] does not keep the positions apart"
            raise LooksAhead("reshape-mixes-positions", text)
        places.append(found)
        axes[place.axis] = found.axis
    kept = _same_axes(source, sizes)
    if len({place.axis for place in places}) < len(places):
        raise LooksAhead("reshape-mixes-positions", "Reshape puts two axes of positions into one")
    state = stable(tuple(sorted(places, key=lambda place: place.axis)), [x])
    if not x.places and isinstance(state, Counted) and any(size.batch for size in sizes):
        state = Counted()
    form = renumbered(x.form, kept, len(source), len(sizes), axes)
    return Result([Value(state, sizes, form=form)], {0: axes}, operands)


def _place(source: Shape, place: Place, sizes: Shape) -> Place | None:
    if place.bounded:
        kept = _same_axes(source, sizes)
        return replace(place, axis=kept[place.axis]) if place.axis in kept else None
    before = product(source[: place.axis]) * place.before
    behind = place.block * product(source[place.axis + 1 :])
    for axis, size in enumerate(sizes):
        parts = before.divided_by(product(sizes[:axis]))
        block = behind.divided_by(product(sizes[axis + 1 :]))
        if parts is not None and block is not None and parts * S * block == size:
            return Place(axis, block, parts)
    return None


def _same_axes(source: Shape, sizes: Shape) -> dict[int, int]:
    """The axes that a Reshape leaves as they are."""
    found = {}
    for old, size in enumerate(source):
        for new, other in enumerate(sizes):
            if size == other != ONE and product(source[:old]) == product(sizes[:new]):
                found[old] = new
    return found


def _text(sizes: Shape) -> str:
    return ", ".join(str(size).replace("N", "S") for size in sizes)


@rule("Expand")
def expand(op: Op) -> Result:
    """Broadcasting against a shape: along new positions everything is equal."""
    x, target = op.need(0), op.content(1)
    if target is None:
        raise LooksAhead("shape-unknown", "Expand to a shape that is not known")
    if any(size.sign() == -1 for size in target):
        raise LooksAhead("malformed-node", "Expand to a negative size")
    sizes = broadcast_shape([known(x), tuple(target)], op.symbols)
    shift = len(sizes) - len(target)
    operands = [axis + shift for axis in range(len(target))]
    return _repeated(x, sizes, broadcast_axes(x, len(sizes)), {1: operands})


def _repeated(x: Value, sizes: Shape, axes: Mapping[int, int], operands: Mapping[int, Sequence[int | None]]) -> Result:
    """A tensor stretched to `sizes`: its own positions stay, those along new axes are equal."""
    own = {axes[place.axis]: replace(place, axis=axes[place.axis]) for place in x.places}
    for axis, size in enumerate(sizes):
        if size.batch and axis not in own:
            block = size.block()
            if block != ONE:
                raise LooksAhead("size-from-positions", "the number of positions sets the size of something else")
            own[axis] = Place(axis)
    places = tuple(own[axis] for axis in sorted(own))
    form = fitted(x.form, known(x), sizes) if x.form is not None else _same_everywhere(x, places)
    return Result([Value(stable(places, [x]), sizes, form=form)], {0: axes}, operands)


def _same_everywhere(x: Value, places: tuple[Place, ...]) -> Form | None:
    """The form of a number that is repeated."""
    if x.content is not None and x.content.size == 1:
        return Affine((), x.content.reshape(-1)[0])
    array = x.array() if places and x.is_constant else None
    return table(array) if array is not None and array.size == 1 else None


@rule("Tile")
def tile(op: Op) -> Result:
    """Repeats whole axes; not those of positions."""
    x, repeats = op.need(0), op.content(1)
    if repeats is None or len(repeats) != len(known(x)):
        raise LooksAhead("shape-unknown", "Tile repeats a number of times that is not known")
    if any(repeats[place.axis] != ONE for place in x.places):
        raise LooksAhead("positions-repeated", "Tile repeats the positions")
    if any(times != ONE and size != ONE for times, size in zip(repeats, known(x), strict=True) if times.batch):
        raise LooksAhead("size-from-positions", "the number of positions sets the size of something else")
    sizes = tuple(size * times for size, times in zip(known(x), repeats, strict=True))
    result = _repeated(x, sizes, broadcast_axes(x, len(sizes)), {1: list(range(len(sizes)))})
    value = result.values[0]
    wide = zip(range(-len(sizes), 0), repeats, known(x), strict=True)
    unknown = {axis: None for axis, times, size in wide if times != ONE and size != ONE}
    if value.form is None or not unknown:
        return result
    return replace(result, values=[replace(value, form=substitute(value.form, unknown))])


@rule("ConstantOfShape")
def constant_of_shape(op: Op) -> Result:
    """One value everywhere."""
    target = op.content(0)
    if target is None:
        raise LooksAhead("shape-unknown", "a tensor is filled to a shape that is not known")
    sizes = tuple(target)
    places = tuple(Place(axis) for axis, size in enumerate(sizes) if size == S)
    whole = all(size == S or not size.batch for size in sizes)
    fill = op.attribute("value")
    array = onnx.numpy_helper.to_array(fill) if fill is not None else np.zeros(1, np.float32)
    return Result(
        [Value(Counted(places, whole), sizes, form=table(array.reshape(())))], {}, {0: list(range(len(sizes)))}
    )


@rule("Range")
def range_(op: Op) -> Result:
    """start, start + delta, …: the numbers of positions, moved by a number that may hold S."""
    contents = [op.content(index) for index in range(3)]
    if any(content is None for content in contents):
        raise LooksAhead("range-unknown", "a Range whose ends are not followed")
    start, limit, delta = (_single(content) for content in contents)
    step = delta.value
    if step not in (1, -1) or not (start.integer and limit.integer):
        raise LooksAhead("range-unknown", "a Range with a step other than 1 or -1")
    count = (limit - start) * const(step)
    if not count.dimension:
        raise LooksAhead("range-unknown", "a Range that may be empty or longer than it seems")
    form: Form = held(Affine(((-1, const(step)),), start), op.types[0], (count,))
    if not (count.batch or start.batch):
        return Result([Value(FIXED, (count,), form=form)])
    places = (Place(0),) if count == S else ()
    return Result([Value(Counted(places, is_stable(form) and bool(places)), (count,), form=form)])


def _single(content: Content | None) -> Size:
    return ZERO if content is None else content.reshape(-1)[0]
