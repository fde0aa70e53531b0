"""Fingerprints: whatever decides what a region computes is in it, and no name is."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from graphs import model

from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import attribute_digest, canonical_frontier, canonical_walk, fingerprint

#: The first is changed in one place by each of the others; all of them have other fingerprints.
REGION = """g (float[N, 2] x, float[N, 2] z) => (float[N, 2] y, float[N, 2] t)
<float[2] w = {1, 2}>
{ h = LeakyRelu<alpha = 0.5>(x) t = Mul(h, w) y = Sub(t, z) }"""
OTHERS = {
    "operator": ("Sub(", "Add("),
    "attribute": ("alpha = 0.5", "alpha = 0.25"),
    "attribute left out": ("<alpha = 0.5>", ""),
    "weight": ("{1, 2}", "{1, 3}"),
    "weight's dims": ("float[2] w", "float[1, 2] w"),
    "order of inputs": ("Sub(t, z)", "Sub(z, t)"),
    "structure": ("Sub(t, z)", "Sub(h, z)"),
    "type of the frontier": ("(float[N, 2] x, float[N, 2] z)", "(float[N, 2] x, double[N, 2] z)"),
    "which input": ("Sub(t, z)", "Sub(t, x)"),
    "domain": ("h = LeakyRelu<", "h = custom.LeakyRelu<"),
}


KINDS = onnx.AttributeProto


def attribute(name: str, kind: onnx.AttributeProto.AttributeType, **value: Any) -> onnx.AttributeProto:
    return onnx.AttributeProto(name=name, type=kind, **value)


def of(text: str, live_outs: tuple[str, ...] = ("y", "t"), opset: int = 17) -> str:
    view = GraphView(model(text, opset=opset, domains='"custom" : 1'))
    return fingerprint(view, frozenset(range(len(view.model.graph.node))), live_outs, {})


@pytest.mark.parametrize("change", OTHERS)
def test_what_decides_the_results_is_in_it(change: str) -> None:
    before, after = OTHERS[change]
    assert before in REGION
    assert of(REGION.replace(before, after)) != of(REGION)


def test_live_outs_and_their_order_are_in_it() -> None:
    assert len({of(REGION), of(REGION, ("t", "y")), of(REGION, ("y",))}) == 3


def test_the_version_of_an_operator_set_is_in_it() -> None:
    assert of(REGION, opset=16) != of(REGION)


def test_no_name_is_in_it() -> None:
    renamed = REGION
    for old, new in (("x", "in_a"), ("z", "in_b"), ("h", "inner"), ("w", "weight")):
        for before, after in ((f"{old})", f"{new})"), (f"{old},", f"{new},"), (f"{old} =", f"{new} =")):
            renamed = renamed.replace(f" {before}", f" {after}").replace(f"({before}", f"({after}")
    assert renamed != REGION and of(renamed) == of(REGION)


BODY = """g (float[N, 2] x, bool c, float[2] z) => (float[N, 2] y)
{
    y = If(c) <
        then_branch = a () => (float[N, 2] p) <float[2] w = {1, 2}> { q = Mul(x, w) r = Neg(q) p = Sub(r, q) },
        else_branch = b () => (float[N, 2] s) { s = Add(x, z) }
    >
}"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("w = {1, 2}", "w = {1, 3}"),
        ("Neg(q)", "Abs(q)"),
        ("Sub(r, q)", "Sub(q, r)"),
        ("Add(x, z)", "Add(z, x)"),
        ("float[N, 2] p)", "float[N, 2] q)"),
        ("Mul(x, w)", "Mul(z, w)"),
    ],
)
def test_bodies_are_in_it(before: str, after: str) -> None:
    assert before in BODY
    assert of(BODY.replace(before, after), ("y",)) != of(BODY, ("y",))


def test_names_inside_a_body_are_not_in_it() -> None:
    renamed = BODY.replace("q", "other").replace("r)", "rr)").replace("r =", "rr =").replace("(r,", "(rr,")
    assert renamed != BODY and of(renamed, ("y",)) == of(BODY, ("y",))


LOOP = """g (float[N, 2] x, int64 n, bool c) => (float[N, 2] y)
{ y = Loop(n, c, x) <body = b (int64 i, bool go, float[N, 2] s) => (bool on, float[N, 2] o)
  { on = Identity(go) k = Cast<to = 1>(i) o = Add(s, k) }> }"""


