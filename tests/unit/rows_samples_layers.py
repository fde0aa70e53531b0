"""Samples for convolutions, pooling, resizing, matrix products, recurrent layers, attention of ai.onnx."""

from __future__ import annotations

from typing import Any

from rows_support import Sample, free, ints, literal, rows, sample, weight

SPATIAL: list[Sample] = [
    sample("y = Conv(x, w, b)", 0, x=rows(3, 7, 6), w=weight(4, 3, 3, 2), b=weight(4)),
    sample("y = Conv<strides = [2], pads = [1, 1], group = 3>(x, w)", 0, x=rows(3, 9, loose=True), w=weight(3, 1, 3)),
    sample("y = Conv(x, w)", "mixed", x=rows(3, 7, 6, axis=1), w=weight(4, 5, 3, 2)),
    sample("y = Conv(w, x)", "mixed", x=rows(3, 3, 2), w=weight(1, 3, 7, 6)),
    sample("y = ConvTranspose<strides = [2, 2]>(x, w)", 0, x=rows(3, 4, 4), w=weight(3, 2, 3, 3)),
    sample("y = ConvTranspose<strides = [2], group = 3, output_shape = [9]>(x, w)", 0, x=rows(3, 4), w=weight(3, 1, 3)),
    sample(
        "y = DeformConv(x, w, o, , m)",
        0,
        opset=19,
        x=rows(2, 5, 5),
        w=weight(3, 2, 2, 2),
        o=rows(8, 4, 4),
        m=rows(4, 4, 4, low=0, high=1),
    ),
    sample("y = AveragePool<kernel_shape = [3, 2], pads = [1, 0, 1, 0]>(x)", 0, x=rows(2, 6, 6)),
    sample("y = LpPool<kernel_shape = [3, 2]>(x)", 0, x=rows(2, 6, 6)),
    sample("y = MaxPool<kernel_shape = [3], strides = [2], ceil_mode = 1>(x)", 0, x=rows(2, 8)),
    sample("y, i = MaxPool<kernel_shape = [3]>(x)", {"y": 0, "i": "mixed"}, x=rows(2, 8)),
    sample("y = GlobalAveragePool(x)", 0, x=rows(2, 6, 6)),
    sample("y = GlobalLpPool(x)", 0, x=rows(2, 6, 6)),
    sample("y = GlobalMaxPool(x)", 0, x=rows(2, 6, 6)),
    sample("y = DepthToSpace<blocksize = 2>(x)", 0, x=rows(8, 3, 3)),
    sample("y = SpaceToDepth<blocksize = 2>(x)", 0, x=rows(2, 4, 6)),
    sample(
        "y = com.microsoft.ConvTransposeWithDynamicPads<strides = [2, 2]>(x, w, p)",
        0,
        x=rows(3, 4, 4),
        w=weight(3, 2, 3, 3),
        p=literal([0, 1, 1, 0]),
    ),
    sample("y = com.microsoft.GridSample(x, g)", 0, x=rows(2, 5, 5), g=rows(4, 3, 2, low=-1, high=1)),
    sample("y = GridSample(x, g)", 0, x=rows(2, 5, 5), g=rows(4, 3, 2, low=-1, high=1)),
    sample(
        "n = Shape<end = 1>(t) s = Concat<axis = 0>(n, chw) y = AffineGrid(t, s)",
        0,
        opset=20,
        t=rows(2, 3),
        chw=literal([2, 4, 5]),
    ),
    sample("y = Col2Im(x, i, b)", 0, x=rows(8, 9), i=literal([4, 4]), b=literal([2, 2])),
    sample("y = Col2Im(x, i, b)", 0, x=rows(8, 9), i=free(dtype="int64", values=[4, 4]), b=literal([2, 2])),
    sample('y = Resize<mode = "linear">(x, , s)', 0, x=rows(2, 4, 5), s=literal([1.0, 1.0, 2.0, 1.6], "float32")),
    sample(
        "n = Shape<end = 2>(x) t = Concat<axis = 0>(n, hw) y = Resize(x, , , t)",
        0,
        x=rows(2, 4, 5),
        hw=literal([7, 3]),
    ),
    sample("y = Resize<axes = [2, 3]>(x, , , t)", 0, x=rows(2, 4, 5), t=literal([7, 3])),
    sample("y = Resize(x, , s)", "mixed", x=rows(2, 4), s=literal([2.0, 1.0, 1.0], "float32")),
    sample("y = Resize(x, , , t)", "mixed", x=rows(2, 4), t=literal([5, 2, 8])),
    sample("y = Upsample(x, s)", 0, opset=9, x=rows(2, 4, 5), s=literal([1.0, 1.0, 2.0, 2.0], "float32")),
]

