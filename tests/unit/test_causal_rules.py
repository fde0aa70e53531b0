"""Operators besides masks: what keeps positions apart goes on from every prefix, what does not is refused and shown."""

from __future__ import annotations

import numpy as np
import pytest
from causal_checks import assert_goes_on

from actcache.passes.causal import Ahead
from actcache.passes.causal.remembered import Last
from tests.conformance.causal.sketches import EMBEDDED, MIXED, POSITIONS, SCORES, WIDTH, Sketch, build
from tests.conformance.causal.truth import looks_ahead, proven, wrong_suffixes

FLOAT = "f0 = Cast<to=1>(pos)  at = Unsqueeze(f0, axis1)"
ANGLES = f"{FLOAT} angle = Mul(at, rates)  both = Concat<axis=-1>(angle, angle)  cos = Cos(both)  sin = Sin(both)"
ROTATED = "p0, p1 = Split<axis=-1>(h)  n1 = Neg(p1)  t = Concat<axis=-1>(n1, p0)  a = Mul(h, cos)  b = Mul(t, sin)"
RATES = np.array([1, 0.5, 0.1, 0.02], np.float32)
ACROSS = "x = Transpose<perm=[0,2,1]>(h)"
BACK = "y = Transpose<perm=[0,2,1]>(c)"
FIRST = "x = Transpose<perm=[1,0,2]>(h)"
LAST = "r1 = Squeeze(r0, axis1)  y = Transpose<perm=[1,0,2]>(r1)"
LENGTH = "length = Cast<to=1>(s)"


def weights(seed: int = 3) -> dict[str, np.ndarray]:
    """Constants that the graphs below read."""
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    made = {"rates": RATES, "kernel": drawn(WIDTH, WIDTH, 3), "each": drawn(WIDTH, 1, 3), "bias": drawn(WIDTH)}
    made |= {"gru": drawn(1, 3 * WIDTH, WIDTH), "gru_r": drawn(1, 3 * WIDTH, WIDTH), "rnn": drawn(1, WIDTH, WIDTH)}
    made |= {
        "lstm": drawn(1, 4 * WIDTH, WIDTH),
        "begin": drawn(1, 2, WIDTH),
        "bold": drawn(1, 2, WIDTH),
        "buckets": drawn(32),
    }
    made |= {"two_gru": drawn(2, 3 * WIDTH, WIDTH), "wide": drawn(WIDTH, 4)}
    made |= {"lstm_b": drawn(1, 8 * WIDTH), "peepholes": drawn(1, 3 * WIDTH), "two_lstm": drawn(2, 4 * WIDTH, WIDTH)}
    made |= {"small": np.array(1e-5, np.float32), "ends": np.array([-1]), "back": np.array([-1])}
    made |= {"front": np.array([-(2**31)]), "two1": np.array([2]), "four1": np.array([4]), "thirty": np.array(31)}
    made |= {"pad1": np.array([0, 0, 1, 0, 0, 1]), "pad2": np.array([0, 0, 2, 0, 0, 0]), "far": np.array([2**31])}
    made |= {"pad4": np.array([0, 0, 4, 0, 0, 0]), "pad_h": np.array([0, 1, 0, 0, 0, 0]), "less2": np.array([-2])}
    made |= {"plane": drawn(1, 1, 2, 3), "plane3": drawn(1, 1, 3, 3), "thin": drawn(3, WIDTH)}
    made |= {"twice_long": np.array([1, 1, 2], np.float32)}
    made |= {"pad_t": np.array([0, 0, 0, 0, 1, 0])}
    made |= {"experts": drawn(WIDTH, WIDTH, WIDTH), "flat": np.array([-1, WIDTH]), "pairs": np.array([-1, 2, WIDTH])}
    made |= {"three": np.array(3), "twice": np.array([1, 2])}
    made |= {"line": np.linspace(-1, 1, 20, dtype=np.float32)}
    made |= {"four": np.array([0, 0, 4, 2]), "limit": np.array(20), "two0": np.array(2), "eight1": np.array([8])}
    return made


def layer(nodes: str, *, inputs: str = "", positions: dict[str, int] | None = None, opset: int = 17) -> Sketch:
    """A graph from h [B, S, 8] to y."""
    named = ", ".join(part for part in ("int64[B, S] ids", inputs) if part)
    where = {"ids": 1, **(positions or {})}
    return build(named, f"{POSITIONS} {EMBEDDED} {nodes}", where, weights=weights(), opset=opset)


