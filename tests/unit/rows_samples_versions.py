"""Samples of operators whose inputs, attributes or meaning changed from one opset to another."""

from __future__ import annotations

from typing import Any

from rows_support import Sample, ints, literal, rows, sample, weight

_SIZES = literal([1.0, 1.0, 2.0, 1.6], "float32")
_IMAGE = rows(2, 4, 5)

SHAPES: list[Sample] = [
    sample("y = Unsqueeze<axes = [0, 2]>(x)", 1, opset=11, x=rows(3)),
    sample("y = Squeeze(x, a)", 0, opset=24, x=rows(1, 3, axis=1), a=literal([-3])),
    sample("y = Squeeze(x)", "mixed", x=rows(3, 1, 2)),  # N may be 1 too
    sample("y = Reshape<allowzero = 1>(x, t)", 0, opset=14, x=rows(4, 3), t=literal([-1, 12])),
    sample("y = Reshape<allowzero = 1>(x, t)", "mixed", opset=19, x=rows(4, 3), t=literal([0, 12])),
    sample("s = Shape<start = -2, end = -1>(x) t = Concat<axis = 0>(rest, s) y = Reshape(x, t)", (0, 3), opset=15,
        x=rows(4, 3), rest=literal([-1])),
    sample("s = Shape<start = -3, end = 9>(x) y = Reshape(x, s)", 0, opset=21, x=rows(4, 3)),
    sample("y = Flatten<axis = -1>(x)", (0, 4), opset=11, x=rows(4, 3)),
    sample("y = Cast<to = 1>(x)", 0, opset=9, x=ints(3)),
    sample("z = Cast<to = 17, saturate = 0>(x) y = Cast<to = 1>(z)", 0, opset=19, x=rows(3)),
    sample("y = Tile(x, r)", 1, opset=7, x=rows(2, 3, axis=1), r=literal([2, 1, 3])),
    sample("a = Constant<value_ints = [1]>() y = Squeeze(x, a)", 0, x=rows(1, 3)),
    sample("e = Constant<value_int = 2>() u = Constant<value_ints = [-1]>() f = Unsqueeze(e, zero) "
        "t = Concat<axis = 0>(u, f) y = Reshape(x, t)", (0, 3), x=rows(3, 2), zero=literal([0])),
]  # fmt: skip

PARTS: list[Sample] = [
    sample("a, y = Split<axis = 1>(x, s)", {"a": 0, "y": 0}, opset=13, x=rows(5), s=literal([2, 3])),
    sample("a, y = Split<axis = 1>(x)", {"a": 0, "y": 0}, opset=13, x=rows(6)),
    sample("a, b, y = Split<axis = -1, num_outputs = 3>(x)", {"a": 0, "b": 0, "y": 0}, x=rows(5)),
    sample("a, y = Split<axis = 1, split = [4, 2]>(x)", {"a": 0, "y": 0}, opset=11, x=rows(6)),
    sample("y = Slice(x, b, e)", 0, opset=10, x=rows(4), b=literal([0, 1]), e=literal([2**31 - 1, 3])),
    sample("y = Slice(x, b, e, a, s)", 1, opset=13, x=rows(6, 3, axis=1), b=literal([5], "int32"),
        e=literal([0], "int32"), a=literal([-3], "int32"), s=literal([-2], "int32")),
    sample("y = Pad(x, p, v)", 0, opset=11, x=rows(3), p=literal([0, -1, 0, 2]), v=literal(0.5, "float32")),
    sample('y = Pad<mode = "wrap">(x, p)', 0, opset=19, x=rows(4), p=literal([0, 1, 0, 2])),
    sample("y = Pad(x, p, , a)", 2, opset=21, x=rows(3, 4, axis=2), p=literal([1, 0, 0, 2]), a=literal([1, 0])),
    sample("y, i = TopK(x, k)", {"y": 0, "i": 0}, opset=10, x=rows(6), k=literal([2])),
    sample("y, i = TopK<axis = 0, largest = 0, sorted = 1>(x, k)", {"y": 1, "i": 1}, opset=11, x=rows(6, axis=1),
        k=literal([2])),
    sample("y = ArgMax<axis = 1, keepdims = 0>(x)", 0, opset=11, x=rows(6)),
    sample("y = ArgMin<axis = -1, select_last_index = 1>(x)", 0, opset=13, x=ints(6, 4, high=2)),
    sample("y = GatherND(w, i)", 0, opset=11, w=weight(6, 6, 2), i=ints(3, 2)),
    sample('y = ScatterElements<axis = 1, reduction = "add">(x, i, u)', 0, opset=16, x=rows(6), i=ints(4), u=rows(4)),
    sample("y = ScatterElements<axis = 1>(x, i, u)", "mixed", opset=11, x=rows(6), i=literal([[0, 1]] * 5),
        u=rows(2)),  # the indices are those of five rows
    sample('y = ScatterND<reduction = "max">(x, i, u)', 1, opset=18, x=rows(6, axis=1), i=literal([[3], [0]]),
        u=rows(2, axis=1)),
    sample("y = OneHot<axis = 1>(i, d, v)", 0, opset=11, i=ints(3, low=-2), d=literal([6]),
        v=literal([-0.5, 1.25], "float32")),
]  # fmt: skip

