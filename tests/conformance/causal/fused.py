"""Sketches of what onnxruntime's optimiser writes into transformers: its own operators, and quantised weights."""

from __future__ import annotations

import numpy as np

from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, WIDTH, Sketch, build

QKV = "q = MatMul(h, wq)  k = MatMul(h, wk)  v = MatMul(h, wv)"
MASK = "m32 = Cast<to=6>(mask)"
TURNED = "q0 = MatMul(h, wq)  q = com.microsoft.RotaryEmbedding<num_heads=2>(q0, numbers, cos, sin)"
LOWEST = float(np.finfo(np.float32).min)


def weights(seed: int = 3) -> dict[str, np.ndarray]:
    """Constants that the graphs below read."""
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    angles = np.outer(np.arange(40), [1.0, 0.1])
    made = {"packed": drawn(WIDTH, 3 * WIDTH), "biases": drawn(3 * WIDTH), "wide": drawn(WIDTH, 2 * WIDTH)}
    made |= {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}
    made |= {"step": np.array(0.05, np.float32), "middle": np.array(117, np.uint8)}
    made |= {"steps": np.linspace(0.04, 0.06, WIDTH, dtype=np.float32), "middles": np.full(WIDTH, 117, np.uint8)}
    made |= {"whole": _bytes(random, WIDTH, WIDTH), "words": _bytes(random, 11, 8)}
    made |= {"word_scales": drawn(11, 1), "nibbles": _bytes(random, WIDTH, 1, 8), "word_scale": drawn(WIDTH)}
    wide = np.outer(np.arange(40), 0.5 ** np.arange(8))
    made |= {"cos8": np.cos(wide).astype(np.float32), "sin8": np.sin(wide).astype(np.float32)}
    made |= {"one32": np.array(1, np.int32), "w32": drawn(WIDTH, 32), "w16": drawn(WIDTH, 16), "v16": drawn(WIDTH, 16)}
    made |= {
        "v32": drawn(WIDTH, 32),
        "past3": np.array([1, 0, 16]),
        "past16": np.array([16]),
        "two32": np.array(2, np.int32),
    }
    made |= {
        "first": np.array([3]),
        "tenth": np.array(0.1, np.float32),
        "sinks": np.array([1.5, -2], np.float32),
        "encoded": drawn(1, 5, WIDTH),
        "unit": np.array(1, np.float32),
    }
    made |= {"axis123": np.array([1, 2, 3]), "axis012": np.array([0, 1, 2])}
    made |= {"scales": drawn(WIDTH), "shift": drawn(WIDTH), "two_heads": np.array([1, 2]), "many": np.array(3)}
    return made


