"""Row rules of matrix products: the axis of the rows may not be summed over."""

from __future__ import annotations

from collections.abc import Sequence

from actcache.passes.rows.broadcasting import broadcast, labelled
from actcache.passes.rows.registry import MICROSOFT, Op, known, rule
from actcache.passes.rows.sizes import ONE, const, product
from actcache.passes.rows.state import ROW_FREE, Mixes, Value


def matmul_of(op: Op, a: Value, b: Value) -> Value:
    """Return numpy's matmul of two values, with axes swapped where the node's attributes say so.

    Batch axes are labelled from the right, so that they broadcast; 'i' and 'j' are the axes of the matrices
    that stay, 'k' is summed over. transA swaps 'i' and 'k'; transBatchA puts the first of the two in front of
    the batch axes.
    """
    if a.shape is None or b.shape is None:
        return broadcast([a, b], op.symbols)
    rank_a, rank_b = len(a.shape), len(b.shape)
    if not rank_a or not rank_b:
        raise Mixes("malformed-node", "a matrix product with a scalar")
    labels_a, labels_b, result = matrix_labels(op, rank_a, rank_b)
    return labelled([(a, labels_a), (b, labels_b)], result, op.symbols)


def matrix_labels(op: Op, rank_a: int, rank_b: int) -> tuple[list[str], list[str], list[str]]:
    """Return the labels of the axes of both operands of a matrix product, and of its result; see :func:`matmul_of`."""
    batch = max(rank_a, rank_b, 2) - 2
    names = [f"b{n}" for n in range(batch)]
    pair_a = "ki" if op.attribute("transA", 0) else "ik"
    pair_b = "jk" if op.attribute("transB", 0) else "kj"
    labels_a = _labels(pair_a, names[max(0, batch - rank_a + 2) :], rank_a, op.attribute("transBatchA", 0))
    labels_b = _labels(pair_b, names[max(0, batch - rank_b + 2) :], rank_b, op.attribute("transBatchB", 0))
    return labels_a, labels_b, [*names, *(["i"] if rank_a > 1 else []), *(["j"] if rank_b > 1 else [])]


def _labels(pair: str, batch: list[str], rank: int, batch_inside: int) -> list[str]:
    if rank == 1:
        return ["k"]
    return [pair[0], *batch, pair[1]] if batch_inside else [*batch, *pair]


@rule("MatMul")
def matmul(op: Op) -> Value:
    """A[…, i, k] · B[…, k, j], summed over k."""
    return matmul_of(op, op.need(0), op.need(1))


