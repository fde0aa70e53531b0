"""Row rules of the operators that read, make and change shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from actcache.passes.rows.broadcasting import broadcast_size, carry
from actcache.passes.rows.registry import (
    ALL,
    MAX_CONTENT,
    MICROSOFT,
    Op,
    known,
    normal_axis,
    numbers,
    objects,
    row_of,
    rule,
)
from actcache.passes.rows.sizes import ONE, ZERO, N, Size, const, product
from actcache.passes.rows.state import (
    BATCH_SIZE,
    ROW_FREE,
    Content,
    Mixes,
    Positional,
    Row,
    RowCoords,
    RowIndex,
    RowOffset,
    Shape,
    State,
    Value,
)

#: Element types that hold every row position exactly.
_INTEGERS = frozenset(
    {onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.UINT64, onnx.TensorProto.UINT32}
)


@rule("Shape", sizes=ALL, indexes=ALL)
def shape(op: Op) -> Value:
    """The sizes themselves: N is a batch size, all others are row-free."""
    sizes = op.shape(0)
    start, end = int(op.attribute("start", 0)), op.attribute("end")
    chosen = sizes[slice(start, None if end is None else int(end))]
    return numbers(objects(chosen, (len(chosen),)))


@rule("Size", sizes=ALL, indexes=ALL)
def size(op: Op) -> Value:
    """The product of the sizes."""
    return numbers(objects([product(op.shape(0))], ()))


@rule("Identity", sizes=ALL, indexes=ALL)
def identity(op: Op) -> Value:
    """The same tensor."""
    return op.need(0)


@rule("Cast", "BitCast", sizes=ALL, indexes=(0,))
@rule("CastLike", sizes=ALL, indexes=(0,), types=(1,))
def cast(op: Op) -> Value:
    """Elementwise, whatever the types. Row positions survive in integer types wide enough to hold them."""
    x = op.need(0)
    target = op.attribute("to")
    if isinstance(x.state, Positional) and target not in _INTEGERS:
        if not isinstance(x.state, RowIndex):
            raise Mixes("row-position-in-data", "coordinates with row positions in them are cast to a type of data")
        return Value(RowIndex(x.state.axis, None), x.shape)
    if x.number and target in _INTEGERS and op.node.op_type == "Cast":
        content = op.content(0)
        if content is not None:
            kept = [_truncated(op, e, int(target)) for e in content.reshape(-1)]
            return Value(x.state, x.shape, objects(kept, content.shape))
    if target == onnx.TensorProto.BOOL and x.content is not None and None not in [e.sign() for e in x.content.flat]:
        return numbers(objects([const(e.sign() != 0) for e in x.content.flat], x.content.shape))
    return Value(x.state, x.shape, below=x.below if target in _INTEGERS else None)


def _truncated(op: Op, element: Size, target: int) -> Size:
    return element if element.integer else op.symbols.rounded("trunc", element, target)


@rule("Transpose", sizes=ALL, indexes=(0,))
def transpose(op: Op) -> Value:
    """Axis a of the input becomes axis perm⁻¹(a) of the result."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    rank = len(x.shape)
    perm = [normal_axis(p, rank) for p in op.attribute("perm", range(rank - 1, -1, -1))]
    sizes = tuple(x.shape[p] for p in perm)
    if x.content is not None:
        return Value(x.state, sizes, x.content.transpose(perm))
    if isinstance(x.state, RowCoords) and (not perm or perm[-1] != rank - 1):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are transposed")
    return Value(moved(x.state, {old: new for new, old in enumerate(perm)}), sizes)


def moved(state: State, places: dict[int, int]) -> State:
    """Return `state` with its axis renumbered; an axis that is gone must not be that of the rows."""
    if not isinstance(state, Row | Positional):
        return state
    if state.axis not in places:
        raise Mixes("rows-removed", "the axis of the rows is removed")
    return replace(state, axis=places[state.axis])


