"""Purity, cones and fingerprints see through bodies, at any depth, and through local functions."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest
from graphs import model, view

from actcache.model.model_file import load_model
from actcache.passes.graph.cones import cones
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_frontier, fingerprint
from actcache.passes.purity import impure_nodes

#: A Loop in a branch of an If; `k`, `x` and `w` are captured by the inner body.
NESTED = """
nested (float[N] x, bool c, int64 times) => (float[N] y)
<float[1] w = {2.5}, bool go = {1}>
{
    k = Neg(x)
    y = If (c) <
        then_branch = outer () => (float[N] p)
        {
            p = Loop(times, go, k) <body = inner (int64 i, bool on, float[N] s) => (bool off, float[N] t)
                <float[1] b = {0.5}> { off = Identity(on) m = Mul(s, w) n = Add(m, b) o = Add(n, x) t = %s }>
        },
        else_branch = other () => (float[N] q) { q = Abs(k) }
    >
}
"""

SCANNED = """
scanned (float[N, 4] x, float[4] h) => (float[4] y, float[N, 4] z)
{ y, z = Scan(h, x) <num_scan_inputs = 1, body = step (float[4] s, float[4] v) => (float[4] t, float[4] u)
    { t = Add(s, v) u = %s }> }
"""


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ("Tanh(o)", None),
        ("RandomNormalLike(o)", "impure-random"),
        ("Bernoulli(o)", "impure-random"),
        ("custom.Thing(o)", "impure-unknown-domain"),
        ("NoSuchOperator(o)", "impure-unknown-op"),
        ("Dropout(o, b, on)", "impure-training"),
        ("Dropout(o)", None),
        ("Dropout(o, b, go)", "impure-training"),
        ("SequenceAt(o, i)", "non-tensor"),
    ],
)
def test_a_body_in_a_body(part: str, rule: str | None) -> None:
    found = impure_nodes(view(NESTED % part, domains='"custom" : 1'))
    assert [refusal.rule for refusal in found.values()] == ([rule] if rule else [])
    assert all("a body of If is not pure: a body of Loop is not pure" in refusal.reason for refusal in found.values())


def test_dropout_that_a_captured_constant_keeps_from_training() -> None:
    text = (NESTED % "Dropout(o, b, go)").replace("bool go = {1}", "bool go = {0}")
    assert impure_nodes(view(text)) == {}
    hidden = text.replace("bool on, ", "bool go, ").replace("Identity(on)", "Identity(go)")
    assert [r.rule for r in impure_nodes(view(hidden)).values()] == ["impure-training"]


def test_batch_normalisation_that_trains_in_a_body() -> None:
    text = SCANNED % "BatchNormalization<training_mode = 1>(v, s, s, s, s)"
    assert [r.rule for r in impure_nodes(view(text)).values()] == ["impure-training"]
    assert impure_nodes(view(SCANNED % "Tanh(v)")) == {}


@pytest.mark.parametrize(
    ("operator", "opset", "trains"),
    [
        ("BatchNormalization(x, s, b, m, v)", 6, True),
        ("BatchNormalization<is_test = 1>(x, s, b, m, v)", 6, False),
        ("BatchNormalization<is_test = 0>(x, s, b, m, v)", 6, True),
        ("BatchNormalization(x, s, b, m, v)", 9, False),
        ("BatchNormalization<training_mode = 1>(x, s, b, m, v)", 15, True),
        ("BatchNormalization<training_mode = 0>(x, s, b, m, v)", 15, False),
        ("Dropout(x)", 6, True),
        ("Dropout<is_test = 1>(x)", 6, False),
        ("Dropout(x)", 7, False),
        ("Dropout(x)", 10, False),
        ("Dropout(x, r)", 13, False),
        ("Dropout(x, r, t)", 13, True),
        ("Dropout(x, r, off)", 13, False),
    ],
)
def test_every_encoding_of_training(operator: str, opset: int, trains: bool) -> None:
    """`t` is a graph input: the host may train or not."""
    text = f"""g (float[N, 2] x, bool t) => (float[N, 2] y)
    <float[2] s = {{1, 1}}, float[2] b = {{0, 0}}, float[2] m = {{0, 0}}, float[2] v = {{1, 1}}, float r = {{0.5}},
     bool off = {{0}}> {{ y = {operator} }}"""
    found = impure_nodes(view(text, opset=opset))
    assert [refusal.rule for refusal in found.values()] == (["impure-training"] if trains else [])


def test_a_flag_that_the_host_may_override_is_no_constant() -> None:
    text = "g (float[N] x) => (float[N] y) <float r = {0.5}, bool off = {0}> { y = Dropout(x, r, off) }"
    proto = model(text)
    assert impure_nodes(GraphView(proto)) == {}
    proto.graph.input.append(onnx.helper.make_tensor_value_info("off", onnx.TensorProto.BOOL, []))
    assert [r.rule for r in impure_nodes(GraphView(proto)).values()] == ["impure-training"]


def test_the_user_can_vouch_for_an_operator_in_a_body() -> None:
    made = view(NESTED % "custom.Thing(o)", domains='"custom" : 1')
    assert impure_nodes(made, ["custom:Thing"]) == {}
    bodies = view(NESTED % "RandomNormalLike(o)")
    assert [r.rule for r in impure_nodes(bodies, [":If"]).values()] == ["impure-random"]


def test_bodies_of_other_operators_count() -> None:
    text = """g (int32[N, 2] x, int32[1] n) => (int32[N, 2] y)
    { y = com.microsoft.BeamSearch(x, n) <decoder = d (float[2] i) => (float[2] o) { o = %s }> }"""
    domains = '"com.microsoft" : 1'
    assert impure_nodes(view(text % "Tanh(i)", domains=domains)) == {}
    found = impure_nodes(view(text % "RandomNormalLike(i)", domains=domains))
    assert [refusal.rule for refusal in found.values()] == ["impure-random"]


def test_captured_values_are_in_cone_and_frontier() -> None:
    made = view(NESTED % "Tanh(o)")
    assert cones(made)["y"] == {"x", "c", "times"}
    assert canonical_frontier(made, frozenset({1}), ["y"]) == ["c", "times", "k", "x"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Tanh(o)", "Sigmoid(o)"),
        ("<float[1] b = {0.5}>", "<float[1] b = {0.25}>"),
        ("float[1] w = {2.5}", "float[1] w = {2.25}"),
        ("m = Mul(s, w)", "m = Mul(s, x)"),
        ("n = Add(m, b) o = Add(n, x)", "n = Add(m, x) o = Add(n, b)"),
        ("Loop(times, go, k)", "Loop(times, go, x)"),
        ("p = Loop(times", "p = Loop("),
        ("q = Abs(k)", "q = Neg(k)"),
        ("int64 i, bool on", "int64 i2, bool on"),
        ("float[N] s)", "float[N] s2)"),
    ],
)
def test_fingerprint_covers_bodies_but_not_names(old: str, new: str) -> None:
    text = NESTED % "Tanh(o)"
    changed = text.replace(old, new)
    if old.endswith("s)"):
        changed = changed.replace("Mul(s,", "Mul(s2,")
    assert changed != text
    digests = [fingerprint(view(t), frozenset({0, 1}), ["y"], {}) for t in (text, changed)]
    assert (digests[0] == digests[1]) == (new in ("int64 i2, bool on", "float[N] s2)"))


FUNCTIONS = """
<ir_version: 8, opset_import: ["" : 17, "mine" : 1]>
agraph (float[N, 4] x, bool c) => (float[N, 4] y)
{
    a = mine.Outer(x)
    y = If (c) <
        then_branch = one () => (float[N, 4] p) { p = mine.Inner(a) },
        else_branch = two () => (float[N, 4] q) { q = Identity(a) }
    >
}
<domain: "mine", opset_import: ["" : 17, "mine" : 1]>
Outer (u) => (v) { t = mine.Inner(u) v = Neg(t) }
<domain: "mine", opset_import: ["" : 17]>
Inner (s) => (r) { r = %s }
"""


@pytest.mark.parametrize(("part", "rules"), [("Tanh(s)", set()), ("RandomNormalLike(s)", {"impure-random"})])
def test_functions_are_what_they_call(part: str, rules: set[str], tmp_path: Path) -> None:
    """A function calls another, in the main graph and in a body; the compiler inlines them all."""
    path = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(FUNCTIONS % part), path)
    loaded = load_model(path, tmp_path)
    found = impure_nodes(GraphView(loaded.proto))
    assert {refusal.rule for refusal in found.values()} == rules
    assert len(found) == 2 * len(rules) and not loaded.proto.functions