_OWN = "n = Shape<end = 1>(x) e = Squeeze(n) i = Range(zero, e, one)"
_BOX = rows(4, low=0, high=1)
ROIS: list[Sample] = [
    *(sample("y = RoiAlign<output_height = 3, output_width = 2, spatial_scale = 5.0, sampling_ratio = 2>(m, r, i)", 0,
        opset=opset, m=weight(3, 2, 6, 6), r=_BOX, i=ints(high=2)) for opset in (10, 16)),
    # Each row brings an image and a region of it.
    sample(f"{_OWN} y = RoiAlign<spatial_scale = 5.0, sampling_ratio = 2>(x, r, i)", 0,
        x=rows(2, 6, 6), r=_BOX, zero=literal(0), one=literal(1)),
    sample("y = RoiAlign<spatial_scale = 5.0>(x, r, i)", "mixed", x=rows(2, 6, 6), r=_BOX, i=ints(high=0)),
    sample("y = com.microsoft.CropAndResize(m, r, i, s)", 0, m=weight(3, 2, 6, 6), r=_BOX,
        i=ints(high=2, dtype="int32"), s=literal([3, 2], "int32")),
    sample("y = MaxRoiPool<pooled_shape = [2, 2]>(m, r)", 0, m=weight(6, 2, 6, 6), r=rows(5, low=0, high=5.9)),
    sample("y = MaxRoiPool<pooled_shape = [2, 2]>(x, r)", "mixed", x=rows(2, 6, 6), r=rows(5, low=0, high=0)),
    sample("y = MaxUnpool<kernel_shape = [2], strides = [2]>(x, i)", "mixed", x=rows(2, 3), i=ints(2, 3)),
]  # fmt: skip

LOSS: list[Sample] = [
    *(sample('y = NegativeLogLikelihoodLoss<reduction = "none", ignore_index = 1>(x, c, w)', 0, opset=opset,
        x=rows(4, 3), c=ints(3, high=3), w=weight(4, low=0.5, high=2)) for opset in (12, 13, 22)),
    sample('y, p = SoftmaxCrossEntropyLoss<reduction = "none">(x, c)', {"y": 0, "p": 0}, x=rows(4), c=ints(high=3)),
    sample("y, p = SoftmaxCrossEntropyLoss(x, c)", {"y": "mixed", "p": 0}, x=rows(4), c=ints(high=3)),
    sample('y = NegativeLogLikelihoodLoss<reduction = "none">(x, c)', "mixed", x=rows(5, axis=1), c=ints()),
]  # fmt: skip

