"""Samples that are only followed, of operators with many inputs: each input in turn has rows where it has none, and the
other way round. What an operator takes for a parameter has to be the same for all rows, whichever of its inputs it is;
so no two inputs of a sample are the same tensor.
"""

from __future__ import annotations

from typing import Any

from rows_support import Sample, free, ints, literal, rows, sample, weight
from rows_variants import moved_rows


def _each_input(nodes: str, *, opset: int = 18, **tensors: Any) -> list[Sample]:
    whole = sample(nodes, "mixed", opset=opset, **tensors)
    return [whole, *(moved for _, moved in moved_rows(whole))]


def _one(nodes: str, *, opset: int = 18, **tensors: Any) -> list[Sample]:
    return [sample(nodes, "mixed", opset=opset, **tensors)]


def _scales(*names: str) -> dict[str, Any]:
    """A scale and a zero point for each name: s1 and z1 for 1."""
    return {
        f"{kind}{name}": literal(value, dtype)
        for name in names
        for kind, value, dtype in (("s", 0.5, "float32"), ("z", 3, "uint8"))
    }


_U8: dict[str, Any] = {"dtype": "uint8", "low": 0, "high": 255}
_HEADS: dict[str, Any] = {"q": rows(3, 8), "k": rows(3, 8), "v": rows(3, 8), "a": rows(2, 2, 4), "c": rows(2, 2, 4)}

_ATTENTION = [
    *_each_input("y, p = com.microsoft.QAttention<num_heads = 2>(x, w, b, s1, s2, m, z1, z2, t)", x=rows(3, 8, **_U8),
        w=weight(8, 24, dtype="uint8"), b=weight(24), m=ints(low=1, high=3, dtype="int32"),
        t=rows(2, 2, 2, 4, axis=1), **_scales("1", "2")),
    *_each_input("y, p, r, o = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v, b, m, t, a, c, l)",
        b=weight(24), m=ints(low=1, high=3, dtype="int32"), t=rows(2, 3, 5), l=literal([2], "int32"), **_HEADS),
    *_one("y = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v, , , , a, c, l, d)", l=literal([2], "int32"),
        d=ints(1, 5, dtype="int32"), **_HEADS),
    *_each_input("y, p, r = com.microsoft.GroupQueryAttention<num_heads = 2, kv_num_heads = 2>"
        "(q, k, v, a, c, l, t, co, si, i, , h)", l=ints(low=1, high=4, dtype="int32"), t=literal(5, "int32"),
        co=weight(9, 2), si=weight(9, 2), i=ints(3, high=8), h=weight(2), **_HEADS),
    *(one for windows in (0, 2) for one in _one(f"y = com.microsoft.LinearAttention<state_window = {windows}>(q, k, v)",
        q=rows(4, 8), k=rows(4, 8), v=rows(4, 8))),
    *_each_input("y, s = com.microsoft.NGramHashMapping(x, a, b, p, c, d, e)", x=ints(4), a=weight(3, dtype="int64"),
        b=weight(4, dtype="int64"), p=ints(2), c=weight(5, dtype="int64"), d=weight(6, dtype="int64"), e=ints(7)),
]  # fmt: skip

