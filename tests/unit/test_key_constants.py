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