@rule("Squeeze", sizes=ALL, indexes=(0,))
def squeeze(op: Op) -> Value:
    """Axes of size 1 go; those of the rows have size N and may not."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    rank = len(x.shape)
    axes = op.axes(rank)
    if axes is None:
        if any(size.value is None for size in x.shape):
            raise Mixes("rank-unknown", "Squeeze without axes: whether an axis is removed depends on unknown sizes")
        axes = [a for a, size in enumerate(x.shape) if size == ONE]
    kept = [a for a in range(rank) if a not in axes]
    return _reaxed(x, {old: new for new, old in enumerate(kept)}, tuple(x.shape[a] for a in kept))


@rule("Unsqueeze", sizes=ALL, indexes=(0,))
def unsqueeze(op: Op) -> Value:
    """New axes of size 1; the axis of the rows moves behind those put before it."""
    x = op.need(0)
    given = op.attribute("axes") or op.integers(1)
    if given is None:
        raise Mixes("axes-unknown", "the axes of Unsqueeze are not constants")
    if x.shape is None:
        return carry(x, None)
    rank = len(x.shape) + len(given)
    axes = {normal_axis(a, rank) for a in given}
    kept = [a for a in range(rank) if a not in axes]
    sizes = [ONE] * rank
    for old, new in enumerate(kept):
        sizes[new] = x.shape[old]
    return _reaxed(x, dict(enumerate(kept)), tuple(sizes))


def _reaxed(x: Value, places: dict[int, int], sizes: Shape) -> Value:
    """The same elements in the same order with axes of size 1 put in or left out."""
    if x.content is not None:
        return numbers(x.content.reshape([int(s.value or 0) for s in sizes]))
    if isinstance(x.state, RowCoords) and places.get(len(known(x)) - 1) != len(sizes) - 1:
        raise Mixes("row-position-in-data", "coordinates that hold row positions are reshaped")
    return Value(moved(x.state, places), sizes, below=x.below)


@rule("Flatten", sizes=(), indexes=())
def flatten(op: Op) -> Value:
    """[d0 … dk | …] to [d0·…·dk-1, rest]: a Reshape to these two sizes."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    axis = int(op.attribute("axis", 1))
    axis += len(x.shape) if axis < 0 else 0
    return reshaped(x, (product(x.shape[:axis]), product(x.shape[axis:])))


@rule("Reshape", sizes=ALL, indexes=(0,))
def reshape(op: Op) -> Value:
    """Row-major order is kept. With P entries before the rows' axis, the rows are found again on axis p of the
    result when the sizes before p multiply to P and size p is N·c: entry (q, i·c + j) is in row i. As the total is
    kept, so do they when the sizes behind, with c, multiply to what a row has behind its axis. What is left of P when
    the sizes before p multiply to less is flattened together with the rows.
    """
    x = op.need(0)
    target = op.content(1)
    if op.attribute("shape") is not None:
        target = objects([const(n) for n in op.attribute("shape")], (len(op.attribute("shape")),))
    if target is None or x.shape is None:
        return _reshaped_blindly(op, target)
    sizes = target_sizes(op, x.shape, list(target), any_total=x.state == ROW_FREE)
    if x.content is not None and all(s.value is not None for s in sizes):
        return numbers(x.content.reshape([int(s.value or 0) for s in sizes]))
    return reshaped(x, sizes)


def _reshaped_blindly(op: Op, target: Content | None) -> Value:
    if not all(value.state == ROW_FREE for value in op.present):
        raise Mixes("reshape-unknown", "rows, or their number, are reshaped to sizes that are not known")
    sizes = None if target is None else tuple(op.symbols.fresh("?") for _ in target)
    return Value(ROW_FREE, sizes)


