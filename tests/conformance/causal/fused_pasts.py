"""Sketches of attentions that take the past themselves, and hand out keys and values for later calls."""

from __future__ import annotations

import numpy as np

from actcache.passes.graph.pasts import past_axes
from tests.conformance.causal.fused import MASK, QKV, weights
from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, WIDTH, Sketch, build

TWO = ("y", "pk", "pv")
ONE = ("y", "pk")
#: As exports for onnxruntime-genai count the lengths of rows.
COUNTED = """n0 = ReduceSum(mask, axis1)  n1 = Sub(n0, one)  lens = Cast<to=6>(n1)
    msh = Shape(mask)  t0 = Gather<axis=0>(msh, one)  total = Cast<to=6>(t0)"""
GROUPED = "gq = MatMul(h, w32)  gk = MatMul(h, w16)  gv = MatMul(h, v16)"
HEADS = "past_k, past_v"
#: A bias of scores that grows with distance, [1, heads, S, past + S].
DISTANCES = """p0 = Sub(t0, s)  every = Range(zero, t0, one)  own = Range(p0, t0, one)  oi = Unsqueeze(own, axis1)
    oj = Unsqueeze(every, axis0)  d = Sub(oj, oi)  far = Cast<to=1>(d)  sloped = Mul(far, scale)
    s1 = Unsqueeze(s, axis0)  t1 = Unsqueeze(t0, axis0)  all4 = Concat<axis=0>(two_heads, s1, t1)
    bias = Expand(sloped, all4)"""


def layer(nodes: str, pasts: str, *, masked: bool = True, ones: bool = True, opset: int = 17) -> Sketch:
    """A graph from h [B, S, 8] to y, with a mask of past and call."""
    named = ["int64[B, S] ids", *(["int64[B, T] mask"] if masked else []), pasts]
    outputs = "float[B, S, F] y, " + ", ".join(f"{part.split()[0]} {name}" for part, name in _presents(pasts))
    random = np.random.default_rng(5)
    more = {"w64": random.standard_normal((WIDTH, 64)).astype(np.float32), "two": np.array(2)}
    sketch = build(
        ", ".join(named),
        f"{POSITIONS} {EMBEDDED} {nodes}",
        {"ids": 1, **({"mask": 1} if masked else {})},
        outputs=outputs,
        weights=weights() | more,
        opset=opset,
    )
    return Sketch(sketch.model, sketch.positions, past_axes(sketch.model), ("mask",) if masked and ones else ())


def _presents(pasts: str) -> list[tuple[str, str]]:
    parts = [part.strip().replace("P", "T") for part in pasts.replace("], ", "]; ").split(" float")]
    return list(
        zip([part if part.startswith("float") else f"float{part}" for part in parts], ("pk", "pv"), strict=False)
    )


def groups(
    attributes: str = "", *, more: str = "", before: str = COUNTED, operands: str = "gq, gk, gv", kept: str = "float"
) -> Sketch:
    """A GroupQueryAttention of two heads of queries on one of keys and values. `kept`: the type of these."""
    node = f"a, pk, pv = com.microsoft.GroupQueryAttention<num_heads=2, kv_num_heads=1{attributes}>"
    nodes = f"{GROUPED} {before} {node}({operands}, {HEADS}, lens, total{more}) y = Tanh(a)"
    return layer(nodes, f"{kept}[B,1,P,16] past_k, {kept}[B,1,P,16] past_v")


def heads(operands: str = "q, k, v, , , ", *, attributes: str = "unidirectional=1", masked: bool = False) -> Sketch:
    """A MultiHeadAttention."""
    node = f"a, pk, pv = com.microsoft.MultiHeadAttention<num_heads=2, {attributes}>({operands}, {HEADS})"
    pasts = "float[B,2,P,4] past_k, float[B,2,P,4] past_v"
    return layer(f"{QKV} {MASK if masked else ''} {node} y = Add(a, h)", pasts, masked=masked, ones=False)


def packed(operands: str = "h, packed, biases, ", *, masked: bool = False) -> Sketch:
    """An Attention that projects."""
    node = f"a, pk = com.microsoft.Attention<num_heads=2, unidirectional=1>({operands}, past_k)"
    nodes = f"{MASK if masked else ''} {node} y = Add(a, h)"
    return layer(nodes, "float[2,B,2,P,4] past_k", masked=masked, ones=False)