def test_arguments_of_a_body_are_told_apart() -> None:
    swapped = LOOP.replace("Cast<to = 1>(i)", "Cast<to = 1>(go)")
    assert of(swapped, ("y",)) != of(LOOP, ("y",))
    yielded = LOOP.replace("(bool on,", "(bool go,").replace("on = Identity(go)", "on = Not(go)")
    other = yielded.replace("(bool go,", "(bool on,")
    assert of(yielded.replace("(bool go, float[N, 2] o)", "(bool go, float[N, 2] s)"), ("y",)) != of(other, ("y",))


def test_an_output_that_is_left_out_is_told_from_one_that_is_there() -> None:
    pooled = "g (float[N, 1, 4] x) => (float[N, 1, 2] y) { y, i = MaxPool<kernel_shape = [2], strides = [2]>(x) }"
    assert of(pooled, ("y",)) != of(pooled.replace("y, i =", "y ="), ("y",))


def test_an_output_that_is_left_out_in_the_middle_is_told_from_one_that_is_there() -> None:
    text = """g (float[3, N, 2] x, float[1, 4, 2] w, float[1, 4, 1] r) => (float[3, 1, N, 1] y, float[1, N, 1] c)
    { y, h, c = LSTM<hidden_size = 1>(x, w, r) }"""
    left_out = text.replace("y, h, c", 'y, "", c')
    assert of(text, ("y", "c")) != of(left_out, ("y", "c"))


NESTED = """g (float[N, 2] x, int64 n, bool c) => (float[N, 2] y)
{ y = Loop(n, c, x) <body = outer (int64 i, bool go, float[N, 2] s) => (bool on, float[N, 2] o) {
    on = Identity(go) m = Identity(i)
    o = Loop(n, go, s) <body = inner (int64 j, bool more, float[N, 2] t) => (bool again, float[N, 2] p) {
      again = Identity(more) k = Identity(j) f = Cast<to = 1>(READ) p = Add(t, f) }> }> }"""


@pytest.mark.parametrize(("own", "around"), [("j", "i"), ("k", "m"), ("t", "s")])
def test_a_body_in_a_body_tells_its_own_values_from_those_around_it(own: str, around: str) -> None:
    """Both are at the same place of their body: the first argument, what the second node gives, the third argument."""
    assert of(NESTED.replace("READ", own), ("y",)) != of(NESTED.replace("READ", around), ("y",))


def test_doc_strings_and_the_order_of_attributes_are_not_in_it() -> None:
    proto = model("g (float[N, 2] x) => (float[N, 2] y) { y = Gemm<alpha = 0.5, beta = 2.0>(x, x) }")
    before = fingerprint(GraphView(proto), frozenset([0]), ["y"], {})
    node = proto.graph.node[0]
    attributes = list(node.attribute)[::-1]
    del node.attribute[:]
    node.attribute.extend(attributes)
    node.attribute[0].doc_string = "words"
    assert fingerprint(GraphView(proto), frozenset([0]), ["y"], {}) == before


def test_sparse_weights_are_in_it() -> None:
    def with_values(value: float, index: int) -> str:
        proto = model("g (float[N, 2] x) => (float[N, 2] y) { y = Mul(x, w) }")
        sparse = proto.graph.sparse_initializer.add()
        sparse.dims.append(2)
        sparse.values.CopyFrom(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [value]))
        sparse.indices.CopyFrom(onnx.helper.make_tensor("", onnx.TensorProto.INT64, [1], [index]))
        return fingerprint(GraphView(proto), frozenset([0]), ["y"], {})

    assert len({with_values(1.0, 0), with_values(2.0, 0), with_values(1.0, 1)}) == 3


def test_a_value_that_is_read_twice_is_met_once() -> None:
    """A node that several others wait for is walked once, and the frontier is in the order of first meeting."""
    text = """g (float[N, 2] x, float[N, 2] z) => (float[N, 2] y)
    { a = Add(x, z) b = Neg(a) c = Abs(a) d = Mul(b, a) e = Mul(c, a) f = Add(d, e) y = Sub(f, a) }"""
    view = GraphView(model(text))
    assert canonical_frontier(view, frozenset(range(7)), ["y"]) == ["x", "z"]
    assert of(text, ("y",)) != of(text.replace("Mul(c, a)", "Mul(c, b)"), ("y",))