REDUCE: list[Sample] = [
    sample("y = ReduceSum<keepdims = 0>(x, a)", 0, opset=13, x=rows(3, 4), a=literal([-1])),
    sample("y = ReduceMax<axes = [1], keepdims = 0>(x)", 0, opset=13, x=rows(3, 4)),
    sample("y = ReduceMax<noop_with_empty_axes = 1>(x)", 0, x=rows(3, 4)),
    sample("y = ReduceL2<noop_with_empty_axes = 1>(x, a)", 0, x=rows(3, 4), a=literal([], "int64")),
    sample("y = ReduceMean(x)", "mixed", x=rows(3, 4)),
    sample("y = ReduceMin<axes = [-2]>(x)", 2, opset=12, x=rows(3, 4, axis=2)),
    *(sample(f"y = {op}<axis = 2>(x)", 1, opset=11, x=rows(3, 4, axis=1)) for op in ("Softmax", "LogSoftmax")),
    *(sample(f"y = {op}(x)", 0, opset=11, x=rows(3, 4)) for op in ("Softmax", "Hardmax")),
    *(sample(f"y = {op}<axis = -1>(x)", 1, opset=13, x=rows(3, 4, axis=1)) for op in ("Softmax", "LogSoftmax")),
    sample("y = CumSum<exclusive = 1, reverse = 1>(x, a)", 1, opset=14, x=rows(4, 2, axis=1), a=literal(-1)),
    sample("y = MeanVarianceNormalization<axes = [2, 3]>(x)", 0, opset=9, x=rows(2, 3, 4)),
]  # fmt: skip

_NORM: dict[str, Any] = {
    "s": weight(3, low=0.5, high=2),
    "b": weight(3),
    "m": weight(3),
    "v": weight(3, low=0.5, high=2),
}
_PLACES: dict[str, Any] = {name: weight(3, 5, low=0.5, high=2) for name in "sbmv"}
LAYERS: list[Sample] = [
    *(sample("y = BatchNormalization(x, s, b, m, v)", 0, opset=opset, x=rows(3, 4), **_NORM)
        for opset in (7, 9, 14, 15)),
    sample("y = BatchNormalization<spatial = 0>(x, s, b, m, v)", 0, opset=8, x=rows(3, 5), **_PLACES),
    sample("y = BatchNormalization<spatial = 0>(x, s, b, m, v)", "mixed", opset=8, x=rows(2, 3, axis=2), **_PLACES),
    sample("y = BatchNormalization(x, o, z, z, o)", 0, x=rows(), o=literal([2.0], "float32"),
        z=literal([0.5], "float32")),
    *(sample("y = Dropout<ratio = 0.4>(x)", 0, opset=opset, x=rows(3)) for opset in (7, 10)),
    *(sample("y = Dropout(x, r)", 0, opset=opset, x=rows(3), r=literal(0.4, "float32")) for opset in (12, 13, 22)),
    sample("y = GroupNormalization<num_groups = 2>(x, s, b)", 0, opset=18, x=rows(4, 8), s=weight(2), b=weight(2)),
    sample("y = LayerNormalization(x, s)", 0, opset=13, x=rows(3, 4), s=weight(4)),
    sample("y = RMSNormalization<axis = 1>(x, s)", 0, opset=23, x=rows(3, 4), s=weight(3, 4)),
    sample("y = AveragePool<kernel_shape = [2], dilations = [2], ceil_mode = 1>(x)", 0, opset=19, x=rows(2, 8)),
    sample('y = AveragePool<kernel_shape = [3], auto_pad = "SAME_UPPER", count_include_pad = 1>(x)', 0, opset=7,
        x=rows(2, 8)),
    sample("y = MaxPool<kernel_shape = [2, 2], storage_order = 1, dilations = [2, 1]>(x)", 0, opset=12,
        x=rows(2, 8, 6)),
    sample("y = LpPool<kernel_shape = [3], dilations = [2]>(x)", 0, opset=18, x=rows(2, 8)),
    sample('y = DepthToSpace<blocksize = 2, mode = "CRD">(x)', 0, opset=11, x=rows(8, 3, 3)),
    sample("y = GridSample(x, g)", 0, opset=20, x=rows(2, 3, 4, 5), g=rows(2, 3, 2, 3, low=-1, high=1)),
    sample("y = GRU<hidden_size = 2, linear_before_reset = 1>(x, w, r, b)", 2, opset=14, x=rows(4, 3, axis=1),
        w=weight(1, 6, 3), r=weight(1, 6, 2), b=weight(1, 12)),
    sample("y = LSTM<hidden_size = 2>(x, w, r, , l, , , p)", 2, opset=7, x=rows(4, 3, axis=1), w=weight(1, 8, 3),
        r=weight(1, 8, 2), l=ints(low=1, high=4, dtype="int32"), p=weight(1, 6)),
    sample("y = LSTM<hidden_size = 2, layout = 1>(x, w, r)", "mixed", opset=14, x=rows(4, 3), w=weight(1, 8, 3),
        r=weight(1, 8, 2)),
]  # fmt: skip

