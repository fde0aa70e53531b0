"""Scan along the positions: small models that go on from every prefix."""

from __future__ import annotations

import numpy as np

from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, WIDTH, Sketch, build

_ZEROS = "rows = Gather<axis=0>(sh, axis0) z0 = Concat<axis=0>(rows, eight) z = ConstantOfShape(z0)"
ALONG = "num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1]"
#: Carries was [B, 8], reads x [B, 8]; is is what it carries on, out what it gives.
STEP = "body = step (float[B, 8] was, float[B, 8] x) => (float[B, 8] is, float[B, 8] out)"
AVERAGE = f"{STEP} {{ less = Mul(was, keep) is = Add(less, x) out = Identity(is) }}"
#: What it gives does not tell what it carries.
HIDDEN = f"{STEP} {{ less = Mul(was, keep) is = Add(less, x) out = Tanh(is) }}"
#: As in Mamba: how much is forgotten, taken in and read depends on the position. The state is [B, 8, 3].
_SELECTIVE = """begin0 = Concat<axis=0>(rows, eight, three) begin = ConstantOfShape(begin0)
    rate0 = MatMul(h, wq) rate = Softplus(rate0) taken = MatMul(h, w3) read = MatMul(h, w4)
    sn, y0 = Scan(begin, h, rate, taken, read) <num_scan_inputs = 4, scan_input_axes = [1, 1, 1, 1],
    scan_output_axes = [1],
    body = step (float[B, 8, 3] was, float[B, 8] x, float[B, 8] dt, float[B, 3] b, float[B, 3] c) =>
        (float[B, 8, 3] is, float[B, 8] out)
    { dt1 = Unsqueeze(dt, axis2) decay0 = Mul(dt1, rates) decay = Exp(decay0) less = Mul(was, decay)
      x1 = Unsqueeze(x, axis2) b1 = Unsqueeze(b, axis1) more0 = Mul(x1, b1) more = Mul(more0, dt1)
      is = Add(less, more) c1 = Unsqueeze(c, axis1) seen = Mul(is, c1) out = ReduceSum<keepdims = 0>(seen, axis2) }>
    y = Add(y0, h)"""


def two_states(operands: str, axis: int) -> str:
    """A cell of which one of two states is handed out."""
    return f"""sn, cn, y0 = Scan(z, z, {operands}) <num_scan_inputs = 2, scan_input_axes = [{axis}, {axis}],
        scan_output_axes = [{axis}],
        body = step (float[B, 8] was, float[B, 8] cell, float[B, 8] gate, float[B, 8] x) =>
            (float[B, 8] is, float[B, 8] next, float[B, 8] out)
        {{ m = MatMul(was, wv) open0 = Add(gate, m) open = Sigmoid(open0) new = Tanh(x) less = Mul(open, cell)
           next = Add(less, new) is = Tanh(next) out = Identity(is) }}>"""


def layer(nodes: str, *, inputs: str = "", opset: int = 17) -> Sketch:
    """A graph from h [B, S, 8] to y."""
    random = np.random.default_rng(5)
    weights = {name: random.standard_normal((WIDTH, 3)).astype(np.float32) for name in ("w3", "w4", "rates")}
    weights["rates"] = -np.abs(weights["rates"])
    weights |= {"keep": np.array(0.7, np.float32), "eight": np.array([WIDTH]), "three": np.array([3])}
    weights |= {"none": np.array(0, np.float32), "unit": np.array(1, np.float32)}
    weights |= {"twice": np.array(2), "go": np.array(True)}
    named = ", ".join(part for part in ("int64[B, S] ids", inputs) if part)
    return build(named, f"{POSITIONS} {EMBEDDED} {_ZEROS} {nodes}", {"ids": 1}, weights=weights, opset=opset)


