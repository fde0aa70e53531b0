"""Row rules of quantisation: a scale that is a constant keeps rows apart, one taken over the batch does not."""

from __future__ import annotations

from actcache.passes.rows.broadcasting import broadcast, carry
from actcache.passes.rows.registry import MICROSOFT, Op, barrier, known, rule
from actcache.passes.rows.rules_reduce import softmax_axes
from actcache.passes.rows.sizes import ONE, product
from actcache.passes.rows.state import ROW_FREE, Mixes, Row, Value

_OVER_BATCH = (
    "takes one scale over the whole batch, so every row's result depends on the others; "
    "only statically quantised models (QDQ or QLinear) keep rows apart"
)


@rule("QuantizeLinear", "DequantizeLinear")
@rule("QuantizeLinear", "DequantizeLinear", domain=MICROSOFT)
def quantize(op: Op) -> Value:
    """x / scale + zero and back. One scale for all, one per entry of `axis`, or one per block of `axis`."""
    x, scale, zero = op.need(0), op.need(1), op.get(2)
    if x.row is None and all(value.state == ROW_FREE for value in op.present):
        return carry(x, x.shape)
    if scale.shape is None or (zero is not None and zero.state not in (ROW_FREE, scale.state)):
        raise Mixes("row-dependent-parameter", f"the scale or zero point of {op.node.op_type} is not followed")
    if product(scale.shape) == ONE and scale.state == ROW_FREE:
        return carry(x, x.shape)
    axis = op.axis(1, len(known(x)))
    if op.attribute("block_size", 0) or len(scale.shape) != 1:
        per_row = scale.row == x.row and x.row is not None and x.row.axis != axis
    elif scale.row is not None:
        per_row = x.row is not None and scale.row == Row(0, x.row.block) and x.row.axis == axis
        per_row = per_row and (zero is None or zero.row == scale.row)
    else:
        per_row = x.row is not None and x.row.axis != axis
    if not per_row:
        raise Mixes("parameter-per-row", f"{op.node.op_type} has constant scales along the axis of the rows")
    return carry(x, x.shape)


def static_scale(op: Op, *indices: int) -> None:
    """Require that the scales and zero points at `indices` are single constants."""
    op.row_free(*indices)
    for index in indices:
        value = op.get(index)
        if value is not None and (value.shape is None or product(value.shape) != ONE):
            raise Mixes("parameter-per-row", f"input {index} of {op.node.op_type} is not a single constant")


@rule("QLinearSigmoid", "QLinearLeakyRelu", domain=MICROSOFT)
def qlinear_unary(op: Op) -> Value:
    """Elementwise, with one scale and zero point on each side."""
    static_scale(op, 1, 2, 3, 4)
    return carry(op.need(0), op.need(0).shape)


@rule("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def qlinear_binary(op: Op) -> Value:
    """Elementwise on broadcast operands A (0) and B (3), each followed by its scale and zero point."""
    static_scale(op, 1, 2, 4, 5, 6, 7)
    return broadcast([op.need(0), op.need(3)], op.symbols)


@rule("QLinearWhere", domain=MICROSOFT)
def qlinear_where(op: Op) -> Value:
    """Where on broadcast operands: condition (0), X (1) and Y (4), each followed by its scale and zero point."""
    static_scale(op, 2, 3, 5, 6, 7, 8)
    return broadcast([op.need(0), op.need(1), op.need(4)], op.symbols)


@rule("QLinearSoftmax", domain=MICROSOFT)
def qlinear_softmax(op: Op) -> Value:
    """Softmax with static scales; the attribute `opset` tells which Softmax it replaces."""
    static_scale(op, 1, 2, 3, 4)
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    axes = softmax_axes(op, len(x.shape), int(op.attribute("opset", 1)))
    if x.row is not None and x.row.axis in axes:
        raise Mixes("softmax-over-rows", "QLinearSoftmax normalises over the rows of the batch")
    return carry(x, x.shape)


barrier("DynamicQuantizeLinear", "dynamic-quantisation", f"DynamicQuantizeLinear {_OVER_BATCH}")
for _operator in ("DynamicQuantizeMatMul", "DynamicQuantizeLSTM"):
    barrier(_operator, "dynamic-quantisation", f"{_operator} {_OVER_BATCH}", domain=MICROSOFT)