def target_sizes(op: Op, source: Shape, target: list[Size], *, any_total: bool = False) -> Shape:
    """Resolve 0 (copy) and -1 (the rest). A computed entry that may turn out -1, or 0 although there are elements,
    in some run stands for an unknown size, except where the total proves what it is.

    `any_total`: also where no run succeeds in which it is anything else, although the sizes returned may then have
    another product than those of the source.
    """
    total = product(source)
    if op.attribute("allowzero", 0) and ZERO in target:
        raise Mixes("reshape-unknown", "Reshape to a literal size of 0")
    sizes: list[Size | None] = []
    for position, entry in enumerate(target):
        if entry == ZERO:
            if position >= len(source):
                raise Mixes("malformed-node", "Reshape copies the size of an axis that is not there")
            sizes.append(source[position])
        else:
            held = entry.sign() == 1 or (entry.dimension and total.divided_by(entry) is not None)
            if any_total and not held and entry.dimension and position < len(source):
                held = op.symbols.vanishes_with(source[position], entry)  # where it is 0, 0 is copied
            sizes.append(entry if held else None)
    unknown = [p for p, entry in enumerate(sizes) if entry is None]
    certain = product(s for s in sizes if s is not None)
    if len(unknown) == 1:
        rest = _rest(op, total, certain)
        entry = target[unknown[0]]
        if entry.value != -1 and (entry.batch or rest.batch):
            # It is a size after all in some runs, and then right for one number of rows.
            raise Mixes("size-from-batch", f"this Reshape to a size {entry} works for one number of rows only")
        sizes[unknown[0]] = rest
    elif unknown:
        doubtful = any(target[p].batch for p in unknown)
        cancels = total.block() is not None and certain.block() is not None
        batch = doubtful or (not cancels and any(s.batch for s in (*source, certain)))
        sizes = [op.symbols.fresh("?", batch=batch) if s is None else s for s in sizes]
    return tuple(s for s in sizes if s is not None)


def _rest(op: Op, total: Size, certain: Size) -> Size:
    """The size that makes the total right: total / certain."""
    exact = total.divided_by(certain)
    if exact is not None:
        return exact
    per_row, certain_per_row = total.block(), certain.block()
    if per_row is not None and certain_per_row is not None:  # N cancels
        total, certain = per_row, certain_per_row
    return op.symbols.opaque("rest", total, certain, dimension=True)


def reshaped(x: Value, sizes: Shape) -> Value:
    """Return `x` reshaped to `sizes`, whose product is that of the shape of `x`."""
    state = x.state
    if x.number:
        return _reshaped_numbers(x, sizes)
    if isinstance(state, RowCoords):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are reshaped")
    assert isinstance(state, Row | RowIndex | RowOffset)  # Mixed never reaches a rule
    source = known(x)
    row = state if isinstance(state, Row) else Row(state.axis)
    before, behind = product(source[: row.axis]) * row.before, row.block * product(source[row.axis + 1 :])
    for axis, size in enumerate(sizes):
        block = size.block()
        if block is None:
            continue
        if product(sizes[:axis]) == before or block * product(sizes[axis + 1 :]) == behind:
            if isinstance(state, Row):
                return Value(Row(axis, block), sizes, below=x.below)
            if block == ONE:
                return Value(replace(state, axis=axis), sizes, below=x.below)
        parts = before.divided_by(product(sizes[:axis]))
        within = block.divided_by(parts) if parts is not None else None
        if isinstance(state, Row) and parts is not None and within is not None:
            return Value(Row(axis, within, parts), sizes, below=x.below)
    raise Mixes("reshape-mixes-rows", f"Reshape {_text(source)} → {_text(sizes)} does not keep the rows apart")


def _reshaped_numbers(x: Value, sizes: Shape) -> Value:
    if x.state == ROW_FREE and any(size.batch for size in sizes):
        # A constant cut into N parts: legal for the one N that divides it, different parts for each row.
        raise Mixes("reshape-mixes-rows", "a row-free tensor is reshaped to a size that depends on N")
    if x.state == BATCH_SIZE and product(sizes) != product(known(x)):
        raise Mixes("size-from-batch", "this Reshape works for some numbers of rows only")
    return Value(x.state, sizes)


@rule("Expand", sizes=(1,), indexes=(0,))
def expand(op: Op) -> Value:
    """Broadcasting against a shape. An axis of size 1 stretched to N·c gives N equal rows."""
    x, target = op.need(0), op.content(1)
    if target is None or x.shape is None:
        if not x.number:
            raise Mixes("shape-unknown", "rows are expanded to a shape that is not known")
        return _reshaped_blindly(op, target)
    if any(entry.sign() == -1 for entry in target):
        raise Mixes("malformed-node", "Expand to a negative size")
    rank = max(len(target), len(x.shape))
    left = (ONE,) * (rank - len(x.shape)) + x.shape
    right = (ONE,) * (rank - len(target)) + tuple(target)
    sizes = tuple(broadcast_size(pair, op.symbols) for pair in zip(left, right, strict=True))
    shift = rank - len(x.shape)
    if isinstance(x.state, RowCoords):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are expanded")
    if x.number:
        return _repeated(op, sizes)
    return Value(moved(x.state, {a: a + shift for a in range(len(x.shape))}), sizes, below=x.below)