_GATES = "f0 = MatMul(h, wq) g0 = MatMul(h, wk)"
_GATES_FIRST = f"{_GATES} f1 = Transpose<perm=[1,0,2]>(f0) g1 = Transpose<perm=[1,0,2]>(g0)"
GOOD: dict[str, Sketch] = {
    "moving average": layer(f"sn, y = Scan(z, h) <{ALONG}, {AVERAGE}>"),
    "largest so far, positions first": layer(
        f"""first = Transpose<perm=[1,0,2]>(h) sn, y0 = Scan(z, first) <num_scan_inputs = 1,
        {STEP} {{ is = Max(was, x) out = Identity(is) }}> y = Transpose<perm=[1,0,2]>(y0)"""
    ),
    "what it carries is not handed out": layer(f"sn, y = Scan(z, h) <{ALONG}, {HIDDEN}>"),
    "selective state space": layer(_SELECTIVE),
    "it begins with what the caller gives": layer(f"sn, y = Scan(s0, h) <{ALONG}, {HIDDEN}>", inputs="float[B, 8] s0"),
    "a moving average that the caller begins": layer(
        f"sn, y = Scan(s0, h) <{ALONG}, {AVERAGE}>", inputs="float[B, 8] s0"
    ),
    "one of two states is handed out": layer(f"{_GATES} {two_states('f0, g0', 1)} y = Add(y0, h)"),
    "one of two states is handed out, positions first": layer(
        f"{_GATES_FIRST} {two_states('f1, g1', 0)} y = Transpose<perm=[1,0,2]>(y0)"
    ),
    "outputs along other axes": layer(
        """sn, y0, y1 = Scan(z, h) <num_scan_inputs = 1, scan_input_axes = [-2], scan_output_axes = [1, -1],
        body = step (float[B, 8] was, float[B, 8] x) => (float[B, 8] is, float[B, 8] out, float[B, 8] more)
        { less = Mul(was, keep) is = Add(less, x) out = Tanh(is) more = Mul(is, is) }>
        y2 = Transpose<perm=[0,2,1]>(y1) y = Sub(y0, y2)""",
        opset=21,
    ),
    "mean so far": layer(
        f"""sn, kn, y = Scan(z, none, h) <{ALONG}, body = step (float[B, 8] was, float count, float[B, 8] x) =>
        (float[B, 8] is, float more, float[B, 8] out)
        {{ is = Add(was, x) more = Add(count, unit) out = Div(is, more) }}>"""
    ),
    "nothing carried": layer(
        f"y = Scan(h) <{ALONG}, body = step (float[B, 8] x) => (float[B, 8] out) {{ out = Tanh(x) }}>"
    ),
    "position numbers beside": layer(
        """numbers = Cast<to=1>(pos) sn, y = Scan(z, numbers, h) <num_scan_inputs = 2, scan_input_axes = [0, 1],
        scan_output_axes = [1], body = step (float[B, 8] was, float number, float[B, 8] x) =>
        (float[B, 8] is, float[B, 8] out) { a = Mul(x, number) is = Add(was, a) out = Tanh(is) }>"""
    ),
    "weights computed around it, a loop inside": layer(
        f"""w = Transpose(wq) sn, y = Scan(z, h) <{ALONG}, {STEP}
        {{ m = MatMul(was, w) a = Add(m, x) is = Loop(twice, go, a) <body = again (int64 i, bool on, float[B, 8] k) =>
             (bool still, float[B, 8] l) {{ still = Identity(on) l = Tanh(k) }}> out = Neg(is) }}>"""
    ),
    "two of them, and a product": layer(
        f"""sn, y0 = Scan(z, h) <{ALONG}, {HIDDEN}> y1 = MatMul(y0, wq) y2 = Relu(y1)
        rn, y = Scan(z, y2) <{ALONG}, {HIDDEN}>"""
    ),
    "a moving average of what another hides": layer(
        f"sn, y0 = Scan(z, h) <{ALONG}, {HIDDEN}> rn, y = Scan(z, y0) <{ALONG}, {AVERAGE}>"
    ),
    "then attention": layer(
        f"""sn, y0 = Scan(z, h) <{ALONG}, {HIDDEN}>
        y = Attention<is_causal=1, q_num_heads=2, kv_num_heads=2>(y0, y0, h)""",
        opset=23,
    ),
}
