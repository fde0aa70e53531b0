"""Scan along the positions: it goes on from every prefix, whatever its body computes. What looks ahead is refused."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from actcache.passes.causal import Ahead, Causal, prove_causal
from actcache.passes.causal.remembered import Last
from actcache.passes.graph.view import GraphView
from tests.conformance.causal.sketches import EMBEDDED, POSITIONS, WIDTH, Sketch, build
from tests.conformance.causal.truth import looks_ahead, proven, wrong_suffixes, wrongly_proven

_ZEROS = "rows = Gather<axis=0>(sh, axis0) z0 = Concat<axis=0>(rows, eight) z = ConstantOfShape(z0)"
_ALONG = "num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1]"
#: Carries was [B, 8], reads x [B, 8]; is is what it carries on, out what it gives.
_STEP = "body = step (float[B, 8] was, float[B, 8] x) => (float[B, 8] is, float[B, 8] out)"
_AVERAGE = f"{_STEP} {{ less = Mul(was, keep) is = Add(less, x) out = Identity(is) }}"
#: What it gives does not tell what it carries.
_HIDDEN = f"{_STEP} {{ less = Mul(was, keep) is = Add(less, x) out = Tanh(is) }}"
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
    "moving average": layer(f"sn, y = Scan(z, h) <{_ALONG}, {_AVERAGE}>"),
    "largest so far, positions first": layer(
        f"""first = Transpose<perm=[1,0,2]>(h) sn, y0 = Scan(z, first) <num_scan_inputs = 1,
        {_STEP} {{ is = Max(was, x) out = Identity(is) }}> y = Transpose<perm=[1,0,2]>(y0)"""
    ),
    "what it carries is not handed out": layer(f"sn, y = Scan(z, h) <{_ALONG}, {_HIDDEN}>"),
    "selective state space": layer(_SELECTIVE),
    "it begins with what the caller gives": layer(
        f"sn, y = Scan(s0, h) <{_ALONG}, {_HIDDEN}>", inputs="float[B, 8] s0"
    ),
    "a moving average that the caller begins": layer(
        f"sn, y = Scan(s0, h) <{_ALONG}, {_AVERAGE}>", inputs="float[B, 8] s0"
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
        f"""sn, kn, y = Scan(z, none, h) <{_ALONG}, body = step (float[B, 8] was, float count, float[B, 8] x) =>
        (float[B, 8] is, float more, float[B, 8] out)
        {{ is = Add(was, x) more = Add(count, unit) out = Div(is, more) }}>"""
    ),
    "nothing carried": layer(
        f"y = Scan(h) <{_ALONG}, body = step (float[B, 8] x) => (float[B, 8] out) {{ out = Tanh(x) }}>"
    ),
    "position numbers beside": layer(
        """numbers = Cast<to=1>(pos) sn, y = Scan(z, numbers, h) <num_scan_inputs = 2, scan_input_axes = [0, 1],
        scan_output_axes = [1], body = step (float[B, 8] was, float number, float[B, 8] x) =>
        (float[B, 8] is, float[B, 8] out) { a = Mul(x, number) is = Add(was, a) out = Tanh(is) }>"""
    ),
    "weights computed around it, a loop inside": layer(
        f"""w = Transpose(wq) sn, y = Scan(z, h) <{_ALONG}, {_STEP}
        {{ m = MatMul(was, w) a = Add(m, x) is = Loop(twice, go, a) <body = again (int64 i, bool on, float[B, 8] k) =>
             (bool still, float[B, 8] l) {{ still = Identity(on) l = Tanh(k) }}> out = Neg(is) }}>"""
    ),
    "two of them, and a product": layer(
        f"""sn, y0 = Scan(z, h) <{_ALONG}, {_HIDDEN}> y1 = MatMul(y0, wq) y2 = Relu(y1)
        rn, y = Scan(z, y2) <{_ALONG}, {_HIDDEN}>"""
    ),
    "a moving average of what another hides": layer(
        f"sn, y0 = Scan(z, h) <{_ALONG}, {_HIDDEN}> rn, y = Scan(z, y0) <{_ALONG}, {_AVERAGE}>"
    ),
    "then attention": layer(
        f"""sn, y0 = Scan(z, h) <{_ALONG}, {_HIDDEN}>
        y = Attention<is_causal=1, q_num_heads=2, kv_num_heads=2>(y0, y0, h)""",
        opset=23,
    ),
}
#: What tells what is carried behind the last position: an output, or what is kept under a name.
REMEMBERED = {
    "moving average": {"sn": Last("y", "")},
    "what it carries is not handed out": {"sn": Last("y", "state0")},
    "one of two states is handed out": {"sn": Last("y0", "state0"), "cn": Last("y0", "state1")},
    "one of two states is handed out, positions first": {"sn": Last("y0", "state0"), "cn": Last("y0", "state1")},
    "mean so far": {"sn": Last("y", "state0"), "kn": Last("y", "state1")},
}
AHEAD: dict[str, tuple[str, Sketch]] = {
    "backwards": ("reversed", layer(f"sn, y = Scan(z, h) <{_ALONG}, scan_input_directions = [1], {_HIDDEN}>")),
    "handed out backwards": (
        "reversed",
        layer(f"sn, y = Scan(z, h) <{_ALONG}, scan_output_directions = [1], {_HIDDEN}>"),
    ),
    "one of two inputs backwards": (
        "reversed",
        layer(
            """sn, y = Scan(z, h, h) <num_scan_inputs = 2, scan_input_axes = [1, 1], scan_output_axes = [1],
            scan_input_directions = [0, 1], body = step (float[B, 8] was, float[B, 8] x, float[B, 8] later) =>
            (float[B, 8] is, float[B, 8] out) { a = Add(x, later) is = Add(was, a) out = Tanh(is) }>"""
        ),
    ),
    "over the features": (
        "recurrent-over-rows",
        layer(
            """y = Scan(h) <num_scan_inputs = 1, scan_input_axes = [2], scan_output_axes = [2],
            body = step (float[B, S] x) => (float[B, S] out) { out = Softmax<axis = 1>(x) }>"""
        ),
    ),
    "over the batch": (
        "recurrent-over-rows",
        layer(
            """y = Scan(h) <num_scan_inputs = 1, body = step (float[S, 8] x) => (float[S, 8] out)
            { out = Softmax<axis = 0>(x) }>"""
        ),
    ),
    "its body reads all positions": (
        "captured-positions",
        layer(
            f"""sn, y = Scan(z, h) <{_ALONG}, {_STEP}
            {{ all = ReduceSum<keepdims = 0>(h, axis1) a = Add(all, x) is = Add(was, a) out = Tanh(is) }}>"""
        ),
    ),
    "its body reads how many there are": (
        "captured-positions",
        layer(
            f"""length = Cast<to=1>(s)
            sn, y = Scan(z, h) <{_ALONG}, {_STEP} {{ is = Add(was, x) out = Div(is, length) }}>"""
        ),
    ),
    "it begins with how many there are": (
        "begins-with-positions",
        layer(f"length = Cast<to=1>(s) far = Add(z, length) sn, y = Scan(far, h) <{_ALONG}, {_AVERAGE}>"),
    ),
    "its body draws random numbers": (
        "not-followed",
        layer(
            f"""sn, y = Scan(z, h) <{_ALONG}, {_STEP}
            {{ is = Add(was, x) a = RandomNormalLike(x) out = Add(a, is) }}>"""
        ),
    ),
    "what it carries last": (
        "last-position",
        layer(f"sn, y0 = Scan(z, h) <{_ALONG}, {_HIDDEN}> l = Unsqueeze(sn, axis1) y = Add(y0, l)"),
    ),
    "a loop that counts positions down": (
        "no-causal-rule",
        layer(
            """sn, y0 = Loop(s, go, z) <body = step (int64 i, bool on, float[B, 8] was) =>
            (bool still, float[B, 8] is, float[B, 8] out)
            { still = Identity(on) at0 = Sub(s, i) at = Sub(at0, one) x = Gather<axis=1>(h, at) is = Add(was, x)
              out = Identity(is) }> y = Transpose<perm=[1,0,2]>(y0)"""
        ),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_goes_on_from_every_prefix(name: str) -> None:
    sketch = GOOD[name]
    proof = proven(sketch)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert proof.position_axis("y") == 1
    assert not list(wrongly_proven(sketch, proof))
    assert not list(wrong_suffixes(sketch, proof, ["y"]))


@pytest.mark.parametrize("name", REMEMBERED)
def test_what_is_carried_behind_the_last_position_is_told(name: str) -> None:
    sketch, last = GOOD[name], REMEMBERED[name]
    proof = proven(sketch)
    assert {tensor: proof.last(tensor) for tensor in last} == last
    shown = [found.of for found in last.values() if not found.what]
    assert not list(wrong_suffixes(sketch, proof, list(dict.fromkeys(["y", *shown, *last]))))


@pytest.mark.parametrize("name", AHEAD)
def test_it_is_refused(name: str) -> None:
    rule, sketch = AHEAD[name]
    state = proven(sketch).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.rule == rule, state.refusal
    assert state.refusal.node


@pytest.mark.parametrize("name", AHEAD)
def test_what_is_refused_looks_ahead(name: str) -> None:
    assert looks_ahead(AHEAD[name][1])


def test_a_loop_says_what_to_do() -> None:
    refusal = proven(AHEAD["a loop that counts positions down"][1]).refusal("y0")
    assert refusal is not None and "write it as a Scan" in refusal.reason


def test_it_is_refused_before_opset_9() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 4, opset_import: ["": 8]> g (float[B, S, 8] x, float[B, 8] z) => (float[B, S, 8] y)
        { sn, y = Scan(, z, x) <num_scan_inputs = 1,
          body = step (float[8] was, float[8] v) => (float[8] is, float[8] out)
          { is = Add(was, v) out = Identity(is) }> }"""
    )
    refusal = prove_causal(GraphView(model), {"x": 1}).refusal("y")
    assert refusal is not None and refusal.rule == "not-followed"
