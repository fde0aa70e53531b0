"""Local functions: seen through by the analyses, and still functions in what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import onnx.parser
import onnxruntime as ort
import pytest

import actcache
from actcache.passes.cuts import WholeCut
from actcache.passes.graph.nodes import node_attribute
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_frontier, fingerprint
from actcache.passes.purity import impure_nodes
from actcache.passes.region import Region, live_outs, with_private_constants
from actcache.passes.rewrite.inline_regions import inline_regions
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.passes.rewrite.outline import outline_in

#: ``block`` calls ``scaled``, has an attribute with a default, a constant, and a name that the main graph has, too.
FUNCTIONS = """
<domain: "local", opset_import: ["" : 17, "local" : 1]>
block <alpha> (v, unused) => (o, side) {
    k = Constant<value_float = 0.5>()
    h = local.scaled<by: float = @alpha>(v)
    o = Tanh(h)
    side = Mul(o, k)
}
<domain: "local", opset_import: ["" : 17]>
scaled <by> (v) => (o) { k = Constant<value_float: float = @by>() o = Mul(v, k) }
<domain: "local", opset_import: ["" : 17]>
never (v) => (o) { o = Neg(v) }
"""
GRAPH = """
g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) {
    h = Abs(x)
    a, b = local.block<alpha = 2.0>(h, x)
    y = Exp(a)
    z, w = local.block<alpha = 3.0>(b, x)
}
"""


def parsed(graph: str = GRAPH, functions: str = FUNCTIONS, opset: int = 17) -> onnx.ModelProto:
    imports = f'"" : {opset}, "local" : 1'
    return onnx.parser.parse_model(f"<ir_version: 10, opset_import: [{imports}]> {graph} {functions}")


def inlined_view(proto: onnx.ModelProto) -> tuple[LocalFunctions, GraphView]:
    functions = LocalFunctions(proto)
    return functions, GraphView(functions.inlined)


def region_of(view: GraphView, operators: str, name: str = "r") -> Region:
    """The region of granularity ``tensor`` that holds these nodes, given by their outputs."""
    chosen = with_private_constants(view, frozenset(view.producer[output] for output in operators.split()))
    outs = live_outs(view, chosen)
    frontier = tuple(canonical_frontier(view, chosen, outs))
    return Region(name, chosen, frontier, tuple(outs), WholeCut.of(len(frontier), len(outs)))


def compiled(proto: onnx.ModelProto, *regions: str) -> onnx.ModelProto:
    functions, view = inlined_view(proto)
    found = [region_of(view, outputs, f"r{i}") for i, outputs in enumerate(regions)]
    written, moved = functions.with_calls(view, found)
    result = onnx.ModelProto()
    result.CopyFrom(written.model)
    for old, new in zip(found, moved, strict=True):
        outline_in(result, written, new, fingerprint(view, old.nodes, old.live_outs, {}))
    onnx.checker.check_model(result, full_check=True)
    return result


def operators(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def branch(proto: onnx.ModelProto) -> list[str]:
    node = next(n for n in proto.graph.node if n.op_type == "If")
    then = node_attribute(node, "then_branch")
    assert then is not None
    return operators(then.g)


def same_results(one: onnx.ModelProto, two: onnx.ModelProto) -> None:
    feed = {v.name: np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32) for v in one.graph.input}
    options = ort.SessionOptions()
    actcache.register(options)
    expected = ort.InferenceSession(one.SerializeToString()).run(None, feed)
    session = ort.InferenceSession(two.SerializeToString(), options)
    for _ in range(2):
        for mine, original in zip(session.run(None, feed), expected, strict=True):
            assert np.array_equal(mine, original)


def test_the_view_has_the_bodies_in_place_of_the_calls() -> None:
    functions, view = inlined_view(parsed())
    assert operators(view.model.graph) == [
        "Abs", "Constant", "Constant", "Mul", "Tanh", "Mul", "Exp",
        "Constant", "Constant", "Mul", "Tanh", "Mul",
    ]  # fmt: skip
    assert not view.model.functions and len(functions.model.functions) == 3
    assert len({name for node in view.model.graph.node for name in node.output}) == 12
    onnx.checker.check_model(view.model, full_check=True)
    same_results(functions.model, view.model)


@pytest.mark.parametrize(
    ("region", "main", "inside"),
    [
        ("h", ["CacheLookup", "If", "block", "Exp", "block"], ["Abs", "CacheStore"]),
        ("y", ["Abs", "block", "CacheLookup", "If", "block"], ["Exp", "CacheStore"]),
        ("a b a/h", ["Abs", "CacheLookup", "If", "Exp", "block"], ["block", "CacheStore"]),
        (
            "h a a/h y",
            ["CacheLookup", "If", "Constant", "Mul", "block"],
            ["Abs", "scaled", "Tanh", "Exp", "CacheStore"],
        ),
        ("a", ["Abs", "scaled", "CacheLookup", "If", "Constant", "Mul", "Exp", "block"], ["Tanh", "CacheStore"]),
    ],
)
def test_only_calls_that_a_region_cuts_through_are_replaced(region: str, main: list[str], inside: list[str]) -> None:
    proto = parsed()
    proto.graph.node[1].name = "a"
    result = compiled(proto, region)
    assert sorted(operators(result.graph)) == sorted(main)
    assert branch(result) == inside
    assert [f.SerializeToString() for f in result.functions] == [f.SerializeToString() for f in proto.functions]
    same_results(proto, result)
    assert inline_regions(result)
    same_results(proto, result)
    again = compiled(result, region)
    assert sorted(operators(again.graph)) == sorted(main) and branch(again) == inside


def test_a_call_between_two_parts_of_a_region_is_replaced() -> None:
    functions = """<domain: "local", opset_import: ["" : 17]>
    two (p, q) => (r, s) { r = Neg(p) s = Abs(q) }"""
    proto = parsed(
        "g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) { q = Exp(x) r, z = local.two(x, q) y = Tanh(r) }",
        functions,
    )
    result = compiled(proto, "q y")
    assert sorted(operators(result.graph)) == ["Abs", "CacheLookup", "If", "Neg"]
    same_results(proto, result)


def test_calls_in_bodies_stay_where_they_are() -> None:
    graph = """g (float[N, 4] x) => (float[N, 4] y) {
        s = ReduceSum<keepdims = 0>(x)
        zero = Constant<value_float = 0.0>()
        c = Greater(s, zero)
        t = If(c) <then_branch = t () => (float[N, 4] p) { p, q = local.block<alpha = 2.0>(x) },
                   else_branch = e () => (float[N, 4] p2) { p2, q2 = local.block<alpha = 4.0>(x) }>
        y = Exp(t)
    }"""
    proto = parsed(graph)
    functions, _ = inlined_view(proto)
    assert not functions.inlined.functions
    same_results(proto, functions.inlined)
    result = compiled(proto, "s c t y")
    assert "block" in str(result.graph.node[-1].attribute)
    same_results(proto, result)


def test_the_fingerprint_is_that_of_what_the_functions_do() -> None:
    def digest(proto: onnx.ModelProto) -> str:
        view = inlined_view(proto)[1]
        region = region_of(view, " ".join(o for names in view.writes for o in names))
        return fingerprint(view, region.nodes, region.live_outs, {})

    proto = parsed()
    first = digest(proto)
    text = FUNCTIONS.replace("block", "layer").replace("scaled", "times").replace('"local"', '"other"')
    other = parsed(GRAPH.replace("local.block", "other.layer"), text.replace("local.", "other."))
    del other.opset_import[1:]
    other.opset_import.add(domain="other", version=1)
    assert digest(other) == first
    assert digest(LocalFunctions(proto).inlined) == first
    assert digest(onnx.inliner.inline_local_functions(proto)) == first
    assert digest(parsed(functions=FUNCTIONS.replace("Tanh", "Sigmoid"))) != first
    assert digest(parsed(GRAPH.replace("3.0", "3.5"))) != first


def test_overloads_defaults_and_handed_on_inputs() -> None:
    proto = parsed(
        """g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) { a, y = local.f(x) b = local.f:two(a) z = Neg(b) }""",
        """<domain: "local", opset_import: ["" : 17]> f <alpha: float = 0.25> (v) => (o, v) {
               k = Constant<value_float: float = @alpha>() o = Mul(v, k) }
           <domain: "local", overload: "two", opset_import: ["" : 17]> f (v) => (o) { o = Exp(v) }""",
    )
    view = inlined_view(proto)[1]
    assert operators(view.model.graph) == ["Constant", "Mul", "Identity", "Exp", "Neg"]
    session = ort.InferenceSession(view.model.SerializeToString())
    x = np.ones((1, 4), np.float32)
    y, z = session.run(None, {"x": x})
    assert np.array_equal(y, x) and np.allclose(z, -np.exp(0.25))


@pytest.mark.parametrize(
    ("functions", "graph"),
    [
        ('<domain: "local", opset_import: ["" : 11]> f (v) => (o) { o = Softmax(v) }', "y = local.f(x)"),
        (
            '<domain: "com.microsoft", opset_import: ["" : 17]> Gelu (v) => (o) { o = Neg(v) }',
            "y = com.microsoft.Gelu(x)",
        ),
    ],
)
def test_what_cannot_be_replaced_exactly_is_left_and_refused(functions: str, graph: str) -> None:
    text = '<ir_version: 10, opset_import: ["" : 17, "local" : 1, "com.microsoft" : 1]>'
    proto = onnx.parser.parse_model(f"{text} g (float[N, 4] x) => (float[N, 4] z) {{ {graph} z = Exp(y) }} {functions}")
    loaded, view = inlined_view(proto)
    assert [f.name for f in loaded.inlined.functions] == [f.name for f in proto.functions]
    refused = impure_nodes(view, ["local:f", "com.microsoft:Gelu"])
    assert {i: r.rule for i, r in refused.items()} == {0: "local-function"}


def test_operators_that_did_not_change_between_two_opsets_are_the_same() -> None:
    functions = """<domain: "local", opset_import: ["" : 15, "com.microsoft" : 1]>
    f (v) => (o) { h = Tanh(v) o = com.microsoft.Gelu(h) }"""
    proto = parsed("g (float[N, 4] x) => (float[N, 4] y) { h = local.f(x) y = Exp(h) }", functions)
    view = inlined_view(proto)[1]
    assert (
        operators(view.model.graph) == ["Tanh", "Gelu", "Exp"] and view.model.opset_import[-1].domain == "com.microsoft"
    )
    for region, domains in (("y", ["", "local", "ai.actcache"]), ("h h/h", ["", "local", "ai.actcache"])):
        assert [o.domain for o in compiled(proto, region).opset_import] == domains
    assert [o.domain for o in compiled(proto, "h y").opset_import] == ["", "local", "com.microsoft", "ai.actcache"]


def test_a_compiled_model_keeps_its_functions(tmp_path: Path) -> None:
    proto = parsed()
    onnx.save(proto, tmp_path / "m.onnx")
    result = actcache.compile_model(tmp_path / "m.onnx", min_saving=0)
    written = onnx.load(result.output)
    assert [f.SerializeToString() for f in written.functions] == [f.SerializeToString() for f in proto.functions]
    assert {r.candidate.region.granularity for r in result.regions} == {"row"}
    onnx.checker.check_model(written, full_check=True)
    same_results(proto, written)
    again = actcache.compile_model(result.output, tmp_path / "again.onnx", min_saving=0)
    assert [r.fingerprint for r in again.regions] == [r.fingerprint for r in result.regions]
