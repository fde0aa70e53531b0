"""``Loop`` and ``Scan``: what holds for a value in every iteration.

The rows of all iterations are those of the batch as long as the number of iterations is the same for all rows and
for every N. A carried value is then rows after each iteration if it is rows before the first, and if the body,
given rows, makes rows on the same axis of it: the body is interpreted until nothing changes any more. Facts of one
iteration (elements, sizes that grow) are forgotten, those that hold in all of them are kept.

``Scan`` takes slices along an axis, which may not be that of the rows, and fails on none. ``Loop`` may run not at
all: what it stacks up is then empty in all its axes, that of the rows included, so it is taken for rows only where
the first iteration is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx

from actcache.passes.refusal import Refusal
from actcache.passes.rows.registry import Op, normal_axis, objects
from actcache.passes.rows.sizes import ONE, Size, Symbols
from actcache.passes.rows.state import (
    BATCH_SIZE,
    ROW_FREE,
    Content,
    Mixed,
    Mixes,
    Positional,
    Row,
    RowCoords,
    Shape,
    Value,
)

#: Interprets the body once for given arguments and returns its outputs.
Body = Callable[[Sequence[Value]], list[Value]]
#: A state can change twice and a size once before both are as general as they get; nests of loops take longer.
MAX_ROUNDS = 8


def follow_loop(op: Op, graph: onnx.GraphProto, body: Body) -> list[Value]:
    """Return the outputs of a ``Loop``: the carried values after the last iteration, then what it stacks up."""
    trips, condition, initial = op.get(0), op.get(1), [op.need(i) for i in range(2, len(op.inputs))]
    for value in (trips, condition):
        if value is not None:
            _same_for_all_rows(op, value)
    mark = op.symbols.mark
    number = op.symbols.fresh("iteration")
    arguments = [_scalar(graph, 0, number), _scalar(graph, 1, ONE)]
    carried, outputs = _settled(op, initial, lambda values: body([*arguments, *values]), skip=1)
    if isinstance(outputs[0].state, Mixed):
        return [Value(outputs[0].state) for _ in op.node.output]
    _same_for_all_rows(op, outputs[0])
    begins, goes_on = condition is None or _certain(condition), _certain(outputs[0])
    count = trips.content.flat[0] if trips is not None and trips.content is not None else None
    runs = begins and (trips is None or (count is not None and count.sign() == 1))
    all_run = begins and goes_on
    length = count if all_run and count is not None and count.dimension else op.symbols.fresh("iterations")
    stacked = [_stacked(op, value, 0, length, mark) for value in outputs[1 + len(initial) :]]
    return [*carried, *(stacked if runs else [_perhaps_empty(op, value) for value in stacked])]


def follow_scan(op: Op, body: Body) -> list[Value]:
    """Return the outputs of a ``Scan``: the states after the last slice, then what it stacks up."""
    if op.opset < 9:
        raise Mixes("not-followed", "Scan before opset 9 has the batch as an axis of its own")
    count = int(op.attribute("num_scan_inputs"))
    values = [op.need(i) for i in range(len(op.inputs))]
    initial, scanned = values[: len(values) - count], values[len(values) - count :]
    axes = op.attribute("scan_input_axes", [0] * count)
    sliced = [_slice(value, int(axis)) for value, axis in zip(scanned, axes, strict=True)]
    mark = op.symbols.mark
    slices = [value for value, _ in sliced]
    carried, outputs = _settled(op, initial, lambda values: body([*values, *slices]), skip=0)
    length = next((length for _, length in sliced if length is not None), op.symbols.fresh("slices"))
    made = outputs[len(initial) :]
    places = op.attribute("scan_output_axes", [0] * len(made))
    return [*carried, *(_stacked(op, v, int(place), length, mark) for v, place in zip(made, places, strict=True))]


@dataclass
class _Carried:
    """What is assumed of a carried value at the beginning of any iteration.

    Attributes:
        value: The value given to the body.
        constant: Whether the body has handed on the very same value so far.
        open_axes: Axes whose size may differ from one iteration to the next.
    """

    value: Value
    constant: bool = True
    open_axes: frozenset[int] = frozenset()


def _settled(op: Op, initial: Sequence[Value], body: Body, skip: int) -> tuple[list[Value], list[Value]]:
    """Interpret the body until what is assumed of the carried values also holds after it.

    Returns:
        The carried values after any number of iterations, and all outputs of the body in the last interpretation.
    """
    carried = [_Carried(value) for value in initial]
    for _ in range(MAX_ROUNDS):
        outputs = body([one.value for one in carried])
        after = outputs[skip : skip + len(carried)]
        if len(after) < len(carried):
            raise Mixes("malformed-node", f"the body of {op.node.op_type} has too few outputs")
        changed = [_generalise(one, value, op) for one, value in zip(carried, after, strict=True)]
        if not any(changed):
            return [_after(one, op.symbols) for one in carried], outputs
    raise Mixes("loop-not-settled", f"what {op.node.op_type} carries changes in kind from one iteration to the next")


def _generalise(one: _Carried, after: Value, op: Op) -> bool:
    """Weaken what is assumed so that it holds after the iteration too; return whether it was too strong."""
    before = one.value
    if after is before or isinstance(before.state, Mixed):
        return False
    was_constant, one.constant = one.constant, False
    widened = _widened(one, after, op)
    if widened is None and not was_constant:
        return False
    one.value = widened or Value(before.state, before.shape)  # a value of its own: its elements are not known
    return True


def _widened(one: _Carried, after: Value, op: Op) -> Value | None:
    """Return what holds before and after the iteration; None: what is assumed does."""
    before = one.value
    if isinstance(after.state, Mixed):
        return Value(after.state)
    state = before.state
    if state != after.state:
        if not (before.number and after.number):
            reason = f"the rows of a value that {op.node.op_type} carries change place in the first iteration"
            return Value(Mixed(Refusal("carried-rows-differ", reason)))
        state = BATCH_SIZE
    if before.shape is None or after.shape is None or len(before.shape) != len(after.shape):
        if before.shape is None and state == before.state:
            return None
        return Value(state) if before.number else Value(Mixed(Refusal("rank-unknown", "the rank of rows changes")))
    pairs = list(zip(before.shape, after.shape, strict=True))
    opened = {a for a, (old, new) in enumerate(pairs) if old != new} - one.open_axes
    if state == before.state and not opened:
        return None
    one.open_axes |= opened
    batch = state == BATCH_SIZE
    fresh = [op.symbols.fresh("?", batch=batch) if a in opened else old for a, (old, _) in enumerate(pairs)]
    return Value(state, tuple(fresh))


def _after(one: _Carried, symbols: Symbols) -> Value:
    """The value behind the loop. A size that may differ between iterations is not the one of the last body."""
    value = one.value
    if value.shape is None or not one.open_axes:
        return value
    batch = value.state == BATCH_SIZE
    sizes = [symbols.fresh("?", batch=batch) if a in one.open_axes else s for a, s in enumerate(value.shape)]
    return Value(value.state, tuple(sizes))


def _slice(value: Value, axis: int) -> tuple[Value, Size | None]:
    """Return what one iteration gets of a scanned tensor, and the number of iterations it gives."""
    if value.shape is None:
        if value.state != ROW_FREE:
            raise Mixes("rank-unknown", "the rank of what Scan takes slices of is unknown")
        return Value(ROW_FREE), None
    axis = normal_axis(axis, len(value.shape))
    rest, state = value.shape[:axis] + value.shape[axis + 1 :], value.state
    if (isinstance(state, Row | Positional) and state.axis == axis) or value.shape[axis].batch:
        raise Mixes("loop-over-rows", "Scan runs over the rows of the batch")
    if isinstance(state, RowCoords):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are cut into slices")
    if isinstance(state, Row | Positional):
        state = replace(state, axis=state.axis - (state.axis > axis))
    return Value(state, rest), value.shape[axis]


def _stacked(op: Op, value: Value, axis: int, length: Size, mark: int) -> Value:
    """Return one value for each iteration on a new axis. Sizes made in the body are those of all iterations."""
    state = value.state
    if isinstance(state, Mixed) or value.shape is None:
        return Value(state)
    axis = normal_axis(axis, len(value.shape) + 1)
    if isinstance(state, RowCoords):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are stacked up")
    if isinstance(state, Row | Positional):
        state = replace(state, axis=state.axis + (state.axis >= axis))
    sizes = [size if size.made_before(mark) else op.symbols.fresh("?", batch=size.batch) for size in value.shape]
    return Value(state, (*sizes[:axis], length, *sizes[axis:]))


def _perhaps_empty(op: Op, value: Value) -> Value:
    """What a ``Loop`` stacks up that may have run not at all: then every axis that its body leaves open is 0."""
    if not value.number:
        reason = "Loop may run no iteration, and what it stacks up then has no axis of rows"
        return value if isinstance(value.state, Mixed) else Value(Mixed(Refusal("loop-may-not-run", reason)))
    shape: Shape | None = value.shape
    batch = value.state == BATCH_SIZE
    return Value(value.state, None if shape is None else tuple(op.symbols.fresh("?", batch=batch) for _ in shape))


def _same_for_all_rows(op: Op, value: Value) -> None:
    """Require that a number of iterations, or a condition, does not depend on the rows or on their number."""
    if value.state != ROW_FREE:
        what = "the number of rows decides" if value.state == BATCH_SIZE else "the rows decide"
        raise Mixes("loop-over-rows", f"{what} how often the body of {op.node.op_type} runs")


def _scalar(graph: onnx.GraphProto, position: int, element: Size) -> Value:
    """The number of the iteration, or the condition, as the body declares it: a scalar, or a vector of one."""
    rank = len(graph.input[position].type.tensor_type.shape.dim)
    content: Content = objects([element], (1,) * rank)
    return Value(ROW_FREE, (ONE,) * rank, content)


def _certain(condition: Value) -> bool:
    """Whether a condition holds in every run."""
    return condition.content is not None and all(element == ONE for element in condition.content.flat)
