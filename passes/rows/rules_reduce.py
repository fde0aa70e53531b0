"""Row rules of operators that combine entries along axes: reductions, softmax, scans, sorting."""

from __future__ import annotations

from dataclasses import replace

from actcache.passes.rows.broadcasting import carry
from actcache.passes.rows.registry import Op, numbers, objects, rule
from actcache.passes.rows.rules_shape import moved
from actcache.passes.rows.sizes import ONE, Size, const, product
from actcache.passes.rows.state import Mixes, Shape, Value


@rule(*(f"Reduce{kind}" for kind in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()), sizes=(0,))
def reduce(op: Op) -> Value:
    """Combines the entries along `axes`. Rows stay apart when their axis is not among them."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    rank = len(x.shape)
    axes = op.axes(rank)
    if not axes:
        if op.attribute("noop_with_empty_axes", 0):
            return carry(x, x.shape)
        axes = list(range(rank))
    if x.content is not None and rank == 1:
        return _reduced_content(op, list(x.content))
    _not_rows(op, x, axes, "reduce-over-rows", "combines the rows of the batch")
    return _without_axes(x, x.shape, axes, keep=bool(op.attribute("keepdims", 1)))


def _reduced_content(op: Op, elements: list[Size]) -> Value:
    """Sums and products of sizes; other combinations of them are numbers without a formula."""
    shape = (1,) if op.attribute("keepdims", 1) else ()
    if op.node.op_type == "ReduceProd":
        return numbers(objects([product(elements)], shape))
    if op.node.op_type == "ReduceSum":
        return numbers(objects([sum(elements, const(0))], shape))
    if len(elements) == 1 and op.node.op_type in ("ReduceMax", "ReduceMin", "ReduceMean"):
        return numbers(objects(elements, shape))
    return Value(op.need(0).state, tuple(const(n) for n in shape))


def _not_rows(op: Op, x: Value, axes: list[int], slug: str, does: str) -> None:
    if x.row is not None and x.row.axis in axes:
        raise Mixes(slug, f"{op.node.op_type} over axis {x.row.axis} {does}")


def _without_axes(x: Value, shape: Shape, axes: list[int], *, keep: bool) -> Value:
    if keep:
        return carry(x, tuple(ONE if a in axes else size for a, size in enumerate(shape)))
    kept = [a for a in range(len(shape)) if a not in axes]
    return Value(moved(x.state, {a: i for i, a in enumerate(kept)}), tuple(shape[a] for a in kept))


@rule("ArgMax", "ArgMin")
def arg(op: Op) -> Value:
    """The position of the extremum along one axis, which may not be that of the rows."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    axes = [op.axis(0, len(x.shape))]
    _not_rows(op, x, axes, "reduce-over-rows", "compares the rows of the batch")
    result = _without_axes(x, x.shape, axes, keep=bool(op.attribute("keepdims", 1)))
    return replace(result, below=x.shape[axes[0]])


@rule("TopK")
def top_k(op: Op) -> list[Value]:
    """The k largest along one axis, which may not be that of the rows."""
    x = op.need(0)
    if x.shape is None:
        return [carry(x, None), carry(x, None)]
    axis = op.axis(-1, len(x.shape))
    _not_rows(op, x, [axis], "sort-over-rows", "sorts the rows of the batch")
    op.row_free(1)
    k = const(op.attribute("k")) if op.opset < 10 else None
    content = op.content(1) if k is None else None
    size = k or (content.reshape(-1)[0] if content is not None else op.symbols.fresh("k"))
    return [carry(x, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for _ in range(2)]


@rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(op: Op) -> Value:
    """Normalises along `axis`; before opset 13 over all axes from `axis` on, taken together."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    axes = softmax_axes(op, len(x.shape), op.opset)
    _not_rows(op, x, axes, "softmax-over-rows", "normalises over the rows of the batch")
    return carry(x, x.shape)


def softmax_axes(op: Op, rank: int, opset: int) -> list[int]:
    """Return the axes that a softmax of `opset` normalises over."""
    return [op.axis(-1, rank)] if opset >= 13 else list(range(op.axis(1, rank), rank))


@rule("CumSum", "CumProd")
def cumulative(op: Op) -> Value:
    """Adds up along one axis, which may not be that of the rows."""
    x, axis = op.need(0), op.integers(1)
    if axis is None:
        raise Mixes("axes-unknown", f"the axis of {op.node.op_type} is not a constant")
    if x.shape is None:
        return carry(x, None)
    _not_rows(op, x, [axis[0] % len(x.shape)], "scan-over-rows", "adds up over the rows of the batch")
    return carry(x, x.shape)


@rule("LpNormalization")
def lp_normalization(op: Op) -> Value:
    """Divides by the norm along one axis, which may not be that of the rows."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    _not_rows(op, x, [op.axis(-1, len(x.shape))], "normalise-over-rows", "normalises over the rows of the batch")
    return carry(x, x.shape)


@rule("MeanVarianceNormalization")
def mean_variance_normalization(op: Op) -> Value:
    """Normalises over `axes`, by default [0, 2, 3]: over the batch."""
    x = op.need(0)
    if x.shape is None:
        return carry(x, None)
    if op.opset < 9:
        raise Mixes("normalise-over-rows", "MeanVarianceNormalization before opset 9 may normalise over the batch")
    rank = len(x.shape)
    axes = [a % rank for a in op.attribute("axes", (0, 2, 3))]
    _not_rows(op, x, axes, "normalise-over-rows", "normalises over the rows of the batch")
    return carry(x, x.shape)
