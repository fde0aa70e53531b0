"""Causal rules of quantised models: scales that are constants keep positions apart, those taken over all do not."""

from __future__ import annotations

import onnx

from actcache.passes.causal.joining import axes_of
from actcache.passes.causal.registry import MICROSOFT, Op, Result, known, refused, rule, stable
from actcache.passes.causal.rules_product import matmul_of
from actcache.passes.causal.state import LooksAhead, Value
from actcache.passes.rows.sizes import ONE, const, product

_OVER_ALL = "takes one scale over all positions, later ones included; only models that are quantised statically do not"


@rule("QuantizeLinear", "DequantizeLinear")
@rule("QuantizeLinear", "DequantizeLinear", domain=MICROSOFT)
def quantize(op: Op) -> Result:
    """x / scale + zero and back: one scale for all, or one per entry of an axis of features."""
    op.fixed(1, 2)
    x = op.need(0)
    if product(op.shape(1)) != ONE:
        axis = op.axis(1, len(known(x)))
        if len(op.shape(1)) != 1 or any(place.axis == axis for place in x.places):
            raise LooksAhead("scale-of-positions", f"{op.node.op_type} has scales along the axis of positions")
    return Result([Value(x.state, known(x))], {0: axes_of(x)})


@rule("MatMulInteger")
@rule("MatMulInteger16", domain=MICROSOFT)
def integer_product(op: Op) -> Result:
    """A product of integers, less zero points that are single constants, or one for each column."""
    op.fixed(2, 3)
    if op.get(2) is not None and product(op.shape(2)) != ONE:
        raise LooksAhead("scale-of-positions", "MatMulInteger has zero points for the rows of its first operand")
    return matmul_of(op, 0, 1)


@rule("QLinearMatMul")
def quantised_product(op: Op) -> Result:
    """A product of integers with a scale and a zero point of each operand and of the result."""
    op.fixed(1, 2, 4, 5, 6, 7)
    if any(product(op.shape(index)) != ONE for index in (1, 2, 6, 7)):
        raise LooksAhead("scale-of-positions", "QLinearMatMul has scales for the rows of its first operand")
    return matmul_of(op, 0, 3)


@rule("MatMulBnb4", "MatMulFpQ4", "MatMulNBits", domain=MICROSOFT)
def packed_product(op: Op) -> Result:
    """A[…, k] times a packed constant [k, N]."""
    op.fixed(*range(1, len(op.inputs)))
    x, columns = op.need(0), op.attribute("N")
    last = len(known(x)) - 1
    if any(place.axis == last for place in x.places):
        raise LooksAhead("sum-over-positions", f"{op.node.op_type} sums over positions, later ones included")
    width = op.symbols.fresh("columns") if columns is None else const(int(columns))
    axes = {axis: axis for axis in range(last)}
    return Result([Value(x.state, (*known(x)[:-1], width))], {0: axes})


@rule("GatherBlockQuantized", domain=MICROSOFT)
def packed_lookup(op: Op) -> Result:
    """Rows of a packed constant [words, features], by data."""
    op.fixed(0, *range(2, len(op.inputs)))
    table, index = op.need(0), op.need(1)
    if op.attribute("gather_axis", 0) or len(known(table)) != 2:
        raise LooksAhead("not-followed", "GatherBlockQuantized along another axis than that of words")
    packed = 8 // int(op.attribute("bits", 4)) if op.types[0] == onnx.TensorProto.UINT8 else 1
    sizes = (*known(index), known(table)[1] * const(packed))
    return Result([Value(stable(index.places, [index]), sizes)], {1: axes_of(index)})


refused("DynamicQuantizeLinear", "dynamic-quantisation", f"DynamicQuantizeLinear {_OVER_ALL}")
for _operator in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat"):
    refused(_operator, "dynamic-quantisation", f"{_operator} {_OVER_ALL}", domain=MICROSOFT)