PRODUCT: list[Sample] = [
    sample("y = MatMul(x, w)", 0, x=rows(3, 4), w=weight(4, 6)),
    sample("y = MatMul(x, w)", 0, x=rows(4), w=weight(4, 6)),
    sample("y = MatMul(x, z)", 0, x=rows(3, 4), z=rows(4, 6)),
    sample("y = MatMul(x, z)", 1, x=rows(2, 3, 4, axis=1), z=rows(4, 6)),
    sample("y = MatMul(w, x)", 1, x=rows(3, axis=1), w=weight(6, 3)),
    sample("y = MatMul(x, w)", 0, x=rows(3, 4), w=weight(4)),
    sample("t = Transpose(x) y = MatMul(x, t)", "mixed", x=rows(4)),
    sample("y = MatMul(w, x)", "mixed", x=rows(3), w=weight(6, 5)),
    sample("y = MatMul(x, z)", 1, x=rows(4, 5, 3, axis=1), z=rows(3, 6)),
    sample("y = MatMul(x, z)", "mixed", x=rows(4, 5, 3), z=rows(3, 6)),
    sample("y = Gemm<alpha = 0.7>(x, w, b)", 0, x=rows(4), w=weight(4, 6), b=weight(6)),
    sample("y = Gemm<transA = 1, transB = 1>(x, w)", 0, x=rows(4, axis=1), w=weight(6, 4)),
    sample("y = Gemm(w, x, b)", 1, x=rows(4, axis=1), w=weight(6, 4), b=weight(6, 1)),
    sample("y = Gemm(x, w, b)", "mixed", x=rows(4), w=weight(4, 6), b=weight(5, 6)),
    sample("y = MatMulInteger(x, w, a, b)", 0, x=ints(3, 4, dtype="uint8", high=255),
        w=weight(4, 6, dtype="uint8"), a=literal(7, "uint8"), b=weight(6, dtype="uint8")),
    sample("y = MatMulInteger(x, w, a)", "mixed", x=ints(4, dtype="uint8", high=255), w=weight(4, 6, dtype="uint8"),
        a=literal([1, 2, 3, 4, 5], "uint8")),
    *(sample(f'y = com.microsoft.CDist<metric = "{metric}">(x, w)', 0, x=rows(4), w=weight(6, 4), tolerance=1e-3)
        for metric in ("euclidean", "sqeuclidean")),
    sample("y = com.microsoft.CDist(w, x)", 1, x=rows(4), w=weight(6, 4), tolerance=1e-3),
    sample("y = com.microsoft.CDist(x, z)", "mixed", x=rows(4), z=rows(4)),
    sample('y = Einsum<equation = "bij, bjk -> bik">(x, z)', 0, x=rows(3, 4), z=rows(4, 2)),
    sample('y = Einsum<equation = "...ij, jk">(x, w)', 0, x=rows(2, 3, 4), w=weight(4, 5)),
    sample('y = Einsum<equation = "bhwc, hkc -> bhwk">(x, w)', 0, x=rows(3, 2, 4), w=weight(3, 5, 4)),
    sample('y = Einsum<equation = "bi, bj -> ij">(x, z)', "mixed", x=rows(3), z=rows(4)),
    sample('y = Einsum<equation = "ii -> i">(x)', "mixed", x=rows(5)),
    sample('y = Einsum<equation = "bi, ci -> bc">(x, z)', "mixed", x=rows(3), z=rows(3)),
]  # fmt: skip

_SCALE: dict[str, Any] = {"s": literal(0.037, "float32"), "z": literal(101, "uint8")}
_BYTES = rows(3, 6, dtype="uint8", low=0, high=255)

QUANTISED: list[Sample] = [
    sample("y = QuantizeLinear(x, s, z)", 0, x=rows(3, 6), **_SCALE),
    sample("y = QuantizeLinear<axis = 1>(x, s)", 0, x=rows(3, 6), s=weight(3, low=0.01, high=0.1)),
    sample("y = QuantizeLinear<axis = 0>(x, s)", "mixed", x=rows(3), s=weight(5, low=0.01, high=0.1)),
    sample("y = DequantizeLinear(x, s, z)", 0, x=_BYTES, **_SCALE),
    sample("y = DequantizeLinear<axis = 2>(x, s)", 0, x=_BYTES, s=weight(6)),
    sample("y = DequantizeLinear<axis = 0>(x, s)", 0, x=_BYTES, s=rows(low=0.01, high=9)),
    sample("y = DequantizeLinear<axis = 2, block_size = 2>(x, s)", 0, opset=21, x=_BYTES, s=rows(3, 3)),
    sample("y = com.microsoft.QuantizeLinear(x, s, z)", 0, x=rows(3, 6), **_SCALE),
    sample("y = com.microsoft.DequantizeLinear(x, s, z)", 0, x=_BYTES, **_SCALE),
    sample("y, a, b = DynamicQuantizeLinear(x)", {"y": "mixed", "a": "mixed"}, x=rows(3)),
    sample(
        "y = QLinearMatMul(x, s, z, w, s, z, s, z)", 0, x=_BYTES, w=weight(6, 4, dtype="uint8"), **_SCALE
    ),
    sample("y = ConvInteger(x, w, z)", 0, x=_BYTES, w=weight(4, 3, 3, dtype="uint8"), z=_SCALE["z"]),
    sample("y = QLinearConv(x, s, z, w, s, z, s, z)", 0, x=_BYTES, w=weight(4, 3, 3, dtype="uint8"), **_SCALE),
]  # fmt: skip