def _bytes(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.integers(0, 255, shape, np.uint8)


def layer(nodes: str, *, inputs: str = "", positions: dict[str, int] | None = None) -> Sketch:
    """A graph from h [B, S, 8] to y."""
    named = ", ".join(part for part in ("int64[B, S] ids", inputs) if part)
    where = {"ids": 1, **(positions or {})}
    return build(named, f"{POSITIONS} {EMBEDDED} {nodes}", where, weights=weights())


LENGTHS = """s32 = Cast<to=6>(s)  last = Sub(s32, one32)  bs = Gather<axis=0>(sh, axis0)  lens = Expand(last, bs)
    gq = MatMul(h, w32)  gk = MatMul(h, w16)  gv = MatMul(h, v16)"""


def groups(attributes: str = "kv_num_heads=1", *, past: str = ", ", more: str = "", before: str = LENGTHS) -> Sketch:
    """A GroupQueryAttention of two heads of queries, 16 features each."""
    node = f"a, pk, pv = com.microsoft.GroupQueryAttention<num_heads=2, {attributes}>"
    return layer(f"{before} {node}(gq, gk, gv, {past}, lens, s32{more}) y = Tanh(a)")


def heads(operands: str, *, attributes: str = "unidirectional=1", before: str = "", masked: bool = False) -> Sketch:
    """A MultiHeadAttention."""
    node = f"a = com.microsoft.MultiHeadAttention<num_heads=2, {attributes}>({operands})"
    given = {"inputs": "int64[B, S] mask", "positions": {"mask": 1}} if masked else {}
    return layer(f"{QKV} {before} {node} y = Add(a, h)", **given)  # type: ignore[arg-type]


def packed(operands: str, *, attributes: str = "unidirectional=1", before: str = "", masked: bool = False) -> Sketch:
    """An Attention that projects."""
    node = f"a = com.microsoft.Attention<num_heads=2, {attributes}>({operands})"
    given = {"inputs": "int64[B, S] mask", "positions": {"mask": 1}} if masked else {}
    return layer(f"{before} {node} y = Add(a, h)", **given)  # type: ignore[arg-type]


def biased(condition: str) -> str:
    """A bias of scores [1, heads, S, S] that is the lowest number where a condition does not hold."""
    return f"""ok = {condition}  flat = Where(ok, nothing, low)  s1 = Unsqueeze(s, axis0)
        all4 = Concat<axis=0>(two_heads, s1, s1)  bias = Expand(flat, all4)"""


#: A bias of scores that grows with distance, [1, heads, S, S].
DISTANCES = """d = Sub(pj, pi)  far = Cast<to=1>(d)  sloped = Mul(far, scale)  s1 = Unsqueeze(s, axis0)
    all4 = Concat<axis=0>(two_heads, s1, s1)  bias = Expand(sloped, all4)"""
#: One row of it for all queries.
OF_KEYS = DISTANCES.replace("Sub(pj, pi)", "Identity(pj)").replace("(two_heads, s1, s1)", "(two_heads, axis1, s1)")
#: Queries, keys and values of float16, so small that its rounding is.
NARROW = (
    """q1 = Mul(gq, tenth)  v1 = Mul(gv, tenth)  nq = Cast<to=10>(q1)  nk = Cast<to=10>(gk)  nv = Cast<to=10>(v1)"""
)
GOOD: dict[str, Sketch] = {
    "heads": heads("q, k, v"),
    "heads, scaled": heads("q, k, v", attributes="unidirectional=1, scale=0.3"),
    "heads, biased": heads("q, k, v, biases"),
    "heads of turned queries and keys": layer(
        f"""{QKV} numbers = Expand(pos, sh) q1 = Reshape(q, heads) q4 = Transpose<perm=[0,2,1,3]>(q1)
        qr = com.microsoft.RotaryEmbedding(q4, numbers, cos, sin) qt = Transpose<perm=[0,2,1,3]>(qr)
        qn = Reshape(qt, joined) kr = com.microsoft.RotaryEmbedding<num_heads=2>(k, numbers, cos, sin)
        a = com.microsoft.MultiHeadAttention<num_heads=2, unidirectional=1>(qn, kr, v) y = Add(a, h)"""
    ),
    "heads and a bias of scores": heads("q, k, v, , , bias", before=biased("GreaterOrEqual(pj, zero)")),
    "heads and a mask in the bias": heads(
        "q, k, v, , , bias", attributes="scale=0.4", before=biased("LessOrEqual(pj, pi)")
    ),
    "heads, an encoder's keys": layer(
        """q = MatMul(h, wq) bs = Gather<axis=0>(sh, axis0) wanted = Concat<axis=0>(bs, axis1, axis1)
        keys = Expand(encoded, wanted) k = MatMul(keys, wk) v = MatMul(keys, wv)
        a = com.microsoft.MultiHeadAttention<num_heads=2>(q, k, v) y = Add(a, h)"""
    ),
    "heads and a given mask": heads("q, k, v, , m32", before=MASK, masked=True),
    "packed": packed("h, packed, biases"),
    "packed, scaled": packed("h, packed, biases", attributes="unidirectional=1, scale=0.3"),
    "packed and a given mask": packed("h, packed, biases, m32", before=MASK, masked=True),
    "packed without biases": packed("h, packed"),
    "packed without biases and a given mask": packed("h, packed, , m32", before=MASK, masked=True),
    "packed twice": layer(
        """a = com.microsoft.Attention<num_heads=2, unidirectional=1>(h, packed, biases)
        b = com.microsoft.SkipLayerNormalization(a, h, scales, shift)
        c = com.microsoft.Attention<num_heads=2, unidirectional=1>(b, packed, biases) y = Add(c, b)"""
    ),
    "groups": groups(),
    "groups, scaled": groups("kv_num_heads=1, scale=0.3"),
    "groups of one": groups("kv_num_heads=2", before=LENGTHS.replace("w16", "w32").replace("v16", "v32")),
    "groups, turned": groups("kv_num_heads=1, do_rotary=1", more=", cos8, sin8"),
    "groups, turned in pairs": groups("kv_num_heads=1, do_rotary=1, rotary_interleaved=1", more=", cos8, sin8"),
    "groups, an empty past": groups(
        past="past, past",
        before=f"{LENGTHS} ps = Concat<axis=0>(bs, past3) past = ConstantOfShape(ps)",
    ),
    "groups, window": groups("kv_num_heads=1, local_window_size=2"),
    "groups, turned in a window": groups("kv_num_heads=1, do_rotary=1, local_window_size=3", more=", cos8, sin8"),
    "groups, window of one": groups("kv_num_heads=1, local_window_size=1"),
    "groups, capped": groups("kv_num_heads=1, softcap=2.0"),
    "groups, capped and turned in a window": groups(
        "kv_num_heads=1, softcap=2.0, do_rotary=1, local_window_size=3", more=", cos8, sin8"
    ),
    "groups, capped, of one": groups(
        "kv_num_heads=2, softcap=2.0, scale=0.3", before=LENGTHS.replace("w16", "w32").replace("v16", "v32")
    ),
    "groups and a bias of scores": groups(more=", , , , bias", before=f"{LENGTHS} {DISTANCES}"),
    "groups, capped, and a bias of scores": groups(
        "kv_num_heads=1, softcap=2.0", more=", , , , bias", before=f"{LENGTHS} {DISTANCES}"
    ),
    "groups and a bias that closes": groups(
        more=", , , , bias", before=f"{LENGTHS} d = Sub(pi, pj) {biased('Less(d, many)')}"
    ),
    "groups, smoothed": groups("kv_num_heads=1, smooth_softmax=1"),
    "groups, with a sink for each head": groups(more=", , , , , sinks", before=f"{LENGTHS}"),
    "groups of float16": layer(
        f"""{LENGTHS} {NARROW} a, pk, pv = com.microsoft.GroupQueryAttention<num_heads=2, kv_num_heads=1>(nq, nk, nv,
        , , lens, s32) f = Cast<to=1>(a) y = Mul(f, tenth)"""
    ),
    "turned by number": layer(f"numbers = Expand(pos, sh) {TURNED} y = Add(q, h)"),
    "turned from the first on": layer(f"numbers = Identity(first) {TURNED} y = Add(q, h)"),
    "quantised and back": layer(
        "a = QuantizeLinear(h, step, middle) b = DequantizeLinear(a, step, middle) y = Add(b, h)"
    ),
    "quantised by feature": layer(
        "a = QuantizeLinear<axis=2>(h, steps, middles) b = DequantizeLinear<axis=-1>(a, steps, middles) y = Add(b, h)"
    ),
    "product of integers": layer(
        """a = QuantizeLinear(h, step, middle) b = MatMulInteger(a, whole, middle) c = Cast<to=1>(b)
        y = Mul(c, step)"""
    ),
    "product with scales": layer(
        """a = QuantizeLinear(h, step, middle) b = QLinearMatMul(a, step, middle, whole, step, middle, step, middle)
        y = DequantizeLinear(b, step, middle)"""
    ),
    "packed weights": layer(
        """g = com.microsoft.GatherBlockQuantized<block_size=16, quantize_axis=1>(words, ids, word_scales)
        y = com.microsoft.MatMulNBits<K=16, N=8, bits=4, block_size=16>(g, nibbles, word_scale)"""
    ),
    "fused layers": layer(
        """a = com.microsoft.BiasGelu(h, shift) b = com.microsoft.FastGelu(a, scales) c = com.microsoft.QuickGelu(b)
        d = com.microsoft.SkipSimplifiedLayerNormalization(c, h, scales)
        e = com.microsoft.FusedMatMul<transB=1>(d, wq) f = SimplifiedLayerNormalization(e, scales) y = Add(f, h)"""
    ),
}
#: The mask that is handed in has to begin with 1 here, as what it closes is as low as what lies later.
BINARY: dict[str, Sketch] = {
    "heads and a mask of the lowest number": heads(
        "q, k, v, , m32", attributes=f"unidirectional=1, mask_filter_value={LOWEST}", before=MASK, masked=True
    ),
    "packed and a mask of the lowest number": packed(
        "h, packed, biases, m32", attributes=f"unidirectional=1, mask_filter_value={LOWEST}", before=MASK, masked=True
    ),
}
AHEAD: dict[str, tuple[str, Sketch]] = {
    "heads to all": ("bidirectional", heads("q, k, v", attributes="unidirectional=0")),
    "heads to all of a mask": ("not-causal", heads("q, k, v, , m32", attributes="scale=0.4", before=MASK, masked=True)),
    "heads and the next one": (
        "not-causal",
        heads("q, k, v, , , bias", attributes="scale=0.4", before=f"n = Add(pi, one) {biased('LessOrEqual(pj, n)')}"),
    ),
    "heads and a beginning": (
        "not-causal",
        heads(
            "q, k, v, , , bias",
            attributes="scale=0.4",
            before=f"c = LessOrEqual(pj, pi) e = Less(pj, many) {biased('Or(c, e)')}",
        ),
    ),
    "packed to all": ("bidirectional", packed("h, packed, biases", attributes="unidirectional=0")),
    "packed to all of a mask": (
        "not-causal",
        packed("h, packed, biases, m32", attributes="scale=0.4", before=MASK, masked=True),
    ),
}
GROUPS_REFUSED = {
    "attention-lengths": groups(before=LENGTHS.replace("Sub(s32, one32)", "Sub(s32, two32)")),
    "attention-past": groups(
        past="past, past", before=f"{LENGTHS} ps = Concat<axis=0>(bs, axis1, axis1, past16) past = ConstantOfShape(ps)"
    ),
    "not-followed": groups(
        "kv_num_heads=1, do_rotary=1", more=", cos8, sin8, numbers", before=f"{LENGTHS} numbers = Expand(pos, sh)"
    ),
    "size-in-data": groups(
        more=", , , , bias", before=f"{LENGTHS} long = Cast<to=1>(s) {DISTANCES.replace('(far, scale)', '(far, long)')}"
    ),
    "mask-unknown": groups(more=", , , , bias", before=f"{LENGTHS} {OF_KEYS}"),
}