QKV = "q0 = MatMul(h, wq)  k0 = MatMul(h, wk)  v0 = MatMul(h, wv)"
OPEN = "ok = LessOrEqual(pj, pi)"
GOOD: dict[str, Sketch] = {
    "looked up element by element": layer(
        """bs = Gather<axis=0>(sh, axis0) s1 = Unsqueeze(s, axis0) twenty = Unsqueeze(limit, axis0)
        long = Concat<axis=0>(bs, twenty) all = Expand(line, long) both = Concat<axis=0>(bs, s1) n = Expand(pos, both)
        e = GatherElements<axis=1>(all, n) u = Unsqueeze(e, axis2) y = Mul(h, u)"""
    ),
    "the largest features": layer(
        "v, i = TopK(h, two1) f = Cast<to=1>(i) s2 = ReduceSum(v, back) y0 = Mul(h, s2) "
        "g = ReduceSum(f, back) y = Add(y0, g)"
    ),
    "each position sent to two experts": layer(
        """x = Reshape(h, flat) v, i = TopK(x, two1) u = Unsqueeze(x, axis1) r0 = OneHot(axis1, three, twice)
        r = Reshape(r0, back) t = Tile(u, r) both = Flatten<axis=2>(t) ix = Reshape(i, back) w = Gather(experts, ix)
        c = Unsqueeze(both, axis2) p0 = MatMul(w, c) p1 = Squeeze(p0, axis2) g = Reshape(v, back)
        g1 = Unsqueeze(g, axis1) p2 = Mul(p1, g1) p3 = Reshape(p2, pairs) z = ReduceSum<keepdims=0>(p3, axis1)
        hs = Shape(h) y = Reshape(z, hs)"""
    ),
    "sizes of a slice of no positions": layer(
        """e = Slice(h, axis0, axis0, axis1) es = Shape(e) n = Gather<axis=0>(es, axis0)
        t = Concat<axis=0>(n, flat) y = Reshape(h, t)"""
    ),
    "features joined with none": layer("p = Slice(h, eight1, far, axis2) y = Concat<axis=-1>(h, p)"),
    "rotary": layer(f"{ANGLES} {ROTATED} y = Add(a, b)"),
    "rotary by handed in numbers": layer(
        f"""fp = Cast<to=1>(position_ids) at = Unsqueeze(fp, axis2) angle = Mul(at, rates)
        both = Concat<axis=-1>(angle, angle)  cos = Cos(both)  sin = Sin(both)  {ROTATED} y = Add(a, b)""",
        inputs="int64[B, S] position_ids",
        positions={"position_ids": 1},
    ),
    "distances in buckets": layer(
        f"""{SCORES} {OPEN} d = Sub(pi, pj) far0 = Max(d, zero) far1 = Min(far0, thirty) bb = Gather(buckets, far1)
        scb = Add(sc1, bb) sc2 = Where(ok, scb, low) {MIXED}"""
    ),
    "repeated keys": layer(
        f"""{OPEN} q0 = MatMul(h, wq) q1 = Reshape(q0, heads) q = Transpose<perm=[0,2,1,3]>(q1)
        k0 = MatMul(h, wide) ku = Unsqueeze(k0, axis1) bs = Gather<axis=0>(sh, axis0) s1 = Unsqueeze(s, axis0)
        wanted = Concat<axis=0>(bs, two1, s1, four1) kw = Expand(ku, wanted) k = Transpose<perm=[0,1,3,2]>(kw)
        sc0 = MatMul(q, k) sc1 = Mul(sc0, scale) sc2 = Where(ok, sc1, low) w = Softmax<axis=-1>(sc2)
        o = MatMul(w, kw) o1 = Transpose<perm=[0,2,1,3]>(o) o2 = Reshape(o1, joined) o3 = MatMul(o2, wo)
        y = Add(o3, h)"""
    ),
    "sizes of at most a limit": layer(
        """m0 = Min(s, limit) m1 = Unsqueeze(m0, axis0) bs = Gather<axis=0>(sh, axis0) h4 = Reshape(h, four)
        wanted = Concat<axis=0>(bs, m1, eight1) y = Reshape(h4, wanted)"""
    ),
    "root mean square": layer(
        "sq = Mul(h, h) mean = ReduceMean<axes=[-1]>(sq) e = Add(mean, small) r = Sqrt(e) y = Div(h, r)"
    ),
    "weights without softmax": layer(
        f"""{SCORES} tri = Trilu<upper=0>(sc1) o = MatMul(tri, v) o1 = Transpose<perm=[0,2,1,3]>(o)
        y = Reshape(o1, joined)"""
    ),
    "fused attention": layer(f"{QKV} y = Attention<is_causal=1, q_num_heads=2, kv_num_heads=2>(q0, k0, v0)", opset=23),
    "fused attention of heads, fewer keys": layer(
        f"""{QKV} q1 = Reshape(q0, four) q = Transpose<perm=[0,2,1,3]>(q1) k1 = Reshape(k0, four)
        k = Transpose<perm=[0,2,1,3]>(k1) a = Attention<is_causal=1, scale=0.3>(q, k, k)
        a1 = Transpose<perm=[0,2,1,3]>(a) y = Reshape(a1, joined)""",
        opset=23,
    ),
    "fused attention with a mask": layer(
        f"{QKV} {OPEN} y = Attention<q_num_heads=2, kv_num_heads=2>(q0, k0, v0, ok)", opset=23
    ),
    "fused attention with two masks": layer(
        f"""{QKV} d = Sub(pj, pi) f = Cast<to=1>(d) m = Mul(f, scale)
        y = Attention<is_causal=1, q_num_heads=2, kv_num_heads=2>(q0, k0, v0, m)""",
        opset=23,
    ),
    "fused rotary": layer(
        f"""{FLOAT} angle = Mul(at, rates) c0 = Cos(angle) s0 = Sin(angle) bs = Gather<axis=0>(sh, axis0)
        s1 = Unsqueeze(s, axis0) wanted = Concat<axis=0>(bs, s1, four1) c1 = Expand(c0, wanted) s2 = Expand(s0, wanted)
        y = RotaryEmbedding<num_heads=1>(h, c1, s2)""",
        opset=23,
    ),
    "running sum": layer("y = CumSum(h, one)"),
    "causal convolution": layer(f"{ACROSS} c = Conv<pads=[2,0]>(x, kernel, bias) {BACK}"),
    "causal convolution, wide": layer(f"{ACROSS} c = Conv<pads=[4,0], dilations=[2]>(x, kernel) {BACK}"),
    "causal convolution, each channel": layer(f"{ACROSS} c = Conv<pads=[2,0], group=8>(x, each) {BACK}"),
    "padded, then a convolution": layer(f"{ACROSS} p = Pad(x, pad2) c = Conv(p, kernel, bias) {BACK}"),
    "convolution of both sides, then cut": layer(
        f"{ACROSS} c0 = Conv<pads=[2,2]>(x, kernel, bias) c1 = Relu(c0) c = Slice(c1, axis0, less2, axis2) {BACK}"
    ),
    "convolution of both sides, then cut to S": layer(
        f"""{ACROSS} c0 = Conv<pads=[2,2]>(x, kernel, bias) c1 = Relu(c0) s1 = Unsqueeze(s, axis0)
        c = Slice(c1, axis0, s1, axis2) {BACK}"""
    ),
    "causal convolution of planes": layer(
        "x = Unsqueeze(h, axis1) c = Conv<pads=[1,1,0,1]>(x, plane) y = Squeeze(c, axis1)"
    ),
    "causal convolution of planes, across": layer(
        f"""{ACROSS} p = Pad(x, pad4) u = Unsqueeze(p, axis1) c0 = Conv<pads=[1,0,0,0], dilations=[1,2]>(u, plane)
        c = Squeeze(c0, axis1) {BACK}"""
    ),
    "convolution of planes, with fewer features behind": layer(
        """x = Unsqueeze(h, axis1) c = Conv<pads=[1,0,0,0], strides=[1,2]>(x, plane) q = Squeeze(c, axis1)
        y = MatMul(q, thin)"""
    ),
    "largest of the last three": layer(f"{ACROSS} p = Pad(x, pad2) c = MaxPool<kernel_shape=[3]>(p) {BACK}"),
    "mean of the last three": layer(f"{ACROSS} p = Pad(x, pad2) c = AveragePool<kernel_shape=[3]>(p) {BACK}"),
    "moved on by one": layer("p = Pad(h, pad_h) y = Slice(p, axis0, back, axis1)"),
    "two convolutions": layer(
        f"""{ACROSS} p = Pad(x, pad2) c0 = Conv(p, kernel, bias) c1 = Tanh(c0) p1 = Pad(c1, pad4)
        c = Conv<dilations=[2]>(p1, kernel) {BACK}"""
    ),
    "GRU": layer(f"{FIRST} r0 = GRU<hidden_size=8>(x, gru, gru_r) {LAST}"),
    "GRU that begins somewhere": layer(f"{FIRST} r0, hn = GRU<hidden_size=8>(x, gru, gru_r, , , begin) {LAST}"),
    "RNN twice": layer(
        f"""{FIRST} r0 = RNN<hidden_size=8>(x, rnn, rnn) r1 = Squeeze(r0, axis1) r2 = RNN<hidden_size=8>(r1, rnn, rnn)
        r3 = Squeeze(r2, axis1) y = Transpose<perm=[1,0,2]>(r3)"""
    ),
    "LSTM": layer(f"{FIRST} r0 = LSTM<hidden_size=8>(x, lstm, lstm) {LAST}"),
    "LSTM that begins somewhere": layer(f"{FIRST} r0 = LSTM<hidden_size=8>(x, lstm, lstm, , , begin, bold) {LAST}"),
    "LSTM that begins with what the caller gives": layer(
        f"{FIRST} r0, hn, cn = LSTM<hidden_size=8>(x, lstm, lstm, , , h0, c0) {LAST}",
        inputs="float[1, B, 8] h0, float[1, B, 8] c0",
    ),
    "LSTM with all that it may have": layer(
        f"""{FIRST} r0, hn = LSTM<hidden_size=8, clip=0.7, input_forget=1, activations=["Tanh", "Sigmoid", "Tanh"]>(
        x, lstm, lstm, lstm_b, , begin, , peepholes) {LAST}"""
    ),
    "LSTM twice, and projections": layer(
        f"""{FIRST} r0, hn, cn = LSTM<hidden_size=8>(x, lstm, lstm, lstm_b) q = Squeeze(r0, axis1) q1 = MatMul(q, wo)
        q2 = Add(q1, x) s0 = LSTM<hidden_size=8>(q2, lstm, lstm, lstm_b) s1 = Squeeze(s0, axis1)
        y = Transpose<perm=[1,0,2]>(s1)"""
    ),
    "LSTM, then attention": layer(
        f"""{FIRST} r0 = LSTM<hidden_size=8>(x, lstm, lstm) r1 = Squeeze(r0, axis1) l = Transpose<perm=[1,0,2]>(r1)
        y = Attention<is_causal=1, q_num_heads=2, kv_num_heads=2>(l, l, h)""",
        opset=23,
    ),
    "LSTM and GRU": layer(
        f"""{FIRST} r0 = LSTM<hidden_size=8>(x, lstm, lstm) r1 = Squeeze(r0, axis1)
        r2 = GRU<hidden_size=8>(r1, gru, gru_r) r3 = Squeeze(r2, axis1) y = Transpose<perm=[1,0,2]>(r3)"""
    ),
}

