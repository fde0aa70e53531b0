"""Causal rules of fused attention and of what goes with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from actcache.passes.causal.closing import closed
from actcache.passes.causal.forms import Form, along, applied, table
from actcache.passes.causal.joining import axes_of
from actcache.passes.causal.registry import Op, Result, known, rule, stable
from actcache.passes.causal.rules_elementwise import form_of, scores_of
from actcache.passes.causal.state import Ahead, LooksAhead, Place, S, Value
from actcache.passes.refusal import Refusal
from actcache.passes.rows.sizes import ONE, ZERO, Size, const
from actcache.passes.rows.state import Shape


@rule("Attention")
def attention(op: Op) -> Result:
    """softmax(Q·Kᵀ + mask)·V of [batch, heads, positions, size] or [batch, positions, heads·size].

    With as many keys as queries, ``is_causal`` means the same in every version of onnx and onnxruntime: where there are
    fewer queries, versions differ in which keys they may see. So a suffix is computed with a mask instead.
    """
    query, key, value, mask = op.need(0), op.need(1), op.need(2), op.get(3)
    rank = len(known(query))
    axis = rank - 2
    without_past(op, (4, 5), 2)
    if op.attribute("softcap", 0.0):
        raise LooksAhead("softcap", "onnxruntime 1.23 and 1.24 cap scores after masking, which opens what is masked")
    for part in (query, key, value):
        if [place for place in part.places if place != Place(axis)] or len(known(part)) != rank:
            raise LooksAhead("positions-misaligned", "queries, keys or values have their positions elsewhere")
    if not key.places and not value.places:
        return _to_fixed_keys(op, query, value, axis)
    if not (key.places and value.places and query.places):
        raise LooksAhead("positions-misaligned", "only some of queries, keys and values have positions")
    closed(op, _scores(op, mask), -2, -1)
    axes = {0: axes_of(query)}
    if mask is not None:
        only_of_scores(mask)
        axes[3] = {len(known(mask)) - 2: axis}
    parts = [part for part in (query, key, value, mask) if part is not None]
    result = Value(stable((Place(axis),), parts), _shape(op, query, value))
    presents = handed_out(op, [(part, _by_heads(op, part)) for part in (key, value)])
    return Result([result, *presents], axes, resumed=True)


def _to_fixed_keys(op: Op, query: Value, value: Value, axis: int) -> Result:
    """Every position looks at the same keys, those of an encoder."""
    if op.attribute("is_causal", 0) or (op.get(3) is not None and op.need(3).places):
        raise LooksAhead("mask-unknown", "a mask of positions on keys that have none")
    result = Value(stable(query.places, [query]), _shape(op, query, value))
    return Result([result, *only_first(op)], {0: axes_of(query)})


def only_of_scores(mask: Value) -> None:
    """Require that a mask has no positions for rows or heads, of which there may be as many in a call."""
    if any(place.axis < len(known(mask)) - 2 for place in mask.places):
        raise LooksAhead("mask-unknown", "a mask of scores has positions along the axis of rows or heads")


def without_past(op: Op, slots: Sequence[int], axis: int) -> None:
    """Require that a past has no positions: then it is as good as not there. No operand is behind it."""
    given = any(past is not None and known(past)[axis : axis + 1] != (ZERO,) for past in map(op.get, slots))
    if given or any(op.get(index) is not None for index in range(slots[-1] + 1, len(op.inputs))):
        raise LooksAhead("attention-past", f"{op.node.op_type} with a past, or with lengths, is not followed")


def handed_out(op: Op, presents: Sequence[tuple[Value, Shape]]) -> list[Value]:
    """Return what is known of keys and values that an attention hands out for later calls, and nothing of what follows.

    Args:
        op: The node.
        presents: What each is made of, and its sizes: positions lie where these are S.
    """
    values = [Value(stable((Place(sizes.index(S)),), [part]), sizes) for part, sizes in presents]
    return [*values, *only_first(op)][: len(op.node.output) - 1]


def only_first(op: Op) -> list[Value]:
    """Return what is known of the other outputs of an attention."""
    refusal = Refusal("not-followed", "of attention only the first output is followed")
    return [Value(Ahead(refusal)) for _ in op.node.output[1:]]


def _scores(op: Op, mask: Value | None) -> Form | None:
    """What the softmax is taken of: axis -2 are queries, -1 keys."""
    form: Form | None = None
    scores, lowest = scores_of(op.types[0]), lowest_of(op.types[0])
    if mask is not None:
        if known(mask)[-1] not in (S, ONE):
            raise LooksAhead("mask-unknown", "the mask of an attention has another size than there are keys")
        given = form_of(mask, op.types[3])
        truth = op.types[3] == onnx.TensorProto.BOOL
        form = applied("Where", (given, scores, lowest)) if truth else applied("Add", (scores, given))
    if op.attribute("is_causal", 0):
        earlier = applied("LessOrEqual", (along(-1), along(-2)))
        form = applied("Where", (earlier, form or scores, lowest))
    return form


def lowest_of(dtype: int | None) -> Form:
    """Return what kernels of attention add to closed scores, or put in their place; some take -∞ instead."""
    lowest = table(np.array(np.finfo(np.float16 if dtype == onnx.TensorProto.FLOAT16 else np.float32).min))
    assert lowest is not None
    return lowest


def _by_heads(op: Op, part: Value) -> Shape:
    """The sizes of keys or values as [batch, heads, positions, size]."""
    sizes = known(part)
    if len(sizes) == 4:
        return sizes
    heads = const(op.attribute("kv_num_heads"))
    return sizes[0], heads, sizes[1], sizes[2].divided_by(heads) or op.symbols.fresh("size")


def _shape(op: Op, query: Value, value: Value) -> Shape:
    sizes = known(query)
    if len(sizes) == 4:
        return (*sizes[:3], known(value)[3])
    heads, groups = op.attribute("q_num_heads"), op.attribute("kv_num_heads")
    each: Size | None = known(value)[2].divided_by(const(groups or 0)) if groups else None
    width = each * const(heads) if each is not None and heads else op.symbols.fresh("width")
    return (*sizes[:2], width)


@rule("RotaryEmbedding")
def rotary(op: Op) -> Result:
    """Turns features by angles of each position: handed in for each, or looked up by its number."""
    x, cos, sin, numbers = op.need(0), op.need(1), op.need(2), op.get(3)
    axis = len(known(x)) - 2
    turned = (cos, sin) if numbers is None else (numbers,)
    if x.places != (Place(axis),) or any(part.places != (Place(1),) for part in turned):
        raise LooksAhead("positions-misaligned", "angles and features of a rotary embedding differ in their positions")
    axes = {0: axes_of(x)}
    if numbers is None:
        axes |= {1: {1: axis}, 2: {1: axis}}
    else:
        op.fixed(1, 2)
        axes[3] = {1: axis}
    return Result([Value(stable(x.places, op.present), known(x))], axes)
