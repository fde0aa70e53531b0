"""Scan along the positions: it goes on from every prefix, whatever its body computes. What looks ahead is refused."""

from __future__ import annotations

import onnx.parser
import pytest
from causal_checks import assert_goes_on

from actcache.passes.causal import Ahead, prove_causal
from actcache.passes.causal.remembered import Last
from actcache.passes.graph.view import GraphView
from tests.conformance.causal.scans import ALONG, AVERAGE, GOOD, HIDDEN, STEP, layer
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import looks_ahead, proven, wrong_suffixes

#: What tells what is carried behind the last position: an output, or what is kept under a name.
REMEMBERED = {
    "moving average": {"sn": Last("y", "")},
    "what it carries is not handed out": {"sn": Last("y", "state0")},
    "one of two states is handed out": {"sn": Last("y0", "state0"), "cn": Last("y0", "state1")},
    "one of two states is handed out, positions first": {"sn": Last("y0", "state0"), "cn": Last("y0", "state1")},
    "mean so far": {"sn": Last("y", "state0"), "kn": Last("y", "state1")},
}
AHEAD: dict[str, tuple[str, Sketch]] = {
    "backwards": ("reversed", layer(f"sn, y = Scan(z, h) <{ALONG}, scan_input_directions = [1], {HIDDEN}>")),
    "handed out backwards": (
        "reversed",
        layer(f"sn, y = Scan(z, h) <{ALONG}, scan_output_directions = [1], {HIDDEN}>"),
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
            f"""sn, y = Scan(z, h) <{ALONG}, {STEP}
            {{ all = ReduceSum<keepdims = 0>(h, axis1) a = Add(all, x) is = Add(was, a) out = Tanh(is) }}>"""
        ),
    ),
    "its body reads how many there are": (
        "captured-positions",
        layer(
            f"""length = Cast<to=1>(s)
            sn, y = Scan(z, h) <{ALONG}, {STEP} {{ is = Add(was, x) out = Div(is, length) }}>"""
        ),
    ),
    "it begins with how many there are": (
        "begins-with-positions",
        layer(f"length = Cast<to=1>(s) far = Add(z, length) sn, y = Scan(far, h) <{ALONG}, {AVERAGE}>"),
    ),
    "its body draws random numbers": (
        "not-followed",
        layer(
            f"""sn, y = Scan(z, h) <{ALONG}, {STEP}
            {{ is = Add(was, x) a = RandomNormalLike(x) out = Add(a, is) }}>"""
        ),
    ),
    "what it carries last": (
        "last-position",
        layer(f"sn, y0 = Scan(z, h) <{ALONG}, {HIDDEN}> l = Unsqueeze(sn, axis1) y = Add(y0, l)"),
    ),
    "nothing handed out at positions": (
        "last-position",
        layer(
            """sn = Scan(z, h) <num_scan_inputs = 1, scan_input_axes = [1], body = step
            (float[B, 8] was, float[B, 8] x) => (float[B, 8] is) { is = Add(was, x) }>
            l = Unsqueeze(sn, axis1) y = Add(h, l)"""
        ),
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
    assert_goes_on(GOOD[name])


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
