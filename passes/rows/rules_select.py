"""Row rules of operators that put parts of tensors together or cut parts out."""

from __future__ import annotations

import numpy as np

from actcache.passes.rows.broadcasting import carry, joint_state, same_rows
from actcache.passes.rows.registry import ALL, MAX_CONTENT, MICROSOFT, Op, barrier, known, normal_axis, numbers, rule
from actcache.passes.rows.sizes import ONE, ZERO, N, Size, const
from actcache.passes.rows.state import BATCH_SIZE, ROW_FREE, Content, Mixes, Row, RowCoords, RowIndex, Value

#: Slice ends from here on mean "to the end": no batch has that many rows. (tf2onnx writes 10⁹, others 2³¹ - 1.)
_FAR = 10**9


@rule("Concat", sizes=ALL, indexes=ALL)
def concat(op: Op) -> Value:
    """Joins along one axis, which may not be that of the rows. Positions of rows, joined in front of values of
    the same rows along the last axis, are coordinates.
    """
    values = op.present
    if any(value.shape is None for value in values):
        if all(value.number for value in values):
            return Value(BATCH_SIZE if BATCH_SIZE in [v.state for v in values] else ROW_FREE)
        raise Mixes("rank-unknown", "Concat of tensors of unknown rank")
    rank = len(known(values[0]))
    axis = op.axis(1, rank)
    if all(value.number for value in values):
        contents = [op.content(i) for i in range(len(values))]
        found = [content for content in contents if content is not None]
        if len(found) == len(values):
            return numbers(np.concatenate(found, axis))
        return Value(joint_state(values, rank), joined_shape(values, axis))
    first = values[0].state
    if isinstance(first, RowIndex) and len(values) > 1:
        return _coordinates(values, axis, first)
    row = same_rows(values, [_row_axis(values)] * len(values))
    if row is not None and row.axis == axis:
        raise Mixes("concat-rows", "Concat joins along the axis of the rows")
    return Value(row or ROW_FREE, joined_shape(values, axis))


def _coordinates(values: list[Value], axis: int, first: RowIndex) -> Value:
    rank = len(known(values[0]))
    last = axis == rank - 1 and first.axis != axis and known(values[0])[axis] == ONE
    if not (first.exact and last and all(value.state == Row(first.axis) for value in values[1:])):
        raise Mixes("row-position-in-data", "the position of a row in the batch enters its data")
    return Value(RowCoords(first.axis), joined_shape(values, axis))


def _row_axis(values: list[Value]) -> int:
    return next((value.row.axis for value in values if value.row is not None), 0)


def joined_shape(values: list[Value], axis: int) -> tuple[Size, ...]:
    """Return the shape of tensors joined along an axis."""
    shapes = [known(value) for value in values]
    total = sum((shape[axis] for shape in shapes), ZERO)
    return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


@rule("Split", sizes=(0, 1))
def split(op: Op) -> list[Value]:
    """Cuts along one axis, which may not be that of the rows."""
    op.row_free(1)
    x, count = op.need(0), len(op.node.output)
    if x.shape is None:
        return [carry(x, None) for _ in range(count)]
    axis = op.axis(0, len(x.shape))
    if x.row is not None and x.row.axis == axis:
        raise Mixes("split-rows", "Split cuts along the axis of the rows")
    parts = split_parts(op, x.shape[axis], count)
    if x.content is not None and all(part.value is not None for part in parts):
        ends = np.cumsum([int(part.value or 0) for part in parts])[:-1]
        return [numbers(piece) for piece in np.split(x.content, ends, axis)]
    return [carry(x, (*x.shape[:axis], part, *x.shape[axis + 1 :])) for part in parts]