_QUANTISED = [
    *_each_input("y = com.microsoft.QLinearAdd(x, s1, z1, b, s2, z2, s3, z3)", x=rows(3, **_U8), b=rows(3, **_U8),
        **_scales("1", "2", "3")),
    *_each_input("y = com.microsoft.QLinearWhere(c, x, s1, z1, b, s2, z2, s3, z3)", c=rows(3, dtype="bool"),
        x=rows(3, **_U8), b=rows(3, **_U8), **_scales("1", "2", "3")),
    *_each_input("y = QLinearConv(x, s1, z1, w, s2, z2, s3, z3, b)", x=rows(3, 4, 4, **_U8),
        w=weight(2, 3, 3, 3, dtype="uint8"), b=weight(2, dtype="int32"), **_scales("1", "2", "3")),
    *_each_input("y = com.microsoft.QLinearAveragePool<kernel_shape = [2, 2]>(x, s1, z1, s2, z2)",
        x=rows(3, 4, 4, **_U8), **_scales("1", "2")),
    *_each_input("y = com.microsoft.QLinearGlobalAveragePool(x, s1, z1, s2, z2)", x=rows(3, 4, 4, **_U8),
        **_scales("1", "2")),
    *_each_input("y = com.microsoft.QLinearConcat<axis = 1>(s3, z3, x, s1, z1, b, s2, z2)", x=rows(3, **_U8),
        b=rows(2, **_U8), **_scales("1", "2", "3")),
    *_one("y = com.microsoft.QLinearConcat<axis = 1>(s3, z3, x, s1, z1, b, s2, z2)", x=rows(3, **_U8),
        b=free(2, 2, dtype="uint8", declared=False), **_scales("1", "2", "3")),
    *_one("y, s, z = DynamicQuantizeLinear(x)", x=rows(3)),
]  # fmt: skip

_OTHERS = [
    *(one for ids in (ints(), weight(8, dtype="int64")) for one in _one(
        'y = TfIdfVectorizer<max_gram_length = 1, min_gram_length = 1, max_skip_count = 0, mode = "TF", '
        "ngram_counts = [0], ngram_indexes = [0, 1], pool_int64s = [1, 2]>(x)", x=ids)),
    *_each_input("y = Trilu(x, k)", x=rows(3, 3), k=literal([1])),
    *_one("y = Trilu(x, k)", x=weight(3, 3), k=ints()),
    *_one("y = TensorScatter(x, u, i)", opset=24, x=rows(3), u=rows(3), i=ints(low=0, high=0)),
    *_each_input("y = ScatterElements(x, i, u)", x=rows(3), i=ints(3, low=0, high=0), u=rows(3)),
    *_one("y = ScatterElements(x, i, u)", x=rows(3, axis=1), i=ints(3, low=0, high=0, axis=1), u=rows(3, axis=1)),
    *_one("y = GatherND<batch_dims = 1>(x, i)", x=rows(2, 3, 4, axis=2), i=literal([[[0], [1]], [[2], [0]]])),
    *(one for mode in (0, 1) for one in _one(f"y = BatchNormalization<training_mode = {mode}>(x, s, b, m, v)",
        x=rows(3, 4), s=weight(3), b=weight(3), m=weight(3), v=weight(3))),
    *(one for mode in (0, 1) for one in _one(f"y = BatchNormalization<is_test = {mode}>(x, s, b, m, v)", opset=6,
        x=rows(3, 4), s=weight(3), b=weight(3), m=weight(3), v=weight(3))),
    *_each_input("y = MatMul(x, w)", x=rows(3), w=weight(2, 3, 4)),
    *_each_input("y = MatMul(x, w)", x=rows(2, 4, 3), w=weight(3, 5)),
    *_one("y = Conv(x, w)", x=rows(3, 4, 4), w=weight(2, 3, 4, 4)),
    *(one for how in ('auto_pad = "SAME_UPPER", strides = [2, 2]', "pads = [1, 0, 2, 1]",
        "output_padding = [1, 0], strides = [2, 2]", "dilations = [2, 1]")
        for one in _one(f"y = ConvTranspose<{how}>(x, w)", x=rows(3, 5, 5), w=weight(3, 2, 3, 3))),
    *_one("k = ArgMax<axis = 2, keepdims = 0>(q) y = Reshape(k, t)", q=rows(2, 6, axis=1), t=literal([-1])),
    *(one for target in ([-1, 3], [0, 3], [2, 1, 3]) for one in _one("y = Expand(x, t)", x=rows(3), t=literal(target))),
]  # fmt: skip

INPUTS: list[Sample] = [*_ATTENTION, *_QUANTISED, *_OTHERS]
