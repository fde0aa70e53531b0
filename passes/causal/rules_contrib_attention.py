"""Causal rules of onnxruntime's own operators of attention, as its optimiser writes them (domain com.microsoft).

With ``unidirectional`` the kernels give scores of later keys the lowest number of their type, in every version from
1.18 on. A suffix hands the keys and values of earlier positions in as the operator's past: the model's own is empty.
(A bias of scores for one row that is meant for all is read beyond its end by 1.18, in the original as well.)
"""

from __future__ import annotations

import numpy as np
import onnx

from actcache.passes.causal.closing import closed
from actcache.passes.causal.forms import Affine, Form, along, applied, substitute, table
from actcache.passes.causal.joining import axes_of
from actcache.passes.causal.registry import MICROSOFT, Op, Result, known, rule, stable
from actcache.passes.causal.rules_attention import handed_out, lowest_of, only_first, only_of_scores, without_past
from actcache.passes.causal.rules_elementwise import form_of, scores_of
from actcache.passes.causal.state import LooksAhead, Place, S, Value
from actcache.passes.rows.sizes import ONE, ZERO, Size, const

_POSITIONS = (Place(1),)
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


@rule("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(op: Op) -> Result:
    """softmax(Q·Kᵀ + masks)·V of projected [batch, positions, heads·size]; keys and values may be an encoder's."""
    query, key, value = op.need(0), op.get(1), op.get(2)
    if key is None or value is None or len(known(query)) != 3:
        raise LooksAhead("packed-attention", "queries, keys and values packed into one tensor are not followed")
    without_past(op, (6, 7), 2)
    op.fixed(3)
    width = known(value)[2] if len(known(value)) == 3 else known(value)[3] * const(op.attribute("num_heads"))
    if not key.places and not value.places:
        return _to_fixed_keys(op, query, width)
    if any(part.places != _POSITIONS or len(known(part)) != 3 for part in (query, key, value)):
        raise LooksAhead("positions-misaligned", "queries, keys or values have their positions elsewhere")
    if width != known(query)[2]:
        raise LooksAhead("not-followed", "onnxruntime takes no past of values of another size than keys")
    heads = const(op.attribute("num_heads"))
    sizes = known(query)[0], heads, S, width.divided_by(heads) or op.symbols.fresh("size")
    presents = handed_out(op, [(key, sizes), (value, sizes)])
    return _attended(op, (query, key, value), presents, mask=4, bias=5, width=width)


def _to_fixed_keys(op: Op, query: Value, width: Size) -> Result:
    """Every position looks at the same keys, those of an encoder."""
    op.fixed(1, 2, 4)
    if op.attribute("unidirectional", 0) or op.get(5) is not None or query.places != _POSITIONS:
        raise LooksAhead("mask-unknown", "a mask of positions on keys that have none")
    result = Value(stable(_POSITIONS, [query]), (*known(query)[:2], width))
    return Result([result, *only_first(op)], {0: axes_of(query)})


@rule("Attention", domain=MICROSOFT)
def packed_attention(op: Op) -> Result:
    """The same with its projections, of [batch, positions, features]."""
    x = op.need(0)
    if op.get(5) is not None:
        raise LooksAhead("not-followed", "onnxruntime's Attention takes no past beside a bias of scores")
    without_past(op, (4,), 3)
    op.fixed(1, 2)
    if x.places != _POSITIONS or len(known(x)) != 3:
        raise LooksAhead("positions-misaligned", "the input of an attention has its positions elsewhere")
    if op.attribute("do_rotary", 0) or op.attribute("qkv_hidden_sizes"):
        raise LooksAhead("not-followed", "Attention that turns its queries, or has values of another size")
    width = known(op.need(1))[1].divided_by(const(3)) or op.symbols.fresh("width")
    heads = const(op.attribute("num_heads"))
    sizes = const(2), known(x)[0], heads, S, width.divided_by(heads) or op.symbols.fresh("size")
    return _attended(op, (x,), handed_out(op, [(x, sizes)]), mask=3, bias=5, width=width)  # there is none


def _attended(op: Op, parts: tuple[Value, ...], presents: list[Value], mask: int, bias: int, width: Size) -> Result:
    closed(op, _scores(op, mask, bias), -2, -1)
    axes = {0: {1: 1}}
    if op.get(bias) is not None:
        axes[bias] = {2: 1}
    read = [*parts, *(value for value in (op.get(mask), op.get(bias)) if value is not None)]
    result = Value(stable(_POSITIONS, read), (*known(parts[0])[:2], width))
    return Result([result, *presents], axes, resumed=True)


def _scores(op: Op, mask: int, bias: int) -> Form | None:
    """What the softmax is taken of: axis -4 are rows, -2 queries, -1 keys."""
    form: Form | None = None
    scores, nothing = scores_of(op.types[0]), Affine()
    if op.attribute("unidirectional", 0):
        earlier = applied("LessOrEqual", (along(-1), along(-2)))
        form = applied("Where", (earlier, scores, lowest_of(op.types[0])))
    if (given := op.get(bias)) is not None:
        _needs_all_scores(given)
        form = applied("Add", (form or scores, form_of(given, op.types[bias])))
    if (given := op.get(mask)) is not None:
        if len(known(given)) != 2 or known(given)[1] != S or given.places not in ((), _POSITIONS):
            raise LooksAhead("mask-unknown", "a mask that is not [batch, positions] is not followed")
        shut = table(np.array(op.attribute("mask_filter_value", -10000.0), np.float32))
        read = substitute(form_of(given, op.types[mask]), {-2: along(-4)})
        shown = applied("Where", (applied("Greater", (read, nothing)), nothing, shut or nothing))
        form = applied("Add", (form or scores, shown))
    return form


@rule("GroupQueryAttention", domain=MICROSOFT)
def group_query_attention(op: Op) -> Result:
    """Always causal. Without a past, and where every row has all S positions."""
    query, key, value = op.need(0), op.get(1), op.get(2)
    if any(past is not None and known(past)[2:3] != (ZERO,) for past in (op.get(3), op.get(4))):
        raise LooksAhead("attention-past", "GroupQueryAttention with a past is not followed")
    if any(op.get(index) is not None and op.types[index] != op.types[0] for index in (3, 4)):
        raise LooksAhead("not-followed", "GroupQueryAttention that keeps keys and values in another type")
    if not _says(op.get(5), S - ONE) or not _says(op.get(6), S):
        reason = "the lengths of its rows are not proven to be the number of positions: they are counted in a mask, say"
        raise LooksAhead("attention-lengths", reason)
    parts = [query] if key is None or value is None else [query, key, value]
    bias = op.get(10)
    if bias is not None:
        _needs_all_scores(bias)
    if any(part.places != _POSITIONS or len(known(part)) != 3 for part in parts):
        raise LooksAhead("positions-misaligned", "queries, keys or values have their positions elsewhere")
    op.fixed(7, 8, 11)
    heads, groups = op.attribute("num_heads"), op.attribute("kv_num_heads")
    packed = known(query)[2].divided_by(const(heads + 2 * groups)) or op.symbols.fresh("size")
    size = packed if len(parts) == 1 else known(query)[2].divided_by(const(heads)) or op.symbols.fresh("size")
    more = any(op.get(index) is not None for index in (9, *range(12, len(op.inputs))))
    if len(op.node.output) < 3 or not all(op.node.output):
        raise LooksAhead("not-followed", "GroupQueryAttention that hands out no keys and values")
    if more or not _turns_all(op, size):
        reason = "GroupQueryAttention with numbers of positions, scales, or features that are not turned"
        raise LooksAhead("not-followed", reason)
    if op.attribute("local_window_size", -1) == 0 or op.types[0] not in _FLOATS:
        reason = "GroupQueryAttention with a window of nothing, or of another type than float32 and float16"
        raise LooksAhead("not-followed", reason)
    batch = known(query)[0]
    read = [*parts, *([] if bias is None else [bias])]
    result = Value(stable(_POSITIONS, read), (batch, S, const(heads) * size))
    sizes = batch, const(groups), S, size
    presents = handed_out(op, [(parts[0 if len(parts) == 1 else 1], sizes), (parts[-1], sizes)])
    return Result([result, *presents], {0: {1: 1}, 10: {2: 1}}, resumed=True)


def _needs_all_scores(bias: Value) -> None:
    if len(known(bias)) != 4 or known(bias)[2:] != (S, S):
        raise LooksAhead("mask-unknown", "the bias of scores has other sizes than there are positions")
    only_of_scores(bias)


def _says(value: Value | None, number: Size) -> bool:
    """Whether a tensor is one number everywhere."""
    if value is None:
        return False
    if value.content is not None and value.content.size == 1:
        return bool(value.content.reshape(-1)[0] == number)
    return value.form == Affine((), number)


def _turns_all(op: Op, size: Size) -> bool:
    """Whether the rotary embedding, if there is one, turns all features of a head."""
    if not op.attribute("do_rotary", 0):
        return True
    return op.get(7) is not None and known(op.need(7))[1] * const(2) == size


@rule("RotaryEmbedding", domain=MICROSOFT)
def rotary(op: Op) -> Result:
    """Turns features by angles looked up by the number of each position, or by its place behind the first one."""
    x, numbers = op.need(0), op.need(1)
    op.fixed(2, 3)
    rank = len(known(x))
    axis = rank - 2
    if x.places != (Place(axis),) or rank not in (3, 4) or op.attribute("is_packed_batching", 0):
        raise LooksAhead("positions-misaligned", "the features of a rotary embedding have their positions elsewhere")
    value = Value(stable(x.places, [x, numbers]), known(x))
    if len(known(numbers)) == 1:
        op.fixed(1)
        return Result([value], {0: axes_of(x)}, resumed=True)
    if numbers.places != _POSITIONS:
        raise LooksAhead("positions-misaligned", "angles and features of a rotary embedding differ in their positions")
    return Result([value], {0: axes_of(x), 1: {1: axis}})
