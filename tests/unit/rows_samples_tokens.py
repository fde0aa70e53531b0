"""Samples for the newer layers of language models: linear attention, its gates and streams, mixtures of experts."""

from __future__ import annotations

from typing import Any

from rows_support import Sample, ints, literal, rows, sample, weight

_TOKENS: dict[str, Any] = {
    "q": rows(4, 6),
    "k": rows(4, 6),
    "v": rows(4, 6),
    "p": rows(2, 3, 3),
    "b": rows(4, 2, low=0, high=1),
}
_DECAY = rows(4, 2, low=-2, high=0)
_HEADS = "q_num_heads = 2, kv_num_heads = 2"
_CONV: dict[str, Any] = {"x": rows(4, 6), "w": weight(4, 1, 3), "b": weight(4), "p": rows(4, 2)}

LINEAR: list[Sample] = [
    *(sample(f"y, s = {domain}LinearAttention<{_HEADS}>(q, k, v, p, d, b)", {"y": 0, "s": 0}, opset=opset, **_TOKENS,
        d=_DECAY) for domain, opset in (("", 27), ("com.microsoft.", 18))),
    sample(f'y, s = com.microsoft.LinearAttention<{_HEADS}, update_rule = "linear">(q, k, v)', {"y": 0, "s": 0},
        q=rows(4, 6), k=rows(4, 6), v=rows(4, 6)),
    sample(f"y, s = com.microsoft.LinearAttention<{_HEADS}>(q, k, v, w, d, b)", "mixed", **_TOKENS, d=_DECAY,
        w=weight(5, 2, 3, 3)),
    sample("y, s = CausalConvWithState(x, w, b, p)", {"y": 0, "s": 0}, opset=27, reference=True, **_CONV),
    sample('y, s = com.microsoft.CausalConvWithState<activation = "silu">(x, w, b, p)', {"y": 0, "s": 0}, **_CONV),
    sample("y, s = com.microsoft.CausalConvWithState(x, w)", {"y": 0, "s": 0}, x=rows(4, 6), w=weight(4, 1, 3)),
    sample("y, s = com.microsoft.CausalConvWithState(x, w)", "mixed", x=rows(4, 6, axis=1), w=weight(5, 1, 3)),
    sample("y, s = com.microsoft.CausalConvWithState<state_window = 2>(x, w, b, p)", {"s": "mixed"}, x=rows(4, 6),
        w=weight(4, 1, 3), b=weight(4), p=rows(2, 4, 2, axis=1)),
    sample("y, r = com.microsoft.LinearAttentionGate(x, b, s, z)", {"y": 0, "r": 0}, x=rows(3, 4), b=weight(4),
        s=weight(4), z=rows(3, 4)),
]  # fmt: skip

STREAMS: list[Sample] = [
    sample("y = com.microsoft.ScaledSiLU<alpha = 0.7>(x)", 1, x=rows(3, axis=1)),
    sample("y = com.microsoft.ScaledSiLU(x, s)", 0, x=rows(3), s=literal(0.7, "float32")),
    sample("y = com.microsoft.GatedAdd(x, z, g)", 0, x=rows(3, 4), z=rows(3, 4), g=rows(3, 1)),
    sample("y = com.microsoft.GatedRMSNorm(x, s, g)", 0, x=rows(3, 8), s=weight(4), g=rows(3, 8)),
    sample("y = com.microsoft.GatedRMSNorm(x, s, g)", "mixed", x=rows(), s=weight(5), g=rows()),
    sample("y = com.microsoft.BranchwiseRMSNorm(x, s)", 0, x=rows(3, 4), s=weight(3, 4)),
    sample("y = com.microsoft.BranchwiseRMSNorm<num_branches = 3>(x)", 0, x=rows(12)),
    sample("y = com.microsoft.BranchwiseRMSNorm(x, s)", "mixed", x=rows(4), s=weight(5, 4)),
    sample("y = com.microsoft.HyperConnectionPostMix(x, z, m, n)", 0, x=rows(3, 4), z=rows(4), m=rows(3),
        n=rows(3, 3)),
    sample("y = com.microsoft.HyperConnectionPostMix<num_branches = 3>(x, z, m)", 0, x=rows(2, 12), z=rows(2, 4),
        m=rows(2, 3)),
    sample("y = com.microsoft.HyperConnectionPreMix(x, m)", 0, x=rows(2, 3, 4), m=rows(2, 3)),
    sample("y = com.microsoft.HyperConnectionPreMix<num_branches = 3>(x, m)", 0, x=rows(12), m=rows(3)),
    sample("y = com.microsoft.EngramGate(x, z, v, s, t)", 0, x=rows(3, 2, 4), z=rows(3, 2, 4), v=rows(3, 4),
        s=weight(2, 4), t=weight(2, 4)),
]  # fmt: skip

