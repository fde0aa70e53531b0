"""Samples for the com.microsoft operators that onnxruntime's optimisers put into a model."""

from __future__ import annotations

from typing import Any

from rows_support import Sample, ints, literal, rows, sample, weight

_S, _Z = literal(0.037, "float32"), literal(101, "uint8")
_SZ: dict[str, Any] = {"s": _S, "z": _Z}
_BYTES = rows(3, 6, dtype="uint8", low=0, high=255)
_IMAGE = rows(4, 6, 6, dtype="uint8", low=0, high=255)

FUSED: list[Sample] = [
    sample("y = com.microsoft.FusedMatMul<alpha = 0.5, transB = 1>(x, w)", 0, x=rows(3, 4), w=weight(6, 4)),
    sample("y = com.microsoft.FusedMatMul<transA = 1>(x, w)", 0, x=rows(4, 3), w=weight(4, 6)),
    sample("y = com.microsoft.FusedMatMul<transA = 1>(x, w)", 0, x=rows(4, axis=1), w=weight(4, 6)),
    sample("y = com.microsoft.FusedMatMul<transBatchA = 1>(x, w)", 1, x=rows(3, 4), w=weight(3, 4, 6)),
    sample("y = com.microsoft.FusedMatMul<transBatchA = 1>(x, z)", 0, x=rows(3, 4, axis=1), z=rows(4, 6)),
    sample(
        "y = com.microsoft.FusedMatMul<transBatchA = 1, transA = 1>(x, z)", 0, x=rows(4, 3, axis=1), z=rows(4, 6)
    ),
    sample(
        "y = com.microsoft.FusedMatMul<transBatchB = 1, transB = 1>(x, z)", 0, x=rows(3, 4), z=rows(6, 4, axis=1)
    ),
    sample("y = com.microsoft.TransposeMatMul<transB = 1>(x, w)", 0, x=rows(3, 4), w=weight(6, 4)),
    sample('y = com.microsoft.FusedGemm<activation = "Relu">(x, w, b)', 0, x=rows(4), w=weight(4, 6), b=weight(6)),
    sample('y = com.microsoft.FusedConv<activation = "Relu">(x, w, b)', 0, x=rows(3, 6, 6), w=weight(4, 3, 3, 3),
        b=weight(4)),
    sample('y = com.microsoft.FusedConv<activation = "Relu">(x, w, b, z)', 0, x=rows(3, 6, 6), w=weight(4, 3, 3, 3),
        b=weight(4), z=rows(4, 4, 4)),
]  # fmt: skip

