"""Outlining: structure, fidelity, and the way back."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import TOWERS, model
from outlining import region_of

import actcache
from actcache.errors import InvalidModel
from actcache.passes.cuts import RowCut
from actcache.passes.graph.nodes import node_attribute
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import fingerprint
from actcache.passes.region import Region, convexity
from actcache.passes.rewrite.handing_over import handing_over
from actcache.passes.rewrite.inline_regions import inline_regions, is_compiled
from actcache.passes.rewrite.outline import outline, outline_in

SHARED = """
shared (float[N, 2] x) => (float[N, 2] y, float[N, 2] z)
<float[2] small = {1.5, -2.0}>
{
    a = Mul(x, small)
    two = Constant<value_float = 2.0>()
    b = Mul(a, two)
    y = Tanh(b)
    z = Add(y, small)
}
"""


def outlined(proto: onnx.ModelProto, nodes: set[int], granularity: str = "row") -> onnx.ModelProto:
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    view = GraphView(result)
    outline(view, region_of(view, nodes, granularity), "ab" * 32)
    return result


def test_the_region_stands_behind_a_lookup() -> None:
    result = outlined(model(TOWERS), {0, 1})
    assert [n.op_type for n in result.graph.node] == ["Mul", "CacheLookup", "If", "Add"]
    lookup, branching = result.graph.node[1], result.graph.node[2]
    assert list(lookup.input) == ["a"]
    assert list(lookup.output) == ["any_miss@r", "plan@r", "t@r.cached", "a@r"]
    assert list(branching.output) == ["t"]
    then = node_attribute(branching, "then_branch")
    assert then is not None
    assert [n.op_type for n in then.g.node] == ["MatMul", "Tanh", "CacheStore"]
    assert list(then.g.node[0].input) == ["a@r", "w"]
    assert [t.name for t in then.g.initializer] == ["w"]
    assert [t.name for t in result.graph.initializer] == ["two"]
    onnx.checker.check_model(result)


@pytest.mark.parametrize(
    ("shapes", "granularity", "fetched"),
    [
        (("N, 1023",), "row", False),
        (("N, 1024",), "row", True),
        (("N, 512", "N, 512"), "row", True),
        (("N, 512", "N, 511"), "row", False),
        (("N, 2, M",), "row", True),  # as large as M says
        (("8, 128",), "tensor", True),
        (("8, 127",), "tensor", False),
        (("N, 2",), "tensor", True),
    ],
)
def test_large_results_are_fetched_by_the_branch(shapes: tuple[str, ...], granularity: str, fetched: bool) -> None:
    inputs = ", ".join(f"float[{shape}] x{i}" for i, shape in enumerate(shapes))
    outputs = ", ".join(f"float[{shape}] y{i}" for i, shape in enumerate(shapes))
    nodes = " ".join(f"y{i} = Tanh(x{i})" for i in range(len(shapes)))
    plain = model(f"wide ({inputs}) => ({outputs}) {{ {nodes} }}")
    result = outlined(plain, set(range(len(shapes))), granularity)
    lookup, branching = result.graph.node
    hit = node_attribute(branching, "else_branch")
    cached = [f"y{i}@r.cached" for i in range(len(shapes))]
    assert hit is not None and [output.name for output in hit.g.output] == [f"y{i}@r.hit" for i in range(len(shapes))]
    hands_over = node_attribute(lookup, "hands_over")
    if not fetched:
        assert hands_over is None
        assert [(node.op_type, *node.input) for node in hit.g.node] == [("Identity", name) for name in cached]
        return
    (fetch,) = hit.g.node
    assert (fetch.op_type, fetch.domain, fetch.name) == ("CacheFetch", "ai.actcache", "CacheFetch r")
    assert list(fetch.input) == ["plan@r", *cached]
    assert hands_over is not None and hands_over.i == 1
    assert {attribute.name for attribute in fetch.attribute} == {"region", "fingerprint", "output_types"}
    assert inline_regions(result) and [node.op_type for node in result.graph.node] == ["Tanh"] * len(shapes)


@pytest.mark.parametrize(("granularity", "fetched"), [("row", [0, 1]), ("tensor", None)])
def test_the_store_may_copy_what_nobody_else_in_its_branch_reads(granularity: str, fetched: list[int] | None) -> None:
    plain = model("two (float[N, 2] x) => (float[N, 2] y, float[N, 2] z) { y = Tanh(x) z = Abs(y) }")
    lookup, _ = outlined(plain, {0, 1}, granularity).graph.node
    numbers = node_attribute(lookup, "store_fetches")
    assert (None if numbers is None else list(numbers.ints)) == fetched


def test_the_store_may_not_copy_what_others_in_its_branch_read() -> None:
    view = GraphView(model("two (float[N, 2] x) => (float[N, 2] y, float[N, 2] z) { y = Tanh(x) z = Abs(x) }"))
    region = region_of(view, {0, 1})
    nodes = "a = Neg(y_m) b = If(c) <then_branch = t () => (float[N, 2] d) { d = Add(a, z_k) }>"
    body = model(f"branch (float[N, 2] y_m, bool c) => (float[N, 2] b) {{ {nodes} }}").graph
    body.node[1].attribute[0].g.node[0].input[1] = "z@r.cached"
    body.node.add(op_type="CacheStore", domain="ai.actcache", input=["y@r.cached", "z@r.cached"])
    (attribute,) = handing_over(region, "@r", body, fetched=False)
    assert (attribute.name, list(attribute.ints)) == ("store_fetches", [0])


def test_shared_constants_stay_and_small_ones_are_copied() -> None:
    result = outlined(model(SHARED), {0, 1, 2, 3})
    then = node_attribute(result.graph.node[1], "then_branch")
    assert then is not None
    assert [t.name for t in then.g.initializer] == ["small@r"]
    assert [t.name for t in result.graph.initializer] == ["small"]
    assert [n.op_type for n in then.g.node] == ["Mul", "Constant", "Mul", "Tanh", "CacheStore"]


def test_tensor_granularity_captures_its_frontier() -> None:
    result = outlined(model(TOWERS), {0, 1}, "tensor")
    lookup, branching = result.graph.node[1], result.graph.node[2]
    assert list(lookup.output) == ["any_miss@r", "plan@r", "t@r.cached"]
    then = node_attribute(branching, "then_branch")
    assert then is not None and list(then.g.node[0].input) == ["a", "w"]


@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize(("text", "nodes"), [(TOWERS, {0, 1}), (TOWERS, {0, 1, 2, 3}), (SHARED, {0, 1, 2, 3})])
def test_a_compiled_model_can_be_taken_back(text: str, nodes: set[int], granularity: str) -> None:
    proto = model(text)
    proto.metadata_props.add(key="author", value="someone")
    result = outlined(proto, nodes, granularity)
    assert is_compiled(result)
    assert inline_regions(result)
    assert not is_compiled(result)
    assert [n.SerializeToString() for n in result.graph.node] == [n.SerializeToString() for n in proto.graph.node]
    assert {t.name for t in result.graph.initializer} == {t.name for t in proto.graph.initializer}
    assert list(result.opset_import) == list(proto.opset_import)
    assert list(result.metadata_props) == list(proto.metadata_props)
    assert list(result.graph.value_info) == list(proto.graph.value_info)


def test_a_region_goes_into_a_larger_one_whichever_output_it_hands_on() -> None:
    proto = model("""g (float[N, 4] x, float[N, 2] z) => (float[N, 2] y) {
        unused, b = Split<axis = 1>(x)
        c = Tanh(b)
        y = Add(c, z)
    }""")
    view = GraphView(proto)
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    outline_in(result, view, region_of(view, {0}, name="inner"), "1" * 64)
    outline_in(result, view, region_of(view, {0, 1}, name="outer"), "2" * 64)
    assert [n.op_type for n in result.graph.node] == ["CacheLookup", "If", "Add"]
    then = node_attribute(result.graph.node[1], "then_branch")
    assert then is not None
    assert [n.op_type for n in then.g.node] == ["CacheLookup", "If", "Tanh", "CacheStore"]
    onnx.checker.check_model(result)
    inline_regions(result)
    assert [n.SerializeToString() for n in result.graph.node] == [n.SerializeToString() for n in proto.graph.node]


@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize("declared", ["float[N, 4]", "float[1, 4]", "float[4]", "float"])
def test_the_author_may_have_declared_an_output_for_another_batch(declared: str, granularity: str) -> None:
    text = TOWERS.replace("(float[N, 4] y)", f"({declared} y)")
    compiled = outlined(model(text), {0, 1, 2, 3}, granularity)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(actcache.library_path())
    feed = {"a": np.full((3, 8), 0.1, np.float32), "b": np.full((3, 4), 0.2, np.float32)}
    sessions = [
        ort.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for m in (model(text), compiled)
    ]
    (expected,), (cold,) = (session.run(None, feed) for session in sessions)
    (warm,) = sessions[1].run(None, feed)
    assert (expected == cold).all() and (cold == warm).all()


def test_fixed_shapes_that_are_certain_are_stated() -> None:
    proto = model("""g (float[N, 4] x, int64[2] s) => (float[2, 3] z) <float[1, 3] small = {1, 2, 3}> {
        n = Shape(x)
        y = Expand(small, s)
        t = Expand(small, n)
        z = Add(y, t)
    }""")
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3]))
    result = outlined(proto, {0, 1}, "tensor")
    then = node_attribute(next(n for n in result.graph.node if n.op_type == "If"), "then_branch")
    assert then is not None
    stated = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in then.g.output}
    assert stated == {"n@r.stored": [2], "y@r.stored": [0, 3]}  # what `y` is said to be depends on `s`


def test_captured_names_are_renamed_inside_bodies() -> None:
    text = """g (float[N] x, bool c) => (float[N] z) {
        y = If(c) <then_branch = t () => (float[N] a) { a = Neg(x) },
                   else_branch = e () => (float[N] x2) { x2 = Abs(x) }>
        z = Sqrt(y)
    }"""
    proto = model(text)
    view = GraphView(proto)
    outline(view, Region("r", frozenset({0}), ("c", "x"), ("y",), RowCut((None, 0), (0,))), "0" * 64)
    then = node_attribute(proto.graph.node[1], "then_branch")
    assert then is not None
    inner = node_attribute(then.g.node[0], "then_branch")
    assert inner is not None and list(inner.g.node[0].input) == ["x@r"]
    inline_regions(proto)
    assert proto.graph.node[0].SerializeToString() == model(text).graph.node[0].SerializeToString()


def test_a_damaged_compiled_model_is_refused() -> None:
    result = outlined(model(TOWERS), {0, 1})
    del result.graph.node[2]
    with pytest.raises(InvalidModel, match="lost its If"):
        inline_regions(result)


def test_quantisation_annotations_move_with_their_tensors() -> None:
    proto = model(TOWERS)
    for name in ("h", "s"):
        annotation = proto.graph.quantization_annotation.add(tensor_name=name)
        annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="two")
    result = outlined(proto, {0, 1})
    then = node_attribute(result.graph.node[2], "then_branch")
    assert then is not None
    assert [a.tensor_name for a in then.g.quantization_annotation] == ["h"]
    assert [a.tensor_name for a in result.graph.quantization_annotation] == ["s"]
    inline_regions(result)
    assert {a.tensor_name for a in result.graph.quantization_annotation} == {"h", "s"}


def test_constants_that_the_optimiser_names_get_other_names_in_the_branch() -> None:
    """Onnxruntime refuses a body in which its MatMulAddFusion finds a constant of the name that it gives."""
    text = """g (float[4, 3, 8] x) => (float[4, 3, 8] y)
    <int64[2] gemm_input_shape = {12, 8}, int64[3] gemm_output_shape = {4, 3, 8},
     float[8] b = {1, 2, 3, 4, 5, 6, 7, 8}> {
        f = Reshape(x, gemm_input_shape) g = Relu(f) e = Reshape(g, gemm_output_shape) h = MatMul(e, w) y = Add(h, b)
    }"""
    proto = model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(8, dtype=np.float32), "w"))
    result = outlined(proto, {0, 1, 2, 3, 4}, "tensor")
    then = node_attribute(result.graph.node[1], "then_branch")
    assert then is not None
    assert [t.name for t in then.g.initializer] == ["gemm_input_shape@r", "gemm_output_shape@r", "b", "w"]
    options = ort.SessionOptions()
    actcache.register(options)
    x = np.ones((4, 3, 8), np.float32)
    (y,) = ort.InferenceSession(result.SerializeToString(), options).run(None, {"x": x})
    assert np.array_equal(y, x + np.arange(1, 9, dtype=np.float32))
    inline_regions(result)
    assert result.graph == proto.graph


def test_convexity_names_the_node_that_closes_the_loop() -> None:
    view = GraphView(model("g (float[N] x) => (float[N] d) { a = Neg(x) b = Abs(a) c = Tanh(b) d = Add(a, c) }"))
    assert convexity(view, frozenset({0, 1, 2})) is None
    problem = convexity(view, frozenset({0, 3}))
    assert problem is not None and problem.node == "Add → d"


def test_the_fingerprint_ignores_names_and_sees_everything_else() -> None:
    def digest(text: str, opset: int = 17) -> str:
        view = GraphView(model(text, opset=opset))
        region = region_of(view, {0, 1})
        return fingerprint(view, region.nodes, region.live_outs, {})

    first = digest(TOWERS)
    renamed = TOWERS.replace("h = ", "hidden = ").replace("Tanh(h)", "Tanh(hidden)").replace(" w", " weights")
    assert digest(renamed) == first
    assert digest(TOWERS.replace("{1, 0,", "{1.5, 0,")) != first
    assert digest(TOWERS.replace("Tanh", "Sigmoid")) != first
    assert digest(TOWERS, opset=13) != first
    assert digest(TOWERS.replace("float[N, 8] a", "double[N, 8] a").replace("float[8, 4] w", "double[8, 4] w")) != first


def test_the_fingerprint_does_not_depend_on_the_order_of_nodes() -> None:
    one = "g (float[N] a, float[N] b) => (float[N] y) { p = Neg(a) q = Abs(b) y = Sub(p, q) }"
    two = "g (float[N] b, float[N] a) => (float[N] y) { q = Abs(b) p = Neg(a) y = Sub(p, q) }"
    other = "g (float[N] a, float[N] b) => (float[N] y) { p = Neg(a) q = Abs(b) y = Sub(q, p) }"

    def digest(text: str) -> str:
        return fingerprint(GraphView(model(text)), frozenset({0, 1, 2}), ["y"], {})

    assert digest(one) == digest(two) != digest(other)