def standard(attributes: str, mask: str = "", before: str = "", *, opset: int = 23) -> Sketch:
    """Attention of ai.onnx, of [batch, positions, heads·size]."""
    node = f"a, pk, pv = Attention<{attributes}, q_num_heads=2, kv_num_heads=2>(q, k, v, {mask}, {HEADS})"
    pasts = "float[B,2,P,4] past_k, float[B,2,P,4] past_v"
    return layer(f"{QKV} {before} {node} y = Add(a, h)", pasts, masked=False, opset=opset)


#: Positions of past and call, and those that each may see.
OPEN = """psh = Shape(past_k)  p0 = Gather<axis=0>(psh, two)  t0 = Add(s, p0)  every = Range(zero, t0, one)
    own = Range(p0, t0, one)  oi = Unsqueeze(own, axis1)  oj = Unsqueeze(every, axis0)  ok = LessOrEqual(oj, oi)"""
GOOD: dict[str, tuple[Sketch, tuple[str, ...]]] = {
    "groups": (groups(), TWO),
    "groups, turned": (groups(", do_rotary=1", more=", cos8, sin8"), TWO),
    "groups, turned in pairs": (groups(", do_rotary=1, rotary_interleaved=1", more=", cos8, sin8"), TWO),
    "groups, packed": (groups(before=f"{COUNTED} qkv = MatMul(h, w64)", operands="qkv, , "), TWO),
    "groups, packed and turned": (
        groups(
            ", do_rotary=1, scale=0.3",
            more=", cos8, sin8",
            before=f"{COUNTED} qkv = MatMul(h, w64)",
            operands="qkv, , ",
        ),
        TWO,
    ),
    "groups, packed and turned in a window": (
        groups(
            ", do_rotary=1, local_window_size=2",
            more=", cos8, sin8",
            before=f"{COUNTED} qkv = MatMul(h, w64)",
            operands="qkv, , ",
        ),
        TWO,
    ),
    "groups, capped": (groups(", softcap=2.0"), TWO),
    "groups, capped, packed and turned in a window": (
        groups(
            ", softcap=2.0, do_rotary=1, local_window_size=2",
            more=", cos8, sin8",
            before=f"{COUNTED} qkv = MatMul(h, w64)",
            operands="qkv, , ",
        ),
        TWO,
    ),
    "groups and a bias of scores": (groups(more=", , , , bias", before=f"{COUNTED} {DISTANCES}"), TWO),
    "heads": (heads(), TWO),
    "heads, biased": (heads("q, k, v, biases, , "), TWO),
    "heads and a given mask": (heads("q, k, v, , m32, ", masked=True), TWO),
    "packed": (packed(), ONE),
    "packed and a given mask": (packed("h, packed, biases, m32", masked=True), ONE),
    "standard, is_causal": (standard("is_causal=1"), TWO),
    "standard, mask": (standard("scale=0.4", "ok", OPEN), TWO),
    "standard, later version": (standard("is_causal=1", opset=24), TWO),
}
REFUSED: dict[str, tuple[str, Sketch]] = {
    "lengths one too short": ("attention-lengths", groups(before=COUNTED.replace("Sub(n0, one)", "Sub(n0, two)"))),
    "lengths one too long": ("attention-lengths", groups(before=COUNTED.replace("Sub(n0, one)", "Identity(n0)"))),
    "lengths of a part": (
        "attention-lengths",
        groups(before=COUNTED.replace("ReduceSum(mask, axis1)", "ReduceMax<axes=[1]>(mask)")),
    ),
    "all but one": ("attention-lengths", groups(before=COUNTED.replace("Cast<to=6>(t0)", "Cast<to=6>(n1)"))),
    "window of nothing": ("not-followed", groups(", local_window_size=0")),
    "turned by numbers that are handed in": (
        "not-followed",
        groups(
            ", do_rotary=1",
            more=", cos8, sin8, numbers",
            before=f"{COUNTED} sh2 = Shape(ids) numbers = Expand(pos, sh2)",
        ),
    ),
    "groups, kept with half the digits": ("not-followed", groups(kept="float16")),
    "heads to all": ("bidirectional", heads(attributes="unidirectional=0")),
    "standard to all": ("bidirectional", standard("scale=0.4")),
    "standard, one more": (
        "not-causal",
        standard(
            "scale=0.4",
            "ok",
            OPEN.replace("LessOrEqual(oj, oi)", "LessOrEqual(oj, on)").replace("ok =", "on = Add(oi, one) ok ="),
        ),
    ),
}