def _repeated(op: Op, sizes: Shape) -> Value:
    """The state of a row-free tensor stretched or filled to `sizes`: rows along the one axis that counts N."""
    if op.need(0).state == BATCH_SIZE and op.node.op_type != "ConstantOfShape":
        return Value(BATCH_SIZE, sizes)
    over = [axis for axis, entry in enumerate(sizes) if entry.batch]
    if not over:
        return Value(ROW_FREE, sizes)
    block = sizes[over[0]].block()
    if len(over) > 1 or block is None:
        raise Mixes("size-from-batch", "the number of rows sets the size of something other than the rows")
    return Value(Row(over[0], block), sizes)


@rule("ConstantOfShape", sizes=ALL)
def constant_of_shape(op: Op) -> Value:
    """One value everywhere: N equal rows where a size is N·c."""
    target = op.content(0)
    if target is None:
        raise Mixes("shape-unknown", "a tensor is filled to a shape that is not known")
    filled = _repeated(op, tuple(target))
    fill = op.attribute("value")
    value = onnx.numpy_helper.to_array(fill) if fill is not None else np.zeros(1, np.float32)
    shape = filled.known_shape
    if shape is None or value.dtype.kind not in "iub" or int(np.prod(shape)) > MAX_CONTENT:
        return filled
    return numbers(objects([const(int(value.reshape(-1)[0]))] * int(np.prod(shape)), shape))


@rule("Range", sizes=ALL)
@rule("Range", domain=MICROSOFT, sizes=ALL)
def range_(op: Op) -> Value:
    """start, start + delta, …: from 0 to N by 1 it is the position of each row. A delta left out is 1."""
    start, limit, delta = ([None] if (c := op.content(i)) is None else list(c.reshape(-1)) for i in range(3))
    delta = [ONE] if op.get(2) is None else delta
    if start[0] == ZERO and delta[0] == ONE and limit[0] == N:
        return Value(RowIndex(0), (N,))
    if any(value.state == BATCH_SIZE for value in op.present):
        raise Mixes("size-from-batch", "a range is computed from the number of rows")
    if start[0] == ZERO and delta[0] == ONE and limit[0] is not None and limit[0].dimension:
        return Value(ROW_FREE, (limit[0],), below=limit[0])
    return Value(ROW_FREE, (op.symbols.fresh("range"),))


@rule("Tile", sizes=(1,))
def tile(op: Op) -> Value:
    """Repeats whole axes: the axis of the rows may not be repeated (the second copy of a row would stand N
    further on); a row-free tensor repeated N times gives N equal rows.
    """
    x, repeats = op.need(0), op.content(1)
    if repeats is None or x.shape is None or len(repeats) != len(x.shape):
        if not x.number:
            raise Mixes("shape-unknown", "rows are repeated a number of times that is not known")
        return _reshaped_blindly(op, repeats)
    sizes = tuple(size * times for size, times in zip(x.shape, repeats, strict=True))
    if x.number:
        return _repeated(op, sizes)
    row = row_of(x)
    assert row is not None
    if repeats[row.axis] != ONE:
        raise Mixes("rows-repeated", "Tile repeats the rows of the batch")
    return Value(row, sizes)


@rule("ExpandDims", domain=MICROSOFT)
def expand_dims(op: Op) -> Value:
    """One new axis of size 1."""
    x, axis = op.need(0), op.integers(1)
    if axis is None:
        raise Mixes("axes-unknown", "the axis of ExpandDims is not a constant")
    if x.shape is None:
        return carry(x, None)
    at = normal_axis(axis[0], len(x.shape) + 1)
    places = {a: a + (a >= at) for a in range(len(x.shape))}
    return _reaxed(x, places, (*x.shape[:at], ONE, *x.shape[at:]))


def _text(sizes: Shape) -> str:
    return "[" + ", ".join(str(size) for size in sizes) + "]"
