"""Row rules of gathering and scattering: who is indexed, and by what."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import carry
from actcache.passes.rows.registry import MICROSOFT, Op, known, numbers, objects, rule
from actcache.passes.rows.state import (
    BATCH_SIZE,
    ROW_FREE,
    Mixes,
    Positional,
    Row,
    RowCoords,
    RowIndex,
    RowOffset,
    State,
    Value,
)


@rule("Gather", sizes=(0,), indexes=(1,))
def gather(op: Op) -> Value:
    """out[a…, i…, b…] = data[a…, index[i…], b…].

    Row-free data indexed by rows are rows (an embedding). Rows indexed along another axis stay rows. Rows
    indexed along their own axis are picked by position, which is allowed for a row's own position only: i, or
    for rows flattened in blocks a place i·block + v in its own block.
    """
    data, index = op.need(0), op.need(1)
    if data.shape is None or index.shape is None:
        if data.number and index.number:
            return Value(BATCH_SIZE if BATCH_SIZE in (data.state, index.state) else ROW_FREE)
        raise Mixes("rank-unknown", "Gather of unknown rank")
    if data.state == BATCH_SIZE and not index.number:
        raise Mixes("batch-size-in-data", "rows select from values computed from the number of rows")
    axis = op.axis(0, len(data.shape))
    if data.content is not None and axis == 0 and data.content.ndim == 1:
        return _gathered_content(op, data, index)
    sizes = (*data.shape[:axis], *index.shape, *data.shape[axis + 1 :])
    return Value(_gathered(data, index, axis), sizes)


def _gathered(data: Value, index: Value, axis: int) -> State:
    row, chosen = data.row, index.row
    if isinstance(index.state, RowIndex):
        if row == Row(axis) and index.state.exact:
            return Row(axis + index.state.axis)
        raise Mixes("row-position-in-data", "the position of a row in the batch selects its data")
    if isinstance(index.state, RowOffset):
        if row == Row(axis, index.state.block):
            return Row(axis + index.state.axis)
        raise Mixes("row-position-in-data", "the position of a row in the batch selects its data")
    if isinstance(index.state, RowCoords):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are used as an index")
    if row is not None and chosen is not None:
        raise Mixes("gather-rows", "each row gathers from all rows of the batch")
    if row is not None:
        if row.axis == axis:
            raise Mixes("gather-rows", "Gather picks rows of the batch by position")
        rank = len(known(index))
        return Row(row.axis + (rank - 1 if row.axis > axis else 0), row.block)
    if chosen is not None:
        return Row(axis + chosen.axis, chosen.block)
    return data.state


def _gathered_content(op: Op, data: Value, index: Value) -> Value:
    assert data.content is not None
    places = op.integers(1)
    shape = index.known_shape
    if places is None or shape is None:
        if not index.number:
            raise Mixes("batch-size-in-data", "rows select from the sizes of a tensor")
        return Value(data.state if data.state == BATCH_SIZE else index.state, index.shape)
    return numbers(objects([data.content[place] for place in places], shape))


@rule("GatherBlockQuantized", domain=MICROSOFT)
def gather_block_quantized(op: Op) -> Value:
    """Gather from a quantised constant, with its scales and zero points."""
    op.row_free(0, 2, 3)
    data, index = op.need(0), op.need(1)
    if data.shape is None or index.shape is None:
        raise Mixes("rank-unknown", "GatherBlockQuantized of unknown rank")
    axis = op.axis(0, len(data.shape), "gather_axis")
    rest = [op.symbols.fresh("?") for _ in data.shape[1:]]  # several elements may share a byte
    return Value(_gathered(data, index, axis), (*rest[:axis], *index.shape, *rest[axis:]))


@rule("GatherElements")
def gather_elements(op: Op) -> Value:
    """out[…, i, …] = data[…, index[…, i, …], …]: positions agree on every axis but the one indexed."""
    data, index = op.need(0), op.need(1)
    if data.shape is None or index.shape is None:
        raise Mixes("rank-unknown", "GatherElements of unknown rank")
    axis = op.axis(0, len(data.shape))
    if data.state == ROW_FREE:
        if index.row is not None and index.row.axis != axis:
            raise Mixes("row-position-in-data", "GatherElements reads a constant at the position of each row")
        return carry(index, index.shape)
    return Value(_elementwise_rows(op, [data, index], axis), index.shape)


@rule("ScatterElements", "Scatter")
def scatter_elements(op: Op) -> Value:
    """data[…, index[…, i, …], …] = updates[…, i, …]: positions agree on every axis but the one indexed."""
    data, index, updates = op.need(0), op.need(1), op.need(2)
    if any(value.shape is None for value in (data, index, updates)):
        raise Mixes("rank-unknown", "ScatterElements of unknown rank")
    if all(value.state == ROW_FREE for value in op.present):
        return carry(data, data.shape)
    axis = op.axis(0, len(known(data)))
    return Value(_elementwise_rows(op, [data, index, updates], axis), data.shape)


def _elementwise_rows(op: Op, values: list[Value], axis: int) -> Row:
    """The rows of tensors that are matched position by position on every axis except `axis`."""
    states = {value.state for value in values}
    state = states.pop()
    if states or not isinstance(state, Row):
        raise Mixes("rows-misaligned", f"only some operands of {op.node.op_type} have rows, or on different axes")
    if state.axis == axis:
        raise Mixes("gather-rows", f"{op.node.op_type} moves data between the rows of the batch")
    return state


@rule("GatherND", indexes=(1,))
@rule("GatherND", domain=MICROSOFT, indexes=(1,))
def gather_nd(op: Op) -> Value:
    """out[b…, i…, r…] = data[b…, index[b…, i…, :], r…], the first `batch_dims` axes b in common."""
    data, index = op.need(0), op.need(1)
    batch, length = int(op.attribute("batch_dims", 0)), _tuple_length(data, index)
    if length is None:
        if data.state == ROW_FREE and index.state == ROW_FREE:
            return Value(ROW_FREE)
        raise Mixes("rank-unknown", "GatherND of unknown rank")
    sizes = (*known(index)[:-1], *known(data)[batch + length :])
    return Value(_gathered_nd(data, index, batch, length), sizes)


def _tuple_length(data: Value, index: Value) -> int | None:
    if data.shape is None or not index.shape:
        return None
    return index.shape[-1].value


def _gathered_nd(data: Value, index: Value, batch: int, length: int) -> State:
    row, rank = data.row, len(known(index))
    own = _own_position(index, length)
    if own is not None:
        if row == Row(0) and batch == 0:
            return Row(own)
        raise Mixes("row-position-in-data", "the position of a row in the batch selects its data")
    chosen = index.row
    if chosen is not None and chosen.axis == rank - 1:
        raise Mixes("row-position-in-data", "the rows are taken for coordinates")
    if row is None:
        if chosen is not None and chosen.axis < batch:
            raise Mixes("row-position-in-data", "each row reads a constant at its own position")
        return chosen or ROW_FREE
    if chosen is not None:
        if row == chosen and row.axis < batch:
            return row
        raise Mixes("gather-rows", "each row gathers from all rows of the batch")
    if row.axis < batch + length:
        raise Mixes("gather-rows", "GatherND picks rows of the batch by position")
    return Row(row.axis - batch - length + rank - 1, row.block)


def _own_position(index: Value, length: int) -> int | None:
    """The axis along which each row's first coordinate is its own position, or None if they are plain values."""
    if isinstance(index.state, RowCoords):
        return index.state.axis
    if isinstance(index.state, Positional):
        own = isinstance(index.state, RowIndex) and index.state.exact
        if own and length == 1 and index.state.axis != len(known(index)) - 1:
            return index.state.axis
        raise Mixes("row-position-in-data", "the position of a row in the batch selects its data")
    return None


@rule("ScatterND", indexes=(1,))
def scatter_nd(op: Op) -> Value:
    """data[index[i…, :], r…] = updates[i…, r…]."""
    data, index, updates = op.need(0), op.need(1), op.need(2)
    if all(value.state == ROW_FREE for value in op.present):
        return carry(data, data.shape)
    length = _tuple_length(data, index)
    if length is None or updates.shape is None:
        raise Mixes("rank-unknown", "ScatterND of unknown rank")
    own = _own_position(index, length)
    outer = len(known(index)) - 1
    if own is not None and data.row == Row(0) and updates.row == Row(own):
        return carry(data, data.shape)
    row = data.row
    inner = index.state == ROW_FREE and row is not None and row.axis >= length
    if row is not None and inner and updates.row == Row(row.axis - length + outer, row.block):
        return carry(data, data.shape)
    raise Mixes("scatter-rows", "ScatterND writes to rows of the batch by position")
