"""What becomes of rows when operands are broadcast, and when axes are matched by label (matrix products)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actcache.passes.rows.registry import known
from actcache.passes.rows.sizes import ONE, Size, Symbols
from actcache.passes.rows.state import (
    BATCH_SIZE,
    ROW_FREE,
    BatchSize,
    Mixes,
    Row,
    RowIndex,
    Shape,
    State,
    Value,
)

_FROM_BATCH = ("batch-size-in-data", "a value computed from the number of rows enters the data of the rows")


def broadcast_size(sizes: Sequence[Size], symbols: Symbols) -> Size:
    """Return the size that numpy broadcasting gives one axis.

    An axis that counts rows may only meet 1 or itself: against any other size it is legal for one N only (or,
    at N = 1, stretches the rows), so nothing holds for all N.
    """
    distinct = list(dict.fromkeys(size for size in sizes if size != ONE))
    if len(distinct) <= 1:
        return distinct[0] if distinct else ONE
    if any(size.batch for size in distinct):
        raise Mixes("broadcast-against-rows", f"an axis of rows is broadcast against one of size {_other(distinct)}")
    # In a run that succeeds every size is 1 or the common one, so a known one decides.
    fixed = [size for size in distinct if size.value is not None]
    if fixed:
        return fixed[0]
    # A table cut to the S positions there are has min(S, T) of them: unless that is S or 1, the run fails.
    distinct = [size for size in distinct if not any(symbols.cut_to(size, other) for other in distinct)]
    if len(distinct) == 1:
        return distinct[0]
    return symbols.met(distinct)


def broadcast(values: Sequence[Value], symbols: Symbols) -> Value:
    """Return the state and shape of an elementwise operator on broadcast operands.

    All row operands must have their rows on the same axis counted from the right, in equal blocks, and every
    other operand must be 1 (or absent) there: then entry i of the result reads row i of each.
    """
    if any(value.shape is None for value in values):
        if all(value.number for value in values):
            batch = any(isinstance(value.state, BatchSize) for value in values)
            return Value(BATCH_SIZE if batch else ROW_FREE)
        if any(isinstance(value.state, BatchSize) for value in values):
            raise Mixes(*_FROM_BATCH)
        raise Mixes("rank-unknown", "rows are combined with a tensor of unknown rank")
    shapes = [known(value) for value in values]
    rank = max(len(shape) for shape in shapes)
    state = joint_state(values, rank)
    padded = [(ONE,) * (rank - len(shape)) + shape for shape in shapes]
    return Value(state, tuple(broadcast_size(sizes, symbols) for sizes in zip(*padded, strict=True)))


def joint_state(values: Sequence[Value], rank: int) -> State:
    """Return the state of the elementwise combination of `values`, aligned from the right to `rank`."""
    states = {_aligned(value, rank) for value in values} - {ROW_FREE}
    if not states:
        return ROW_FREE
    if len(states) == 1:
        state = next(iter(states))
        return RowIndex(state.axis, None) if isinstance(state, RowIndex) else state
    if BATCH_SIZE in states:
        raise Mixes(*_FROM_BATCH)
    if any(not isinstance(state, Row) for state in states):
        if all(isinstance(state, RowIndex) for state in states) and len({s.axis for s in states}) == 1:  # type: ignore[union-attr]
            return RowIndex(next(iter(states)).axis, None)  # type: ignore[union-attr]
        raise Mixes("row-position-in-data", "the position of a row in the batch enters its data")
    axes = sorted({state.axis for state in states})  # type: ignore[union-attr]
    if len(axes) > 1:
        raise Mixes("rows-misaligned", f"rows lie on axis {axes[0]} of one operand and on axis {axes[1]} of another")
    raise Mixes("rows-misaligned", "rows of one operand are flattened with another axis, those of another are not")


def labelled(operands: Sequence[tuple[Value, Sequence[str]]], result: Sequence[str], symbols: Symbols) -> Value:
    """Return the result of multiplying operands whose axes carry labels, summing over labels not in `result`.

    Result[r] = Σ over the other labels of Π operand[labels]. Rows stay apart when their label is in the
    result, appears once in each operand that has it, and every such operand has rows there (or size 1).
    """
    sizes: dict[str, list[Size]] = {}
    rows: set[tuple[str, Row]] = set()
    for value, labels in operands:
        shape = known(value)
        if len(shape) != len(labels):
            raise Mixes("malformed-node", "the equation does not fit the operands")
        for label, size in zip(labels, shape, strict=True):
            sizes.setdefault(label, []).append(size)
        if value.row is not None:
            label = labels[value.row.axis]
            if list(labels).count(label) > 1:
                raise Mixes("rows-diagonal", "a diagonal is taken over the axis of the rows")
            rows.add((label, replace(value.row, axis=0)))
        elif value.state != ROW_FREE:
            raise Mixes("batch-size-in-data", "a value computed from the number or position of rows enters a product")
    if len(rows) > 1:
        raise Mixes("rows-misaligned", "the rows of the operands of a product lie on different axes")
    state: State = ROW_FREE
    if rows:
        label, row = next(iter(rows))
        if label not in result:
            raise Mixes("rows-contracted", "the product sums over the axis of the rows")
        state = replace(row, axis=list(result).index(label))
    return Value(state, tuple(broadcast_size(sizes[label], symbols) for label in result))


def same_rows(values: Sequence[Value], axes: Sequence[int]) -> Row | None:
    """Return the rows of operands that are matched by position: row i of one meets row i of the others.

    Either none of them has rows, or each has them on its own axis of `axes` in equal blocks. A row-free operand
    would need as many entries as there are rows, which no constant size can give for every N.
    """
    if all(value.state == ROW_FREE for value in values):
        return None
    blocks = set()
    for value, axis in zip(values, axes, strict=True):
        if value.row is None or value.row.axis != axis:
            where = "none" if value.row is None else f"axis {value.row.axis}"
            raise Mixes("rows-misaligned", f"rows are expected on axis {axis}, an operand has them on {where}")
        if value.row.before != ONE:
            raise Mixes("rows-misaligned", "an operand has its rows flattened behind another axis")
        blocks.add(value.row.block)
    if len(blocks) > 1:
        raise Mixes("rows-misaligned", "the operands flatten their rows differently")
    return Row(axes[0], blocks.pop())


def carry(value: Value, shape: Shape | None) -> Value:
    """Return a value with the state of `value` (axis unchanged) and another shape."""
    return Value(value.state, shape)


def _aligned(value: Value, rank: int) -> State:
    """The state with its axis counted in the result."""
    shift = rank - len(known(value))
    state = value.state
    if isinstance(state, Row):
        return replace(state, axis=state.axis + shift)
    if isinstance(state, RowIndex):
        return RowIndex(state.axis + shift, state.stride)
    return state


def _other(sizes: Sequence[Size]) -> str:
    return ", ".join(str(size) for size in sizes if not size.batch) or str(sizes[0])
