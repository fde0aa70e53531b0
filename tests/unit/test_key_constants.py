"""Constants as inputs of the operators: of a region inside another, and on the way back."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache
from actcache.passes.cuts import RowCut
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_frontier
from actcache.passes.region import Region, live_outs, with_private_constants
from actcache.passes.rewrite.inline_regions import inline_regions
from actcache.passes.rewrite.key_constants import KeyConstants, key_constants
from actcache.passes.rewrite.outline import outline_in

TEXT = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 64] x) => (float[N, 64] y) {
    a = MatMul(x, w) b = Add(a, p) c = Tanh(b) d = MatMul(c, v) e = Add(d, q) y = Tanh(e) }"""


@pytest.fixture(scope="module")
def models() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A model, and the same with a region inside another. Large weights stand in the main graph, small ones inside."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model(TEXT)
    for name, shape in {"w": (64, 64), "p": (64,), "v": (64, 64), "q": (64,)}.items():
        values = (rng.standard_normal(shape) * 0.2).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    view, nested = GraphView(model), onnx.ModelProto()
    nested.CopyFrom(model)
    for name, last in (("inner constants", 3), ("outer constants", 6)):
        nodes = with_private_constants(view, frozenset(range(last)))
        outs = live_outs(view, nodes)
        frontier = canonical_frontier(view, nodes, outs)
        cut = RowCut((0,) * len(frontier), (0,) * len(outs))
        outline_in(nested, view, Region(name, nodes, tuple(frontier), tuple(outs), cut), name)
    return model, nested


def test_what_a_session_replaces_decides_which_of_nested_regions_hit(
    models: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    model, nested = models
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    x = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)

    def run(proto: onnx.ModelProto, replaced: str | None) -> np.ndarray:
        options = ort.SessionOptions()
        options.register_custom_ops_library(actcache.library_path())
        if replaced:
            value = ort.OrtValue.ortvalue_from_numpy(values[replaced] * np.float32(1.5))
            options.add_initializer(replaced, value)
        result: np.ndarray = ort.InferenceSession(proto.SerializeToString(), options).run(None, {"x": x})[0]
        return result

    def found() -> list[int]:
        """Rows whose entry was there: used, or compared first, as another session had made it."""
        regions = actcache.stats()["regions"]
        counts = [regions.get(name, {"hits": 0, "verified": 0}) for name in ("outer constants", "inner constants")]
        return [region["hits"] + region["verified"] for region in counts]

    # What another session found in the outer region is computed to be compared, so the inner one is asked, too.
    expected = [(None, 0, 0), ("w", 0, 0), ("p", 0, 0), ("v", 0, 4), ("q", 0, 4), (None, 4, 4), ("p", 4, 4)]
    for replaced, outer, inner in expected:
        before = found()
        np.testing.assert_allclose(run(nested, replaced), run(model, replaced), rtol=0, atol=1e-6)
        assert [now - then for now, then in zip(found(), before, strict=True)] == [outer, inner], replaced


def test_constants_come_back(models: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    model, nested = models
    back = onnx.ModelProto()
    back.CopyFrom(nested)
    assert inline_regions(back)
    assert [n.op_type for n in back.graph.node] == [n.op_type for n in model.graph.node]
    assert {t.name for t in back.graph.initializer} == {t.name for t in model.graph.initializer}


BODIES = """g (float[N, 8] x) => (float[N, 8] y) {
    t = Constant <value = int64 {2}> () c = Constant <value = bool {1}> ()
    y = Loop (t, c, x) <body = b (int64 i, bool k, float[N, 8] v) => (bool k2, float[N, 8] w) <PLACE> {
        k2 = Identity(k) LINE w = Mul(v, s) }> }"""


def covered(text: str, opset: int = 21) -> KeyConstants:
    """What keys cover of a region that is the whole model."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {text}')
    view = GraphView(proto)
    return key_constants(view, frozenset(range(len(proto.graph.node))), view.outputs)


def test_keys_cover_initializers_and_small_values_of_constant_nodes() -> None:
    text = "<float[1] p = {2}> { c = Constant <value = float[1] {0.5}> () a = Mul(x, c) b = Mul(a, p) y = Tanh(b) }"
    found = covered(f"g (float[N, 8] x) => (float[N, 8] y) {text}")
    assert set(found.names) == {"p", "c"} and found.are_all


@pytest.mark.parametrize(
    "text",
    [
        BODIES.replace("PLACE", "float[1] s = {2}").replace("LINE", ""),
        BODIES.replace("<PLACE>", "").replace("LINE", "s = Constant <value = float[1] {2}> ()"),
        """g (float[N, 8] x) => (float[N, 8] y) <int4[8] w = {1,2,3,4,5,6,7,1}, float s = {0.5}> {
            d = DequantizeLinear(w, s) y = Mul(x, d) }""",
        f"""g (float[N, 2000] x) => (float[N, 2000] y) {{
            c = Constant <value = float[2000] {{{", ".join(["1"] * 2000)}}}> () y = Mul(x, c) }}""",
        """g (float[N, 8] x) => (float[N, 8] y) <int8[8] w = {1,2,3,4,5,6,7,1}> {
            s = Constant <value = float {0.5}> () d = DequantizeLinear(w, s) y = Mul(x, d) }""",
    ],
    ids=["of a body", "of a node in a body", "less than a byte", "large", "of a packed matrix"],
)
def test_constants_that_keys_do_not_cover_are_known_to_be_there(text: str) -> None:
    """Sessions of such a region are compared, whatever is said of their models."""
    assert not covered(text).are_all