def split_parts(op: Op, size: Size, count: int) -> list[Size]:
    """Return the sizes that a Split cuts an axis of `size` into."""
    given = op.attribute("split")
    if given is not None:
        return [const(n) for n in given]
    if op.get(1) is not None:
        content = op.content(1)
        if op.need(1).state == BATCH_SIZE:
            raise Mixes("size-from-batch", "the number of rows decides where a tensor is split")
        return list(content) if content is not None else [op.symbols.fresh("part") for _ in range(count)]
    if size.value is not None:  # equal parts, the last one smaller
        part = -(-size.value // count)
        return [const(min(part, size.value - part * i)) for i in range(count)]
    return [size.divided_by(const(count)) or op.symbols.fresh("part") for _ in range(count)]


@rule("Slice", sizes=ALL)
def slice_(op: Op) -> Value:
    """Takes a range along some axes; along that of the rows only all of it, in order, or nothing."""
    x = op.need(0)
    if x.shape is None:
        if not all(value.number for value in op.present):
            raise Mixes("rank-unknown", "Slice of a tensor of unknown rank")
        return Value(BATCH_SIZE if any(v.state == BATCH_SIZE for v in op.present) else ROW_FREE)
    starts, ends, axes, steps = slice_bounds(op, len(x.shape))
    if x.content is not None:
        taken = _sliced_content(x.content, list(zip(starts, ends, axes, steps, strict=True)))
        if taken is not None:
            return taken
    sizes = list(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if (start, step) == (ZERO, ONE) and slice_reaches(end, sizes[axis]):
            continue
        if start == end:
            sizes[axis] = ZERO
            continue
        if x.row is not None and axis == x.row.axis:
            raise Mixes("slice-rows", "Slice takes some rows of the batch, or changes their order")
        if any(bound.batch for bound in (start, end, step)) and not x.number:
            raise Mixes("size-from-batch", "the number of rows decides which part is taken")
        sizes[axis] = slice_size(op, sizes[axis], start, end, step)
    if x.row is not None and sizes[x.row.axis] == ZERO:  # of no row: the sizes of other axes are all it has
        return Value(ROW_FREE, tuple(sizes))
    if any(v.state == BATCH_SIZE for v in op.present):
        return Value(x.state if x.row else BATCH_SIZE, tuple(sizes))
    return Value(x.state, tuple(sizes))


def slice_bounds(op: Op, rank: int) -> tuple[list[Size], list[Size], list[int], list[Size]]:
    """Return the starts, ends, axes and steps of a Slice."""
    if op.attribute("starts") is not None:
        starts, ends = ([const(n) for n in op.attribute(name)] for name in ("starts", "ends"))
        given = list(op.attribute("axes", range(len(starts))))
        return starts, ends, [normal_axis(a, rank) for a in given], [ONE] * len(starts)
    contents = [op.content(i) for i in (1, 2, 4)]
    axes = op.integers(3) if op.get(3) is not None else None
    if contents[0] is None or contents[1] is None or (op.get(3) is not None and axes is None):
        raise Mixes("axes-unknown", "the bounds or axes of Slice are not known")
    starts, ends = list(contents[0].reshape(-1)), list(contents[1].reshape(-1))
    if op.get(4) is not None and contents[2] is None:
        raise Mixes("axes-unknown", "the steps of Slice are not known")
    steps = [ONE] * len(starts) if contents[2] is None else list(contents[2].reshape(-1))
    return starts, ends, [normal_axis(a, rank) for a in axes or range(len(starts))], steps


def slice_reaches(end: Size, size: Size) -> bool:
    """Return whether an end is certainly the end of an axis of `size`, or beyond it."""
    if end == size or (end.value is not None and end.value >= _FAR):
        return True
    return (end - size).dimension


def _sliced_content(content: Content, ranges: list[tuple[Size, Size, int, Size]]) -> Value | None:
    """Return the elements taken; None where it is not known which, as of positions cut to the tokens there are."""
    taken = [slice(None)] * content.ndim
    for start, end, axis, step in ranges:
        if None in (start.value, end.value, step.value):
            return None
        taken[axis] = slice(start.value, _end(end.value, step.value), step.value)
    return numbers(content[tuple(taken)])


def _end(end: int | None, step: int | None) -> int | None:
    """Ends below every index mean, with a negative step, "to the front"; Python would count them from the back."""
    return None if step is not None and step < 0 and end is not None and end <= -_FAR else end


def slice_size(op: Op, size: Size, start: Size, end: Size, step: Size) -> Size:
    """Return the size of what a Slice takes of an axis."""
    if None not in (size.value, start.value, end.value, step.value) and step.value:
        bounds = slice(start.value, _end(end.value, step.value), step.value)
        return const(len(range(*bounds.indices(size.value or 0))))
    if (start, step) == (ZERO, ONE) and end.dimension:
        return op.symbols.least(end, size)
    return op.symbols.opaque("slice", size, start, end, step, dimension=True)


@rule("Pad", sizes=(1,))
@rule("Pad", domain=MICROSOFT, sizes=(1,))
def pad(op: Op) -> Value:
    """Adds a border; none may be added along the axis of the rows."""
    op.row_free(1, 2, 3)
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    rank = len(x.shape)
    given = op.attribute("pads") or op.attribute("paddings")
    content = op.content(1)
    pads = [const(n) for n in given] if given is not None else None if content is None else list(content.reshape(-1))
    axes = op.axes(rank, position=3) or list(range(rank))
    if op.get(1) is not None and op.need(1).state == BATCH_SIZE and any(p.batch for p in pads or [N]):
        raise Mixes("size-from-batch", "the number of rows decides how much is padded")
    if pads is None or len(pads) != 2 * len(axes):
        if x.row is None or x.row.axis not in axes:
            return carry(x, tuple(op.symbols.fresh("?") if a in axes else s for a, s in enumerate(x.shape)))
        raise Mixes("pad-rows", "Pad may add rows to the batch")
    sizes = list(x.shape)
    for place, axis in enumerate(axes):
        if x.row is not None and axis == x.row.axis and (pads[place], pads[place + len(axes)]) != (ZERO, ZERO):
            raise Mixes("pad-rows", "Pad adds rows to the batch, or removes some")
        sizes[axis] = sizes[axis] + pads[place] + pads[place + len(axes)]
    return Value(x.state, tuple(sizes))


@rule("OneHot")
def one_hot(op: Op) -> Value:
    """A new axis that marks the index; the axis of the rows moves behind it where it stands later."""
    op.row_free(1, 2)
    x, depth = op.need(0), op.content(1)
    if x.shape is None:
        return carry(x, None)
    axis = op.axis(-1, len(x.shape) + 1)
    size = depth.reshape(-1)[0] if depth is not None else op.symbols.fresh("depth")
    if (marked := _marked(op, axis)) is not None:
        return numbers(marked)
    sizes = (*x.shape[:axis], size, *x.shape[axis:])
    return Value(Row(x.row.axis + (x.row.axis >= axis), x.row.block) if x.row else x.state, sizes)


def _marked(op: Op, axis: int) -> Content | None:
    """The elements of a small OneHot: exporters make repeats of one axis of it (``repeat_interleave``)."""
    index, depth, values = (op.need(number).content for number in range(3))
    if index is None or depth is None or values is None:
        return None
    size, places = depth.reshape(-1)[0].value, [place.value for place in index.reshape(-1)]
    if size is None or None in places or size * len(places) > MAX_CONTENT:
        return None
    off, on = values.reshape(-1)
    found = np.full((len(places), size), off, object)
    for row, place in enumerate(places):
        if place is not None and -size <= place < size:
            found[row, place] = on
    return np.moveaxis(found.reshape(*index.shape, size), -1, axis)


@rule("Trilu")
@rule("Trilu", domain=MICROSOFT)
def trilu(op: Op) -> Value:
    """A triangle of the last two axes: it knows positions along them."""
    op.row_free(1)
    x = op.need(0)
    if x.row is not None and x.row.axis >= len(known(x)) - 2:
        raise Mixes("row-position-in-data", "Trilu cuts a triangle across the rows")
    return carry(x, x.shape)


@rule("EyeLike")
def eye_like(op: Op) -> Value:
    """Ones where both positions agree: it knows positions along both axes."""
    x = op.need(0)
    if x.row is not None:
        raise Mixes("row-position-in-data", "EyeLike marks the position of each row")
    return carry(x, x.shape)


@rule("ReverseSequence")
def reverse_sequence(op: Op) -> Value:
    """Reverses the first lens[n] entries of the time axis of sequence n."""
    x, lens = op.need(0), op.need(1)
    if x.shape is None or lens.shape is None:
        raise Mixes("rank-unknown", "ReverseSequence of unknown rank")
    batch, time = int(op.attribute("batch_axis", 1)), int(op.attribute("time_axis", 0))
    if x.row is not None and x.row.axis not in (batch, time) and lens.state == ROW_FREE:
        return carry(x, x.shape)
    if x.row is not None and x.row.axis == time:
        raise Mixes("reverse-rows", "ReverseSequence takes the rows for time")
    same_rows([x, lens], [batch, 0])
    return carry(x, x.shape)


@rule("Compress")
def compress(op: Op) -> Value:
    """Keeps the entries of one axis, or of the flattened tensor, that a condition chooses."""
    x, chosen = op.need(0), op.need(1)
    shape = known(x)
    axis = None if op.attribute("axis") is None else op.axis(0, len(shape))
    if chosen.state != ROW_FREE or (x.row is not None and axis in (None, x.row.axis)):
        raise Mixes("data-dependent-shape", "Compress chooses among the rows: its size depends on the data")
    kept = op.symbols.fresh("kept")
    return carry(x, (kept,) if axis is None else (*shape[:axis], kept, *shape[axis + 1 :]))


@rule("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(op: Op) -> Value:
    """Concat of quantised tensors; inputs: scale and zero point of the result, then tensor, scale, zero point."""
    rest = [i for i in range(2, len(op.inputs)) if (i - 2) % 3]
    op.row_free(0, 1, *rest)
    values = [op.need(i) for i in range(2, len(op.inputs), 3)]
    if any(value.shape is None for value in values):
        raise Mixes("rank-unknown", "QLinearConcat of unknown rank")
    axis = op.axis(0, len(known(values[0])))
    row = same_rows(values, [_row_axis(values)] * len(values))
    if row is not None and row.axis == axis:
        raise Mixes("concat-rows", "Concat joins along the axis of the rows")
    return Value(row or ROW_FREE, joined_shape(values, axis))


barrier("Unique", "data-dependent-shape", "Unique compares the rows of the batch", domain=MICROSOFT)
barrier("StringSplit", "data-dependent-shape", "StringSplit pads every row to the longest split of the batch")
barrier("NonZero", "data-dependent-shape", "NonZero lists the entries of all rows: its size depends on the data")
barrier("Unique", "data-dependent-shape", "Unique compares the rows of the batch and its size depends on the data")
barrier(
    "NonMaxSuppression", "data-dependent-shape", "NonMaxSuppression lists boxes of all images: its size depends on them"
)
