"""Traps: fused and newer operators that are given the rows where they expect something else."""

from __future__ import annotations

from rows_support import ROWS, Sample, ints, literal, rows, sample, weight

_F = "float32"

TRAPS: dict[str, Sample] = {
    "dynamic-quantisation dynamic matmul": sample("y = com.microsoft.DynamicQuantizeMatMul(x, w, s, z)", "mixed",
        x=rows(6), w=weight(6, 4, dtype="uint8"), s=literal(0.037, _F), z=literal(101, "uint8")),
    "dynamic-quantisation dynamic lstm": sample(
        "y0 = com.microsoft.DynamicQuantizeLSTM<hidden_size=2>(x, w, r, , , , , , s1, z1, s1, z1) y = Squeeze(y0, "
        "o)", "mixed", x=rows(6, 3, axis=1), w=weight(1, 3, 8, dtype="uint8"), r=weight(1, 2, 8, dtype="uint8"),
        s1=literal([0.037], _F), z1=literal([101], "uint8"), o=literal([1])),
    "reduce-over-rows qattention computed": sample(
        "a = Abs(x) m = ReduceMax<keepdims=0>(a) s = Div(m, k) q = QuantizeLinear(x, s, z) y = "
        "com.microsoft.QAttention<num_heads=2>(q, w, b, s, sw, , z, zw)", "mixed", x=rows(3, 8),
        w=weight(8, 24, dtype="int8"), b=weight(24), k=literal(255.0, _F), z=literal(128, "uint8"),
        sw=literal(0.03, _F), zw=literal(3, "int8")),
    "gather-rows roi one box for all": sample(
        "n = Shape<end=1>(x) k = Squeeze(n) i = Range(z, k, o) y = RoiAlign<sampling_ratio=2>(x, r, i)", "mixed",
        x=rows(2, 6, 6), r=weight(5, 4, low=0, high=5), z=literal(0), o=literal(1)),
    "gather-rows roi reversed": sample(
        "n = Shape<end=1>(x) k = Squeeze(n) i = Range(z, k, o) j = Sub(k1, i) y = RoiAlign<sampling_ratio=2>(x, "
        "r, j)", "mixed", x=rows(2, 6, 6), r=rows(4, low=0, high=5), z=literal(0), o=literal(1), k1=literal(4)),
    "reduce-over-rows loss mean": sample("y = NegativeLogLikelihoodLoss(x, c)", "mixed", x=rows(4, 2),
        c=ints(2, high=3)),
    "row-dependent-parameter loss weighted by rows": sample('y = NegativeLogLikelihoodLoss<reduction="none">(x, c, w)',
        "mixed", x=rows(5, axis=1), c=ints(5, high=4, axis=None), w=rows()),
    "rows-misaligned linear attention over rows": sample(
        'u = Unsqueeze(x, z) y0, s = '
        'com.microsoft.LinearAttention<q_num_heads=1,kv_num_heads=1,update_rule="linear">(u,u,u) y = Squeeze(y0, z)',
        "mixed", x=rows(4), z=literal([0])),
    "rows-misaligned causal conv over rows": sample(
        "t = Transpose(x) u = Unsqueeze(t, z) y0, s = com.microsoft.CausalConvWithState(u, w) v = Squeeze(y0, z) "
        "y = Transpose(v)", "mixed", x=rows(4), z=literal([0]), w=weight(4, 1, 3)),
    "rows-misaligned hash over rows": sample(
        "u = Unsqueeze(x, z) y0 = com.microsoft.NGramHashMapping<max_ngram_size=3,n_head_per_ngram=1,pad_id=0>(u, "
        "m, v) y = Squeeze(y0, z)", "mixed", x=ints(high=9), z=literal([0]), m=literal([3, 5, 7]), v=literal([11, 13])),
    "pad-rows unfold rows": sample(
        "p = Pad(x, pd) u = com.microsoft.UnfoldTensor<size=3,dim=0>(p) y = ReduceMax<keepdims=0>(u, l)", "mixed",
        x=rows(4), pd=literal([1, 0, 1, 0]), l=literal([-1])),
    "gather-rows gathernd contrib": sample("y = com.microsoft.GatherND(x, i)", "mixed", x=rows(3), i=ints(1, high=0)),
    "rows-misaligned branch norm over rows": sample(
        "t = Transpose(x) n = com.microsoft.BranchwiseRMSNorm<num_branches=1>(t) y = Transpose(n)", "mixed", x=rows(4)),
    "not-batch-axis scaler per row": sample(
        "t = Transpose(x) s = ai.onnx.ml.Scaler<scale=[0.3,1.7,2.9,3.1,0.2],offset=[0.1,0.2,0.3,0.4,0.5]>(t) y = "
        "Transpose(s)", "mixed", x=rows(3)),
    "not-batch-axis tree of transposed": sample(
        't = Transpose(x) s = ai.onnx.ml.Normalizer<norm="L2">(t) y = Transpose(s)', "mixed", x=rows(3)),
    "gather-rows array feature": sample("t = Transpose(x) y = ai.onnx.ml.ArrayFeatureExtractor(t, i)", "mixed",
        x=rows(3), i=literal([0, 1, 2, 3, 4])),
    "rows-misaligned expert by row scores of others": sample(
        'y = com.microsoft.MoE<k = 1, activation_type = "relu">(x, r, a, , c)', "mixed", x=rows(8), r=weight(5, 4),
        a=weight(4, 16, 8), c=weight(4, 8, 16)),
    "rows-misaligned mrope shared": sample(
        "y = com.microsoft.MRotaryEmbedding<num_heads=2,mrope_section=[2,1,1]>(x, p, c, d)", "mixed", x=rows(3, 16),
        p=weight(3, 5, 3, dtype="int64", low=0, high=8), c=weight(9, 4), d=weight(9, 4)),
    "row-position-in-data maxunpool": sample(
        "y0, i = MaxPool<kernel_shape=[2],strides=[2]>(x) y = MaxUnpool<kernel_shape=[2],strides=[2]>(y0, i, s)",
        "mixed", x=rows(2, 6), s=literal([5, 2, 6])),
    "row-position-in-data maxpool indices": sample("y0, y = MaxPool<kernel_shape=[2]>(x)", "mixed", x=rows(2, 6)),
    "batch-size-in-data window of N": sample("n = Shape<end=1>(x) k = Squeeze(n) w = HannWindow(k) y = Mul(x, w)",
        "mixed", x=rows()),
    "split-rows split to parts of rows": sample(
        "a, b, c, d, e = Split<axis=0,num_outputs=5>(x) y = Concat<axis=0>(e, d, c, b, a)", "mixed", x=rows(3)),
    "rows-misaligned scale of a layer norm": sample("y = com.microsoft.SkipLayerNormalization(x, x, g)", "mixed",
        x=rows(ROWS), g=rows()),
    "row-dependent-parameter zero point": sample("y = QuantizeLinear<axis = 1>(x, s, z)", "mixed", x=rows(ROWS),
        s=weight(ROWS, low=0.1, high=1.0), z=rows(dtype="uint8")),
}  # fmt: skip
