"""Attention in groups by plain operators, for what no other fused operator computes behind a past.

Scores are capped, then biased, then closed: that is the order of GroupQueryAttention in every version of onnxruntime
that knows caps and biases. It computes float16 in float32, and so does this.
"""

from __future__ import annotations

import numpy as np
import onnx

from actcache.passes.rewrite.suffix_resumed import Resumed
from actcache.passes.rewrite.suffix_window import near, numbered

#: Operands of a GroupQueryAttention.
BIAS, SINK = 10, 11


def needs_plain_operators(at: Resumed) -> bool:
    """Whether a GroupQueryAttention has what MultiHeadAttention has not, or not behind a past."""
    more = at.has(BIAS) or _number(at, "softcap") > 0 or _has_sink(at)
    return more or at.dtype(0) != onnx.TensorProto.FLOAT


def _has_sink(at: Resumed) -> bool:
    return at.has(SINK) or at.attribute("smooth_softmax") == 1


def attend_plainly(at: Resumed, query: str, keys: str, values: str) -> None:
    """Write softmax(scores)·values of a GroupQueryAttention to `at.part`.

    Args:
        at: The node.
        query: [B, S - P, heads·size], turned.
        keys: Of all positions, each head as often as there are queries for it: [B, heads, S, size].
        values: Likewise.
    """
    sizes, dtype = at.sizes, at.dtype(0)
    query, keys, values = (_wide(at, tensor) for tensor in (query, keys, values))
    shape = sizes.node("Shape", query)
    batch, width = (sizes.node("Gather", shape, sizes.vector([axis]), axis=0) for axis in (0, 2))
    heads = sizes.vector([at.attribute("num_heads")])
    each = sizes.node("Div", width, heads)
    apart = sizes.node("Concat", batch, sizes.rest, heads, each, axis=0)
    by_heads = sizes.node("Transpose", sizes.node("Reshape", query, apart), perm=(0, 2, 1, 3))
    scores = sizes.node("MatMul", by_heads, sizes.node("Transpose", keys, perm=(0, 1, 3, 2)))
    scores = _capped(at, sizes.node("Mul", scores, _scale(at, each)))
    if at.has(BIAS):
        scores = sizes.node("Add", scores, _wide(at, at.own(BIAS)))
    closed = sizes.node("Where", _open(at), scores, sizes.constant(np.array(-np.inf), onnx.TensorProto.FLOAT))
    mixed = sizes.node("MatMul", _weights(at, closed), values)
    joined = sizes.node("Transpose", mixed, perm=(0, 2, 1, 3))
    flat = sizes.node("Reshape", joined, sizes.node("Concat", batch, sizes.rest, width, axis=0))
    sizes.nodes.append(onnx.helper.make_node("Cast", [flat], [at.part], to=dtype))


def _wide(at: Resumed, tensor: str) -> str:
    return at.sizes.node("Cast", tensor, to=onnx.TensorProto.FLOAT)


def _number(at: Resumed, name: str) -> float:
    return next((attribute.f for attribute in at.source.attribute if attribute.name == name), 0.0)


def _scale(at: Resumed, each: str) -> str:
    """What scores are multiplied by: as it says, or 1 through the root of the size of a head."""
    if given := _number(at, "scale"):
        return at.sizes.constant(np.array(given), onnx.TensorProto.FLOAT)
    return at.sizes.node("Reciprocal", at.sizes.node("Sqrt", at.sizes.node("Cast", each, to=onnx.TensorProto.FLOAT)))


def _capped(at: Resumed, scores: str) -> str:
    """cap · tanh(scores / cap)."""
    if (cap := _number(at, "softcap")) <= 0:
        return scores
    most = at.sizes.constant(np.array(cap), onnx.TensorProto.FLOAT)
    return at.sizes.node("Mul", at.sizes.node("Tanh", at.sizes.node("Div", scores, most)), most)


def _weights(at: Resumed, scores: str) -> str:
    """Softmax; a sink takes its part of the weights, and no value has it. Smoothed: there is a sink of score 0."""
    sizes = at.sizes
    if not _has_sink(at):
        return sizes.node("Softmax", scores, axis=-1)
    sink = _wide(at, at.own(SINK)) if at.has(SINK) else sizes.constant(np.zeros(1), onnx.TensorProto.FLOAT)
    column = sizes.node("Reshape", sink, sizes.vector([1, -1, 1, 1]))
    shape = sizes.node("Gather", sizes.node("Shape", scores), sizes.vector([0, 1, 2]), axis=0)
    one = sizes.node("Expand", column, sizes.node("Concat", shape, sizes.vector([1]), axis=0))
    both = sizes.node("Softmax", sizes.node("Concat", scores, one, axis=-1), axis=-1)
    return sizes.node("Slice", both, sizes.vector([0]), sizes.vector([-1]), sizes.vector([-1]))


def _open(at: Resumed) -> str:
    """[S - P, S]: which positions each one sees."""
    queries, keys = numbered(at)
    earlier = at.sizes.node("LessOrEqual", keys, queries)
    if at.attribute("local_window_size", -1) <= 0:
        return earlier
    return at.sizes.node("And", earlier, near(at, queries, keys))
