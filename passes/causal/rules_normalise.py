"""Causal rules of softmax, of normalisations with statistics, and of reductions: over which entries decides."""

from __future__ import annotations

from dataclasses import replace

from actcache.passes.causal.bounds import constant_of
from actcache.passes.causal.closing import closed
from actcache.passes.causal.forms import Affine, Form
from actcache.passes.causal.joining import axes_of, is_zero, joined, unknown
from actcache.passes.causal.ranges import held
from actcache.passes.causal.registry import MICROSOFT, Op, Result, known, rule, stable
from actcache.passes.causal.rules_elementwise import COUNTING
from actcache.passes.causal.rules_shape import moved
from actcache.passes.causal.state import Counted, LooksAhead, Place, Value
from actcache.passes.rows.rules_reduce import softmax_axes
from actcache.passes.rows.sizes import ONE, const


@rule("Softmax")
def softmax(op: Op) -> Result:
    """Normalises along an axis: of features, or of positions of which later ones are closed by a mask."""
    x = op.need(0)
    axes = softmax_axes(op.rows, len(known(x)), op.opset)
    over = [place for place in x.places if place.axis in axes]
    same = Value(x.state, known(x))
    if not over:
        return Result([same], {0: axes_of(x)}, whole=frozenset(axes))
    rank = len(known(x))
    queries = [place for place in x.places if place.axis not in axes]
    if len(axes) > 1 or len(queries) != 1 or not _are_scores(queries[0], over[0]):
        raise LooksAhead("softmax-over-positions", "Softmax normalises over positions, later ones included")
    query, key = queries[0].axis - rank, over[0].axis - rank
    return Result([replace(same, form=closed(op, x.form, query, key))], {0: axes_of(x)}, whole=frozenset(axes))


def _are_scores(query: Place, key: Place) -> bool:
    """Whether entries are for a query and a key each; behind the keys may be others, which are for the query alone."""
    return query.plain and key.begins


@rule("LayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization")
def layer_normalization(op: Op) -> Result:
    """Statistics over the axes from `axis` on; scale and bias are broadcast."""
    return _layer_norm(op, op.need(0), len(op.node.output), range(1, len(op.inputs)))