RESIZE: list[Sample] = [
    sample("y = Upsample<scales = [1.0, 1.0, 2.0, 3.0]>(x)", 0, opset=7, x=_IMAGE),
    sample('y = Resize<mode = "linear">(x, s)', 0, opset=10, x=_IMAGE, s=_SIZES),
    *(sample('y = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(x, , s)', 0, opset=opset,
        x=_IMAGE, s=_SIZES) for opset in (13, 19)),
    sample('y = Resize<mode = "cubic">(x, r, s)', 0, opset=11, x=_IMAGE, s=_SIZES, r=literal([], "float32")),
    sample('y = Resize<mode = "linear", axes = [2, 3], antialias = 1>(x, , s)', 0, opset=18, x=_IMAGE,
        s=literal([0.5, 0.4], "float32")),
    sample('y = Resize<axes = [2, 3], keep_aspect_ratio_policy = "not_larger">(x, , , t)', 0, opset=19, x=_IMAGE,
        t=literal([7, 3])),
    sample('n = Shape<end = 2>(x) t = Concat<axis = 0>(n, hw) '
        'y = Resize<keep_aspect_ratio_policy = "not_smaller">(x, , , t)', "mixed", opset=19, x=_IMAGE,
        hw=literal([7, 3])),
    sample("y = Upsample<scales = [2.0, 1.0, 1.0, 1.0]>(x)", "mixed", opset=7, x=_IMAGE),
]  # fmt: skip

_BYTES = rows(3, 6, dtype="uint8", low=0, high=255)
_STEP, _ZERO = literal(0.037, "float32"), literal(101, "uint8")
QUANTISED: list[Sample] = [
    *(sample("y = DequantizeLinear(x, s, z)", 0, opset=opset, x=_BYTES, s=_STEP, z=_ZERO) for opset in (10, 13, 19)),
    *(sample("y = QuantizeLinear(x, s, z)", 0, opset=opset, x=rows(3), s=_STEP, z=_ZERO) for opset in (10, 13, 19, 21)),
    sample("y = DequantizeLinear<axis = -1>(x, s, z)", 0, opset=13, x=_BYTES, s=weight(6), z=weight(6, dtype="uint8")),
    sample("y = DequantizeLinear(x, s)", 1, opset=13, x=rows(3, 6, axis=1, dtype="uint8", low=0, high=255),
        s=rows(low=0.1, high=9)),
    sample("y = DequantizeLinear<axis = 1, block_size = 3>(x, s)", "mixed", opset=21, x=_BYTES, s=weight(5, 1, 6)),
    sample("y = QuantizeLinear<axis = 2, block_size = 2, output_dtype = 3>(x, s)", 0, opset=21, x=rows(3, 6),
        s=rows(3, 3, low=0.1, high=9)),
]  # fmt: skip

_Q4 = rows(2, 3, 8)
ATTENTION: list[Sample] = [
    sample("y, p, v2, a = Attention<qk_matmul_output_mode = 1, softcap = 2.0, is_causal = 1>(q, k, v)",
        {"y": 0, "a": 0}, opset=23, q=_Q4, k=_Q4, v=_Q4),
    sample("y = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v)", 0, opset=24, q=rows(3, 16), k=rows(5, 8),
        v=rows(5, 8)),
    sample("y = Attention(q, k, v, , , , n)", 0, opset=24, q=_Q4, k=rows(2, 5, 8), v=rows(2, 5, 8),
        n=ints(low=1, high=5)),
    sample("y = Attention(q, k, v, , , , n)", "mixed", opset=24, q=_Q4, k=rows(2, 5, 8), v=rows(2, 5, 8),
        n=literal([1, 2, 3, 4, 5])),
    sample("y = RotaryEmbedding<interleaved = 1, rotary_embedding_dim = 4>(x, c, d, i)", 0, opset=23, x=_Q4,
        c=weight(9, 2), d=weight(9, 2), i=ints(3, high=8)),
    sample("y = RotaryEmbedding<num_heads = 2>(x, c, d, i)", 0, opset=23, x=rows(3, 16), c=weight(9, 4),
        d=weight(9, 4), i=ints(3, high=8)),
    sample('y = TensorScatter<mode = "circular", axis = 1>(x, u, i)', 0, opset=24, x=rows(6, 3), u=rows(2, 3),
        i=ints(high=5)),
]  # fmt: skip

SAMPLES = [*SHAPES, *PARTS, *REDUCE, *LAYERS, *RESIZE, *QUANTISED, *ATTENTION]