def _recurrent(op: str, gates: int) -> list[Sample]:
    weights: dict[str, Any] = {"w": weight(1, gates * 4, 3), "r": weight(1, gates * 4, 4), "b": weight(1, gates * 8)}
    both: dict[str, Any] = {"w": weight(2, gates * 4, 3), "r": weight(2, gates * 4, 4)}
    x, h = rows(6, 3, axis=1), rows(1, 4, axis=1)
    states = "h, c" if op == "LSTM" else "h"
    cell: dict[str, Any] = {"c": h} if op == "LSTM" else {}
    return [
        sample(f"y, k = {op}<hidden_size = 4>(x, w, r, b, , {states})", {"y": 2, "k": 1}, x=x, h=h, **cell, **weights),
        sample(
            f'y, k = {op}<hidden_size = 4, direction = "bidirectional">(x, w, r, , l)',
            {"y": 2, "k": 1},
            x=x,
            l=ints(low=1, high=6, dtype="int32"),
            **both,
        ),
        sample(f"y = {op}<hidden_size = 4>(x, w, r, b)", "mixed", x=rows(6, 3), **weights),
    ]


_Q4 = rows(2, 3, 8)  # [N, heads, S, h]
ATTENTION: list[Sample] = [
    sample("y = Attention(q, k, v)", 0, opset=23, q=_Q4, k=rows(2, 5, 8), v=rows(2, 5, 8)),
    sample(
        "y = Attention<q_num_heads = 2, kv_num_heads = 2>(q, k, v, m)",
        0,
        opset=23,
        q=rows(3, 8),
        k=rows(5, 8),
        v=rows(5, 8),
        m=rows(1, 3, 5, dtype="bool"),
    ),
    sample(
        "y, p, v2 = Attention(q, k, v, m, pk, pv)",
        {"y": 0, "p": 0, "v2": 0},
        opset=23,
        q=_Q4,
        k=_Q4,
        v=_Q4,
        m=weight(3, 5),
        pk=rows(2, 2, 8),
        pv=rows(2, 2, 8),
    ),
    sample("y = Attention(q, k, v)", "mixed", opset=23, q=_Q4, k=weight(5, 2, 5, 8), v=weight(5, 2, 5, 8)),
    sample("y = Attention(q, k, v, m)", "mixed", opset=23, q=_Q4, k=_Q4, v=_Q4, m=weight(5, 1, 3, 3)),
    sample("y = RotaryEmbedding(x, c, d, i)", 0, opset=23, x=_Q4, c=weight(9, 4), d=weight(9, 4), i=ints(3, high=8)),
    sample("y = RotaryEmbedding(x, c, d)", 0, opset=23, x=_Q4, c=rows(3, 4), d=rows(3, 4)),
]  # fmt: skip

SAMPLES = [
    *SPATIAL,
    *ROIS,
    *LOSS,
    *PRODUCT,
    *QUANTISED,
    *_recurrent("LSTM", 4),
    *_recurrent("GRU", 3),
    *_recurrent("RNN", 1),
    *ATTENTION,
]