_EXPERTS: dict[str, Any] = {"a": weight(4, 16, 8), "c": weight(4, 8, 16)}
_BYTES: dict[str, Any] = {"a": weight(4, 16, 8, dtype="uint8"), "c": weight(4, 8, 16, dtype="uint8")}
_BYTES |= {"s": weight(4, 16), "t": weight(4, 8)}
EXPERTS: list[Sample] = [
    sample('y = com.microsoft.MoE<k = 2, activation_type = "relu">(x, r, a, , c)', 0, x=rows(8), r=rows(4),
        **_EXPERTS, tolerance=1e-4),
    # The scores of all tokens of a row lie together.
    sample('f = Reshape(r, t) y = com.microsoft.MoE<k = 2, activation_type = "relu">(x, f, a, , c)', 0, x=rows(3, 8),
        r=rows(3, 4), t=literal([-1, 4]), **_EXPERTS, tolerance=1e-4),
    sample('y = com.microsoft.MoE<k = 2, activation_type = "relu">(x, w, a, , c)', "mixed", x=rows(8), w=weight(5, 4),
        **_EXPERTS),
    sample('y = com.microsoft.QMoE<k = 2, activation_type = "relu", expert_weight_bits = 8>(x, r, a, s, , c, t)', 0,
        x=rows(8), r=rows(4), **_BYTES, tolerance=1e-4),
    sample("y = com.microsoft.MoEGroupRouter<n_group = 2, topk_group = 1, group_topk = 2, top_k = 2>(x, b)", 0,
        x=rows(8), b=weight(8)),
    sample("y = com.microsoft.MoEGroupRouter<n_group = 2, topk_group = 1, group_topk = 2, top_k = 2>(x, b)", (0, 3),
        x=rows(3, 8), b=weight(8)),
]  # fmt: skip

IDS: list[Sample] = [
    sample("y, p = com.microsoft.NGramHashMapping<max_ngram_size = 3, n_head_per_ngram = 1, pad_id = 0>(x, m, v, q)",
        {"y": 0, "p": 0}, x=ints(7, high=9), m=literal([3, 5, 7]), v=literal([11, 13]), q=ints(2, high=9)),
    sample("y = com.microsoft.NGramRepeatBlock<ngram_size = 2>(x, s)", 0, x=ints(7, high=3), s=rows(4)),
    sample("y = com.microsoft.MRotaryEmbedding<num_heads = 2, mrope_section = [2, 1, 1]>(x, p, c, d)", 0,
        x=rows(3, 16), p=ints(3, 3, high=8, axis=1), c=weight(9, 4), d=weight(9, 4)),
    sample("y, m = com.microsoft.QEmbedLayerNormalization(i, g, w, p, t, a, b, k, f, f, f, f, f, z, z, z, z, z)",
        {"y": 0, "m": 0}, i=ints(4, dtype="int32"), g=ints(4, high=1, dtype="int32"), w=weight(6, 8, dtype="uint8"),
        p=weight(9, 8, dtype="uint8"), t=weight(2, 8, dtype="uint8"), a=weight(8, dtype="uint8"),
        b=weight(8, dtype="uint8"), k=ints(4, high=1, dtype="int32"), f=literal(0.03, "float32"),
        z=literal(101, "uint8")),
    sample("y = com.microsoft.WordConvEmbedding<embedding_size = 4, conv_window_size = 3, char_embedding_size = 2>"
        "(x, w, b, c)", 0, x=ints(6, low=1, dtype="int32"), w=weight(4, 1, 3, 2), b=weight(4), c=weight(6, 2)),
]  # fmt: skip

SAMPLES = [*LINEAR, *STREAMS, *EXPERTS, *IDS]