@rule("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_layer_normalization(op: Op) -> Result:
    """LayerNormalization of input + skip + bias; the fourth output is the sum."""
    total = joined([op.need(0), op.need(1)], op.symbols).values[0]
    if known(total) != op.shape(0):
        raise LooksAhead("broadcast", "SkipLayerNormalization broadcasts its input")
    normal = _layer_norm(op, total, 3, range(2, len(op.inputs)))
    axes = {**normal.axes, 1: axes_of(op.need(1))}
    return Result([*normal.values, total][: len(op.node.output)], axes, whole=normal.whole)


def _layer_norm(op: Op, x: Value, outputs: int, parameters: range) -> Result:
    op.fixed(*parameters)
    rank = len(known(x))
    axis = op.axis(-1, rank)
    _none_of(op, x, list(range(axis, rank)))
    statistics = Value(x.state, tuple(ONE if a >= axis else size for a, size in enumerate(known(x))))
    return Result([Value(x.state, known(x)), *[statistics] * (outputs - 1)], {0: axes_of(x)})


@rule("LpNormalization", "LogSoftmax", "Hardmax")
def along_axis(op: Op) -> Result:
    """Combines the entries along an axis of features."""
    x = op.need(0)
    rank = len(known(x))
    axes = [op.axis(-1, rank)] if op.node.op_type == "LpNormalization" else softmax_axes(op.rows, rank, op.opset)
    _none_of(op, x, axes)
    return Result([Value(x.state, known(x), form=unknown(x.form))], {0: axes_of(x)})


@rule("BatchNormalization")
def batch_normalization(op: Op) -> Result:
    """In inference elementwise, with constants per channel (axis 1)."""
    if op.attribute("training_mode", 0) or len([name for name in op.node.output if name]) > 1 or op.opset < 9:
        raise LooksAhead("training-mode", "BatchNormalization is, or may be, in training mode")
    op.fixed(1, 2, 3, 4)
    x = op.need(0)
    if any(place.axis == 1 for place in x.places):
        raise LooksAhead("normalise-over-positions", "BatchNormalization has constants along the axis of positions")
    return Result([Value(x.state, known(x), form=unknown(x.form))], {0: axes_of(x)})


@rule(*(f"Reduce{kind}" for kind in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()))
def reduce(op: Op) -> Result:
    """Combines the entries along axes of features. Over positions: a sum where later ones are 0, the largest of scores
    of which later ones are closed.
    """
    x = op.need(0)
    rank = len(known(x))
    axes = op.axes(rank)
    if not axes:
        if op.attribute("noop_with_empty_axes", 0):
            return Result([x], {0: axes_of(x)})
        axes = list(range(rank))
    keep = bool(op.attribute("keepdims", 1))
    if not x.data and any(place.axis in axes for place in x.places):
        return _counted(op, x, axes, keep)
    scores, form = _scores_over(x, axes), unknown(x.form)
    if scores is not None and op.node.op_type == "ReduceMax":
        if closed(op, x.form, *scores).binary is not None:  # else all may be closed by -∞
            form = None  # it is a score
    elif scores is None or not _is_zero_later(op, x, scores):
        _none_of(op, x, axes)
    sizes = known(x)
    without = stable(tuple(place for place in x.places if place.axis not in axes), [x])
    if keep:
        shape = tuple(ONE if axis in axes else size for axis, size in enumerate(sizes))
        return Result([Value(without, shape, form=form)], {0: axes_of(x)})
    kept = [axis for axis in range(rank) if axis not in axes]
    bare = Value(without, sizes, form=form)
    return moved(bare, {old: new for new, old in enumerate(kept)}, tuple(sizes[axis] for axis in kept))


def _scores_over(x: Value, axes: list[int]) -> tuple[int, int] | None:
    """Return the axes of queries and keys, from the back, if it is the keys of scores that are combined."""
    over = [place for place in x.places if place.axis in axes]
    queries = [place for place in x.places if place.axis not in axes]
    if len(axes) > 1 or len(over) != 1 or len(queries) != 1 or not _are_scores(queries[0], over[0]):
        return None
    return queries[0].axis - len(known(x)), over[0].axis - len(known(x))


def _is_zero_later(op: Op, x: Value, scores: tuple[int, int]) -> bool:
    """Whether a sum has zeros only of later positions."""
    return op.node.op_type == "ReduceSum" and x.form is not None and is_zero(x.form, scores, op.conditions)


def _counted(op: Op, x: Value, axes: list[int], keep: bool) -> Result:
    """What is the same for all data: a sum of one number as often as there are positions is that number times S."""
    sizes = known(x)
    number = None if x.form is None else constant_of(x.form)
    form: Form | None = None
    counts = op.node.op_type == "ReduceSum" and op.types[0] in COUNTING and len(axes) == 1
    if counts and number is not None and number == int(number):
        form = held(Affine((), const(int(number)) * sizes[axes[0]]), op.types[0], ())
    shape = [(ONE if axis in axes else size) for axis, size in enumerate(sizes) if keep or axis not in axes]
    return Result([Value(Counted(), tuple(shape), form=form)])


@rule("ArgMax", "ArgMin")
def arg(op: Op) -> Result:
    """The place of the extremum along an axis of features."""
    x = op.need(0)
    rank = len(known(x))
    axis = op.axis(0, rank)
    _none_of(op, x, [axis])
    bare = Value(x.state, known(x))
    if op.attribute("keepdims", 1):
        return Result(
            [replace(bare, shape=tuple(ONE if a == axis else s for a, s in enumerate(known(x))))], {0: axes_of(x)}
        )
    kept = [a for a in range(rank) if a != axis]
    return moved(bare, {old: new for new, old in enumerate(kept)}, tuple(known(x)[a] for a in kept))


@rule("TopK")
def top_k(op: Op) -> Result:
    """The largest entries along an axis of features, and their places there."""
    op.fixed(1)
    x, count = op.need(0), op.attribute("k")
    axis = op.axis(-1, len(known(x)))
    _none_of(op, x, [axis])
    counts = [count] if count is not None else op.integers(1)
    chosen = op.symbols.fresh("chosen") if counts is None else const(int(counts[0]))
    shape = tuple(chosen if a == axis else size for a, size in enumerate(known(x)))
    return Result([Value(x.state, shape)] * 2, {0: axes_of(x)})


def _none_of(op: Op, x: Value, axes: list[int]) -> None:
    if any(place.axis in axes for place in x.places):
        raise LooksAhead("over-positions", f"{op.node.op_type} goes over positions, later ones included")