def test_a_constant_that_is_computed_outside_is_in_it() -> None:
    text = "g (float[N] x) => (float[N] y) { c = Constant<value_float = 2.0>() k = Neg(c) e = Exp(k) y = Mul(x, e) }"

    def of_last(changed: str) -> str:
        view = GraphView(model(changed))
        return fingerprint(view, frozenset([3]), ["y"], {})

    assert len({of_last(text), of_last(text.replace("2.0", "3.0")), of_last(text.replace("Neg", "Abs"))}) == 3


def test_a_node_that_two_others_wait_for_is_walked_once() -> None:
    view = GraphView(model("g (float[N] x) => (float[N] y) { a = Abs(x) b = Neg(a) y = Sub(b, a) }"))
    assert canonical_walk(view, frozenset(range(3)), ["y"]) == (["x"], [0, 1, 2])


def test_a_computed_constant_is_told_by_the_weights_that_it_is_computed_from() -> None:
    def of_last(values: str) -> str:
        text = f"g (float[N, 2] x) => (float[N, 2] y) <float[2] w = {values}> {{ k = Neg(w) e = Exp(k) y = Mul(x, e) }}"
        return fingerprint(GraphView(model(text)), frozenset([2]), ["y"], {})

    assert of_last("{1, 2}") != of_last("{1, 3}")


def test_an_attribute_alone_has_a_digest() -> None:
    view = GraphView(model("g (float[N] x) => (float[N] y) { y = Elu<alpha = 0.5>(x) }"))
    (attribute,) = view.model.graph.node[0].attribute
    before = attribute_digest(view, attribute, {}, {})
    attribute.f = 0.25
    assert attribute_digest(view, attribute, {}, {}) != before


def tensor(*values: float) -> onnx.TensorProto:
    return onnx.helper.make_tensor("t", onnx.TensorProto.FLOAT, [len(values)], values)


def body(kind: int = onnx.TensorProto.FLOAT, op: str = "Neg") -> onnx.GraphProto:
    node = onnx.helper.make_node(op, ["a"], ["b"])
    values = [onnx.helper.make_tensor_value_info(name, kind, [2]) for name in "ab"]
    return onnx.helper.make_graph([node], "body", values[:1], values[1:])


def sparse(value: float) -> onnx.SparseTensorProto:
    return onnx.helper.make_sparse_tensor(tensor(value), onnx.helper.make_tensor("i", 7, [1], [0]), [3])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            attribute("v", KINDS.TENSOR, t=tensor(1)),
            attribute("v", KINDS.TENSOR, t=tensor(2)),
        ),
        (
            attribute("v", KINDS.TENSOR, t=tensor(1)),
            attribute("w", KINDS.TENSOR, t=tensor(1)),
        ),
        (
            attribute("v", KINDS.TENSORS, tensors=[tensor(1), tensor(2)]),
            attribute("v", KINDS.TENSORS, tensors=[tensor(1), tensor(3)]),
        ),
        (
            attribute("v", KINDS.SPARSE_TENSOR, sparse_tensor=sparse(1)),
            attribute("v", KINDS.SPARSE_TENSOR, sparse_tensor=sparse(2)),
        ),
        (
            attribute("v", KINDS.GRAPH, g=body()),
            attribute("v", KINDS.GRAPH, g=body(op="Abs")),
        ),
        (
            attribute("v", KINDS.GRAPH, g=body()),
            attribute("v", KINDS.GRAPH, g=body(kind=11)),
        ),
        (
            attribute("v", KINDS.GRAPHS, graphs=[body(), body()]),
            attribute("v", KINDS.GRAPHS, graphs=[body(), body(op="Abs")]),
        ),
    ],
    ids="tensor name tensors sparse body argument bodies".split(),
)
def test_attributes_of_every_kind_are_told_apart(one: onnx.AttributeProto, other: onnx.AttributeProto) -> None:
    view = GraphView(model("g (float[N] x) => (float[N] y) { y = Neg(x) }"))
    unnamed = onnx.AttributeProto()
    unnamed.CopyFrom(one)
    for tensor_of in [unnamed.t, *unnamed.tensors]:
        tensor_of.name, tensor_of.doc_string = "", ""
    digests = [attribute_digest(view, attribute, {}, {}) for attribute in (one, other, unnamed)]
    assert digests[0] != digests[1] and digests[0] == digests[2]