AHEAD: dict[str, tuple[str, Sketch]] = {
    "mean over positions": ("over-positions", layer("m = ReduceMean<axes=[1]>(h) y = Sub(h, m)")),
    "softmax over positions": ("softmax-over-positions", layer("y = Softmax<axis=1>(h)")),
    "layer norm over positions": (
        "over-positions",
        layer(f"{ACROSS} c0 = LpNormalization<axis=2>(x) c = Identity(c0) {BACK}"),
    ),
    "the two largest of all": ("over-positions", layer("v, i = TopK<axis=1>(h, axis1) y = Add(h, v)")),
    "largest of all": ("over-positions", layer("m = ReduceMax<axes=[1]>(h) y = Add(h, m)")),
    "backwards": ("slice-positions", layer("y = Slice(h, back, front, axis1, back)")),
    "the last one": ("pick-positions", layer("l = Gather<axis=1>(h, ends) y = Add(h, l)")),
    "fused attention to all": (
        "bidirectional",
        layer(f"{QKV} y = Attention<q_num_heads=2, kv_num_heads=2>(q0, k0, v0)", opset=23),
    ),
    "fused attention, flipped": (
        "not-causal",
        layer(f"{QKV} ok = LessOrEqual(pi, pj) y = Attention<q_num_heads=2, kv_num_heads=2>(q0, k0, v0, ok)", opset=23),
    ),
    "fused attention that caps scores": (
        "softcap",
        layer(f"{QKV} y = Attention<is_causal=1, softcap=5.0, q_num_heads=2, kv_num_heads=2>(q0, k0, v0)", opset=23),
    ),
    "as much as a limit": (
        "slice-positions",
        layer(
            """m0 = Min(s, two0) m1 = Unsqueeze(m0, axis0) a = Slice(h, axis0, m1, axis1) t = ReduceSum(a, axis1)
            y = Add(h, t)"""
        ),
    ),
    "running sum backwards": ("reversed", layer("y = CumSum<reverse=1>(h, one)")),
    "convolution, same": ("conv-looks-ahead", layer(f"{ACROSS} c = Conv<pads=[1,1]>(x, kernel, bias) {BACK}")),
    "convolution, late": ("conv-looks-ahead", layer(f"{ACROSS} c = Conv<pads=[0,2]>(x, kernel, bias) {BACK}")),
    "padded too little": ("conv-looks-ahead", layer(f"{ACROSS} p = Pad(x, pad1) c = Conv(p, kernel, bias) {BACK}")),
    "convolution of planes, same": (
        "conv-looks-ahead",
        layer("x = Unsqueeze(h, axis1) c = Conv<pads=[1,1,1,1]>(x, plane3) y = Squeeze(c, axis1)"),
    ),
    "convolution of planes, the wrong axis padded": (
        "conv-looks-ahead",
        layer("x = Unsqueeze(h, axis1) c = Conv<pads=[0,1,1,1]>(x, plane) y = Squeeze(c, axis1)"),
    ),
    "largest of three": ("conv-over-positions", layer(f"{ACROSS} c = MaxPool<kernel_shape=[3], pads=[1,1]>(x) {BACK}")),
    "mean of the next two": (
        "conv-looks-ahead",
        layer(f"{ACROSS} p = Pad(x, pad1) c = AveragePool<kernel_shape=[3]>(p) {BACK}"),
    ),
    "convolution with strides": (
        "conv-over-positions",
        layer(f"{ACROSS} p = Pad(x, pad1) c0 = Conv<strides=[2]>(p, kernel) c = Resize(c0, , twice_long) {BACK}"),
    ),
    "the wrong end cut": (
        "slice-positions",
        layer(f"{ACROSS} c0 = Conv<pads=[2,2]>(x, kernel) c1 = Relu(c0) c = Slice(c1, axis2, far, axis2) {BACK}"),
    ),
    "moved back by one": ("slice-positions", layer("p = Pad(h, pad_t) y = Slice(p, axis1, far, axis1)")),
    "convolution, same by name": (
        "conv-over-positions",
        layer(f'{ACROSS} c = Conv<auto_pad="SAME_UPPER">(x, kernel, bias) {BACK}'),
    ),
    "GRU backwards": (
        "reversed",
        layer(f'{FIRST} r0 = GRU<hidden_size=8, direction="reverse">(x, gru, gru_r) {LAST}'),
    ),
    "GRU both ways": (
        "reversed",
        layer(
            f"""{FIRST} r0 = GRU<hidden_size=8, direction="bidirectional">(x, two_gru, two_gru)
            r1 = ReduceSum(r0, axis1) r2 = Squeeze(r1, axis1) y = Transpose<perm=[1,0,2]>(r2)"""
        ),
    ),
    "divided by S": ("size-in-data", layer(f"{LENGTH} y = Div(h, length)")),
    "scores by S": (
        "size-in-data",
        layer(f"{LENGTH} {SCORES} {OPEN} scs = Div(sc1, length) sc2 = Where(ok, scs, low) {MIXED}"),
    ),
    "rotary that S stretches": (
        "size-in-data",
        layer(
            f"""{LENGTH} {FLOAT} slow = Div(rates, length) angle = Mul(at, slow) both = Concat<axis=-1>(angle, angle)
            cos = Cos(both) sin = Sin(both) {ROTATED} y = Add(a, b)"""
        ),
    ),
    "positions from the back": (
        "size-in-data",
        layer("rest = Sub(s, pos) ok = Cast<to=1>(rest) at = Unsqueeze(ok, axis1) y = Add(h, at)"),
    ),
    "buckets without a mask": (
        "not-causal",
        layer(f"{SCORES} d = Sub(pi, pj) ab = Abs(d) bb = Gather(buckets, ab) sc2 = Add(sc1, bb) {MIXED}"),
    ),
    "scale of all": (
        "dynamic-quantisation",
        layer("q, qs, qz = DynamicQuantizeLinear(h) y = DequantizeLinear(q, qs, qz)"),
    ),
    "LSTM backwards": (
        "reversed",
        layer(f'{FIRST} r0 = LSTM<hidden_size=8, direction="reverse">(x, lstm, lstm) {LAST}'),
    ),
    "LSTM both ways": (
        "reversed",
        layer(
            f"""{FIRST} r0 = LSTM<hidden_size=8, direction="bidirectional">(x, two_lstm, two_lstm)
            r1 = ReduceSum(r0, axis1) r2 = Squeeze(r1, axis1) y = Transpose<perm=[1,0,2]>(r2)"""
        ),
    ),
    "LSTM over the batch": (
        "recurrent-over-rows",
        layer("r0 = LSTM<hidden_size=8>(h, lstm, lstm) y = Squeeze(r0, axis1)"),
    ),
    "LSTM that is told where sequences end": (
        "sequence-lengths",
        layer(f"{FIRST} r0 = LSTM<hidden_size=8>(x, lstm, lstm, , lengths) {LAST}", inputs="int32[B] lengths"),
    ),
    "what an LSTM remembers last": (
        "last-position",
        layer(
            f"""{FIRST} r0, hn, cn = LSTM<hidden_size=8>(x, lstm, lstm) l0 = Squeeze(cn, axis0)
            l = Unsqueeze(l0, axis1) y = Add(h, l)"""
        ),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_goes_on_from_every_prefix(name: str) -> None:
    assert_goes_on(GOOD[name])


@pytest.mark.parametrize("name", [name for name in GOOD if "hn" in GOOD[name].view.producer])
def test_what_is_remembered_behind_the_last_position_is_told(name: str) -> None:
    sketch = GOOD[name]
    proof = proven(sketch)
    last = [tensor for tensor in ("hn", "cn") if tensor in sketch.view.producer]
    expected = {tensor: Last("r0", tensor[0] if "LSTM" in name else "") for tensor in last}
    assert {tensor: proof.last(tensor) for tensor in last} == expected
    assert not list(wrong_suffixes(sketch, proof, ["y", *last]))


@pytest.mark.parametrize("what", ['direction="reverse"', 'direction="bidirectional"', "layout=1"])
def test_what_is_remembered_in_another_direction_is_not(what: str) -> None:
    weights = ", two_lstm" * 2 if "bi" in what else ", lstm" * 2
    sketch = layer(f"{FIRST} r0, hn, cn = LSTM<hidden_size=8, {what}>(x{weights}) y = Add(h, h)")
    proof = proven(sketch)
    for name in ("r0", "hn", "cn"):
        assert isinstance(proof.state(name), Ahead) and proof.last(name) is None


@pytest.mark.parametrize("name", AHEAD)
def test_it_is_refused(name: str) -> None:
    rule, sketch = AHEAD[name]
    state = proven(sketch).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.rule == rule, state.refusal
    assert state.refusal.node


#: The installed onnxruntime caps before it masks; 1.23 and 1.24 do not. Along the batch, rows are what is mixed. The
#: lengths that are drawn are longer than the sequence.
NOT_SHOWN = {
    "fused attention that caps scores",
    "LSTM over the batch",
    "LSTM that is told where sequences end",
}


@pytest.mark.parametrize("name", sorted(AHEAD.keys() - NOT_SHOWN))
def test_what_is_refused_looks_ahead(name: str) -> None:
    assert looks_ahead(AHEAD[name][1])