@rule("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_matmul(op: Op) -> Value:
    """MatMul times a constant, with the axes of either operand swapped: see :func:`matmul_of`."""
    return matmul_of(op, op.need(0), op.need(1))


@rule("Gemm")
@rule("FusedGemm", domain=MICROSOFT)
def gemm(op: Op) -> Value:
    """A'[i, k] · B'[k, j] + C, C broadcast to [i, j]."""
    result = matmul_of(op, op.need(0), op.need(1))
    bias = op.get(2)
    return result if bias is None else broadcast([result, bias], op.symbols)


@rule("MatMulInteger")
@rule("MatMulInteger16", domain=MICROSOFT)
def matmul_integer(op: Op) -> Value:
    """MatMul of integers less their zero points. A vector of zero points belongs to A's rows or B's columns."""
    a, b = op.need(0), op.need(1)
    _shared(op, 2, operand=a)
    _shared(op, 3, operand=b)
    return matmul_of(op, a, b)


@rule("QLinearMatMul")
def qlinear_matmul(op: Op) -> Value:
    """MatMul with a scale and zero point for A, for B and for the result."""
    a, b = op.need(0), op.need(3)
    for index, operand in ((1, a), (2, a), (4, b), (5, b)):
        _shared(op, index, operand=operand)
    for index in (6, 7):
        _shared(op, index, operand=a)
        _shared(op, index, operand=b)
    return matmul_of(op, a, b)


@rule("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(op: Op) -> Value:
    """(A - zero)·(B - zero) times both scales, plus a bias."""
    a, b, bias = op.need(0), op.need(1), op.get(6)
    for index, operand in ((2, a), (3, b), (4, a), (5, b)):
        _shared(op, index, operand=operand)
    result = matmul_of(op, a, b)
    return result if bias is None else broadcast([result, bias], op.symbols)


@rule("QGemm", domain=MICROSOFT)
def qgemm(op: Op) -> Value:
    """Gemm with a scale and zero point for A, B and the result."""
    a, b, bias = op.need(0), op.need(3), op.get(6)
    for index, operand in ((1, a), (2, a), (4, b), (5, b), (7, a), (8, a)):
        _shared(op, index, operand=operand)
    result = matmul_of(op, a, b)
    return result if bias is None else broadcast([result, bias], op.symbols)


@rule("MatMulBnb4", "MatMulFpQ4", "MatMulNBits", domain=MICROSOFT)
def matmul_packed(op: Op) -> Value:
    """A[…, k] times a packed constant [k, j]: every other axis of A stays."""
    op.row_free(*range(1, 6))
    a = op.need(0)
    if a.shape is None:
        return Value(a.state)
    if a.row is not None and a.row.axis == len(a.shape) - 1:
        raise Mixes("rows-contracted", "the product sums over the axis of the rows")
    columns = op.attribute("N")
    return Value(a.state, (*a.shape[:-1], op.symbols.fresh("columns") if columns is None else const(columns)))


@rule("CDist", domain=MICROSOFT)
def pairwise_distance(op: Op) -> Value:
    """The distance of every row of A [m, k] from every row of B [n, k]."""
    return labelled([(op.need(0), "mk"), (op.need(1), "nk")], "mn", op.symbols)


@rule("Einsum")
def einsum(op: Op) -> Value:
    """The equation's letters label the axes; letters missing on the right are summed over."""
    if any(value.shape is None for value in op.present):
        return broadcast(op.present, op.symbols)
    labels, result = einsum_labels(op)
    return labelled(list(zip(op.present, labels, strict=True)), result, op.symbols)


def einsum_labels(op: Op) -> tuple[list[list[str]], list[str]]:
    """Return the labels of the axes of every operand of an Einsum of known ranks, and of its result."""
    equation = str(op.attribute("equation")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = [_letters(term) for term in left.split(",")]
    if len(terms) != len(op.present):
        raise Mixes("malformed-node", "the equation does not fit the operands")
    wide = max((len(known(v)) - len(t) + 1 for v, t in zip(op.present, terms, strict=True) if "..." in t), default=0)
    rest = [f"…{n}" for n in range(wide)]
    labels = [
        _spelled(term, rest[wide - (len(known(value)) - len(term) + 1) :] if "..." in term else [])
        for value, term in zip(op.present, terms, strict=True)
    ]
    if arrow:
        return labels, _spelled(_letters(right), rest)
    flat = [letter for term in labels for letter in term]
    return labels, rest + sorted(x for x in set(flat) if flat.count(x) == 1 and x not in rest)


def _letters(term: str) -> list[str]:
    return [piece for part in term.replace("...", " . ").split() for piece in (["..."] if part == "." else part)]


def _spelled(term: Sequence[str], rest: Sequence[str]) -> list[str]:
    return [label for piece in term for label in (rest if piece == "..." else [piece])]


def _shared(op: Op, index: int, *, operand: Value) -> None:
    """Require that a scale or zero point is the same for all rows of `operand`.

    A vector of them belongs to the matrix rows of A or the columns of B, and these may be the rows of the batch.
    """
    value = op.get(index)
    row = operand.row
    if value is None or (row is None and value.state == ROW_FREE):
        return
    op.row_free(index)
    size = None if value.shape is None else product(value.shape)
    vector = value.shape is not None and len(value.shape) == 1
    batch_axis = row is not None and row.axis < len(known(operand)) - 2
    if size != ONE and not (vector and batch_axis):
        raise Mixes("parameter-per-row", f"input {index} of {op.node.op_type} may hold one value per row of the batch")
