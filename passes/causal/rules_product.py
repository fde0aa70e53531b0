"""Causal rules of matrix products. A sum over positions needs a factor that is 0 where they are later."""

from __future__ import annotations

from actcache.passes.causal.joining import joined, labelled
from actcache.passes.causal.registry import MICROSOFT, Op, Result, known, rule
from actcache.passes.causal.state import LooksAhead
from actcache.passes.rows.rules_product import einsum_labels, matrix_labels


def matmul_of(op: Op, first: int, second: int) -> Result:
    """Return numpy's matmul of two inputs, with axes swapped where the node's attributes say so."""
    a, b = op.need(first), op.need(second)
    rank_a, rank_b = len(known(a)), len(known(b))
    if not rank_a or not rank_b:
        raise LooksAhead("malformed-node", "a matrix product with a scalar")
    labels_a, labels_b, result = matrix_labels(op.rows, rank_a, rank_b)
    return labelled([(first, a, labels_a), (second, b, labels_b)], result, op.symbols, op.conditions)


@rule("MatMul")
@rule("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def matmul(op: Op) -> Result:
    """A[…, i, k] · B[…, k, j], summed over k."""
    return matmul_of(op, 0, 1)


@rule("Gemm")
@rule("FusedGemm", domain=MICROSOFT)
def gemm(op: Op) -> Result:
    """A'[i, k] · B'[k, j] + C, C broadcast to [i, j]."""
    product = matmul_of(op, 0, 1)
    if op.get(2) is None:
        return product
    total = joined([product.values[0], op.need(2)], op.symbols)
    return Result(total.values, {**product.axes, 2: total.axes[1]})


@rule("Einsum")
def einsum(op: Op) -> Result:
    """The equation's letters label the axes."""
    labels, result = einsum_labels(op.rows)
    operands = [(index, value, own) for index, (value, own) in enumerate(zip(op.present, labels, strict=True))]
    return labelled(operands, result, op.symbols, op.conditions)