QUANTISED: list[Sample] = [
    *(sample(f"y = com.microsoft.{op}(x, s, z, s, z)", 0, x=_BYTES, **_SZ)
        for op in ("QLinearSigmoid", "QLinearLeakyRelu")),
    *(sample(f"y = com.microsoft.{op}(x, s, z, w, s, z, s, z)", 0, x=_BYTES, w=weight(6, dtype="uint8"), **_SZ)
        for op in ("QLinearAdd", "QLinearMul")),
    sample("y = com.microsoft.QLinearWhere(c, x, s, z, w, s, z, s, z)", 0, c=rows(3, 1, dtype="bool"), x=_BYTES,
        w=weight(6, dtype="uint8"), **_SZ),
    sample("y = com.microsoft.QLinearSoftmax<axis = -1, opset = 13>(x, s, z, s, z)", 0, x=_BYTES, **_SZ),
    sample("y = com.microsoft.QLinearSoftmax<axis = 0, opset = 12>(x, s, z, s, z)", "mixed", x=_BYTES, **_SZ),
    sample("y = com.microsoft.QLinearConcat<axis = 1>(s, z, x, s, z, v, s, z)", 0, x=_BYTES, v=_BYTES, **_SZ),
    sample("y = com.microsoft.QLinearAveragePool<kernel_shape = [2, 2]>(x, s, z, s, z)", 0, x=_IMAGE, **_SZ),
    sample("y = com.microsoft.QLinearGlobalAveragePool(x, s, z, s, z)", 0, x=_IMAGE, **_SZ),
    sample("y = com.microsoft.NhwcMaxPool<kernel_shape = [2, 2]>(x)", 0, x=_IMAGE),
    sample("y = com.microsoft.QLinearConv<channels_last = 1>(x, s, z, w, s, z, s, z)", 0, x=_IMAGE,
        w=weight(4, 6, 3, 3, dtype="uint8"), **_SZ),
    sample("y = com.microsoft.QGemm(x, s, z, w, s, z, , s, z)", 0, x=rows(6, dtype="uint8", low=0, high=255),
        w=weight(6, 4, dtype="uint8"), **_SZ),
    sample("y = com.microsoft.MatMulIntegerToFloat(x, w, s, s, z, z, b)", 0, x=_BYTES, w=weight(6, 4, dtype="uint8"),
        b=weight(4), **_SZ),
    sample("y = com.microsoft.MatMulInteger16(x, w)", 0, x=rows(3, 6, dtype="int16"), w=weight(6, 4, dtype="int16")),
    sample("y = com.microsoft.MatMulNBits<K = 32, N = 4, bits = 4, block_size = 32>(x, w, s)", 0, x=rows(3, 32),
        w=weight(4, 1, 16, dtype="uint8"), s=weight(4)),
    sample("y = com.microsoft.MatMulNBits<K = 32, N = 4, bits = 4, block_size = 32, accuracy_level = 4>(x, w, s)", 0,
        x=rows(3, 32), w=weight(4, 1, 16, dtype="uint8"), s=weight(4)),
    sample("y = com.microsoft.MatMulFpQ4<blk_quant_type = 0>(x, w, s)", 0, x=rows(3, 32), w=weight(80, dtype="uint8"),
        s=literal([32, 4])),
    sample("y = com.microsoft.MatMulBnb4<K = 32, N = 4, block_size = 32, quant_type = 0>(x, w, s)", 0, x=rows(3, 32),
        w=weight(64, dtype="uint8"), s=weight(4)),
    sample("y = com.microsoft.DynamicQuantizeMatMul(x, w, s, z)", "mixed", x=rows(6), w=weight(6, 4, dtype="uint8"),
        s=_S, z=_Z),
    sample("y = com.microsoft.DynamicQuantizeLSTM<hidden_size = 2>(x, w, r, , , , , , s1, z1, s1, z1)", "mixed",
        x=rows(6, 3, axis=1), w=weight(1, 3, 8, dtype="uint8"), r=weight(1, 2, 8, dtype="uint8"),
        s1=literal([0.037], "float32"), z1=literal([101], "uint8")),
]  # fmt: skip

