"""Types that onnx cannot infer come from onnxruntime, and regions end and begin at such values."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from graphs import model

from actcache.passes.graph.told_types import told_types
from actcache.passes.graph.view import GraphView

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

FUSED = """
g (float[N, 4] x, float16[N, 4] z, int64[N, 3] ids) => (float[N, 4] y)
<float[4] bias = {1, 2, 3, 4}, float[4] scale = {1, 1, 1, 1}, float[9, 4] words>
{
    a = com.microsoft.BiasGelu(x, bias)
    b, , , sum = com.microsoft.SkipLayerNormalization(a, x, scale, bias)
    c = com.microsoft.QuickGelu(z)
    d = Add(b, sum)
    parts = SequenceConstruct(a, b)
    y = Identity(d)
}
"""
DOMAINS = '"com.microsoft" : 1, "ai.onnx.ml" : 1'


def test_onnxruntime_tells_what_onnx_cannot_infer(tmp_path: Path) -> None:
    proto = model(FUSED, domains=DOMAINS)
    unknown = GraphView(proto)
    assert {"a", "b", "sum", "c", "d"} <= set(unknown.untyped) and unknown.dtype("a") is None
    before = proto.SerializeToString()
    told = told_types(proto, unknown.untyped, tmp_path)
    assert told["a"] == told["b"] == told["sum"] == FLOAT and told["c"] == onnx.TensorProto.FLOAT16
    view = GraphView(proto, told)
    assert view.untyped == () and view.dtype("d") == FLOAT and view.is_tensor("d")
    assert view.is_tensor("parts") is False and view.dtype("parts") is None
    assert proto.SerializeToString() == before and not list(tmp_path.iterdir())


def test_sizes_that_onnxruntime_shows_are_not_taken(tmp_path: Path) -> None:
    """onnxruntime shows the sizes that the model states, and only warns where a run has others."""
    proto = model(FUSED, domains=DOMAINS)
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("b", FLOAT, [7, 4]))
    view = GraphView(model(FUSED, domains=DOMAINS), told_types(proto, ["a", "b"], tmp_path))
    assert view.dtype("b") == FLOAT and view.shape("a") is None and view.shape("b") is None


def test_types_go_on_from_what_was_told() -> None:
    text = "g (float[N, 4] x) => (float[N, 4] y) { a = com.microsoft.QuickGelu(x) s = Shape(a) y = Expand(a, s) }"
    proto = model(text, domains=DOMAINS)
    assert GraphView(proto).dtype("a") is None
    assert GraphView(proto, {"a": FLOAT}).dtype("a") == FLOAT
    chain = model(text.replace("y = Expand(a, s)", "b = Neg(a) y = Expand(b, s)"), domains=DOMAINS)
    assert GraphView(chain, {"a": FLOAT}).dtype("b") == FLOAT


def test_a_model_that_onnxruntime_refuses_has_no_types(tmp_path: Path) -> None:
    proto = model("g (float[N] x) => (float[N] y) { a = com.microsoft.NoSuch(x) y = Neg(a) }", domains=DOMAINS)
    with pytest.raises(Exception, match="NoSuch"):
        told_types(proto, ["a"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_stated_types_are_left_as_they_are() -> None:
    proto = model("g (float[N] x) => (int64[2] y) { y = com.microsoft.Something(x) }", domains=DOMAINS)
    assert GraphView(proto, {"y": INT64}).dtype("y") == INT64
    assert GraphView(proto).untyped == ()
    assert GraphView(proto, {"y": INT64}).shape("y") == (2,)