_ATT: dict[str, Any] = {"w": weight(8, 24), "b": weight(24)}
_TOKENS: dict[str, Any] = {"q": rows(3, 8), "k": rows(5, 8), "v": rows(5, 8)}
TRANSFORMER: list[Sample] = [
    sample("y = com.microsoft.Attention<num_heads = 2>(x, w, b)", 0, x=rows(3, 8), **_ATT),
    sample("y = com.microsoft.Attention<num_heads = 2>(x, w, b, m)", 0, x=rows(3, 8),
        m=ints(low=1, high=3, dtype="int32"), **_ATT),
    sample("y, p = com.microsoft.Attention<num_heads = 2, unidirectional = 1>(x, w, b, m, past)", {"y": 0, "p": 1},
        x=rows(3, 8), m=ints(5, low=0, high=1, dtype="int32"), past=rows(2, 2, 2, 4, axis=1), **_ATT),
    sample("y = com.microsoft.Attention<num_heads = 2>(x, w, b, , , t)", 0, x=rows(3, 8), t=weight(1, 2, 3, 3), **_ATT),
    sample("y = com.microsoft.QAttention<num_heads = 2>(x, w, b, s, s, m, z, zw)", 0,
        x=rows(3, 8, dtype="uint8", low=0, high=255), w=weight(8, 24, dtype="int8"), b=weight(24), s=_S, z=_Z,
        m=ints(low=1, high=3, dtype="int32"), zw=literal(3, "int8")),
    sample("y = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v, , m)", 0, **_TOKENS,
        m=ints(low=1, high=5, dtype="int32")),
    sample("y, p, pv = com.microsoft.MultiHeadAttention<num_heads = 2>(q, k, v, b, , t, a, c)",
        {"y": 0, "p": 0, "pv": 0}, q=rows(3, 8), k=rows(3, 8), v=rows(3, 8), b=weight(24), t=rows(2, 3, 5),
        a=rows(2, 2, 4), c=rows(2, 2, 4)),
    sample("y, p, pv = com.microsoft.GroupQueryAttention<num_heads = 2, kv_num_heads = 1>(q, k, v, a, c, l, t)",
        {"y": 0, "p": 0, "pv": 0}, q=rows(1, 16), k=rows(1, 8), v=rows(1, 8), a=rows(1, 4, 8), c=rows(1, 4, 8),
        l=ints(low=1, high=4, dtype="int32"), t=literal(5, "int32")),
    sample("y = com.microsoft.RotaryEmbedding(x, i, c, d)", 0, x=rows(2, 3, 8), i=ints(3, high=8), c=weight(9, 4),
        d=weight(9, 4)),
    sample("y = com.microsoft.RotaryEmbedding(x, i, c, d)", 0, x=rows(2, 3, 8), i=literal([2]), c=weight(9, 4),
        d=weight(9, 4)),
    sample("y, m, e = com.microsoft.EmbedLayerNormalization(i, g, w, p, t, s, b, k)", {"y": 0, "m": 0},
        i=ints(4, dtype="int32"), g=ints(4, high=1, dtype="int32"), w=weight(6, 8), p=weight(9, 8), t=weight(2, 8),
        s=weight(8), b=weight(8), k=ints(4, high=1, dtype="int32")),
]  # fmt: skip

BLOCKED: list[Sample] = [
    sample("b = com.microsoft.nchwc.ReorderInput(x) c = com.microsoft.nchwc.Conv(b, w) "
        "d = com.microsoft.nchwc.MaxPool<kernel_shape = [2, 2]>(c) "
        "e = com.microsoft.nchwc.AveragePool<kernel_shape = [2, 2]>(d) "
        "y = com.microsoft.nchwc.ReorderOutput<channels = 16>(e)",
        {"y": 0}, x=rows(16, 8, 8), w=weight(16, 16, 3, 3)),
    sample("b = com.microsoft.nchwc.ReorderInput(x) c = com.microsoft.nchwc.GlobalMaxPool(b) "
        "d = com.microsoft.nchwc.GlobalAveragePool(c) e = com.microsoft.nchwc.Upsample<scales = [1, 1, 2, 2]>(b) "
        "f = com.microsoft.nchwc.ReorderOutput<channels = 16>(d) "
        "y = com.microsoft.nchwc.ReorderOutput<channels = 16>(e) g = Reshape(f, t) h = Reshape(y, u)",
        {"y": 0, "f": 0, "g": 0, "h": 0}, x=rows(16, 4, 4), t=literal([-1, 16]), u=literal([-1, 16, 64])),
    sample("b = com.microsoft.nchwc.ReorderInput<channels_last = 1>(x) c = com.microsoft.nchwc.Conv(b, w, , b) "
        "y = com.microsoft.nchwc.ReorderOutput<channels = 16, channels_last = 1>(c) z = Reshape(y, t)",
        {"y": 0, "z": 0}, x=rows(4, 4, 16), w=weight(16, 16, 1, 1), t=literal([-1, 256])),
]  # fmt: skip

SAMPLES = [*FUSED, *QUANTISED, *TRANSFORMER, *BLOCKED]
