"""What a model says of the sizes of its tensors holds in a region's branch, too, and onnxruntime fuses as it did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

import actcache
from actcache import compile_model
from actcache.passes.graph.nodes import all_nodes
from actcache.passes.rewrite.inline_regions import inline_regions

#: onnxruntime itself does not know how many tokens `x2` has; it fuses Add and LayerNormalization where it is told.
TEXT = """<ir_version: 9, opset_import: ["" : 20]>
m (float[batch, tokens, 16] x) => (float[batch, tokens, 16] y)
    <float[16] g, float[16] b, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}> {
    sizes = Shape(x)
    end = Slice(sizes, one, two)
    x2 = Slice(x, zero, end, one)
    t = Tanh(x2)
    s = Add(t, x2)
    n = LayerNormalization(s, g, b)
    y = Sigmoid(n)
}"""


def saved(folder: Path, batch: int | str) -> Path:
    """Save the model with the sizes of its tensors stated."""
    proto = parser.parse_model(TEXT)
    generator = np.random.default_rng(0)
    for name in ("g", "b"):
        values = generator.standard_normal(16).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    for name in ("x2", "t", "s", "n"):
        sizes = [batch, "tokens", 16]
        proto.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes))
    onnx.save(proto, folder / "model.onnx")
    return folder / "model.onnx"


def operators(path: Path, folder: Path) -> Counter[str]:
    """Count the operators that onnxruntime's optimiser makes of a model."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    options.register_custom_ops_library(actcache.library_path())
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in all_nodes(onnx.load(folder / "optimised.onnx").graph.node))


def test_what_is_fused_in_the_original_is_fused_in_the_branch(tmp_path: Path) -> None:
    path = saved(tmp_path, "batch")
    result = compile_model(path, tmp_path / "cached.onnx", min_saving=0, granularity="row")
    assert result.verify is not None and result.verify.bit_exact
    before, after = operators(path, tmp_path), operators(result.output, tmp_path)
    assert before["SkipLayerNormalization"] == 1 and after["SkipLayerNormalization"] == 1
    again = onnx.load(result.output)
    inline_regions(again)
    stated = {v.name: v for v in onnx.load(path).graph.value_info if v.name in ("x2", "t", "s", "n")}
    assert len(stated) == 4 and {v.name: v for v in again.graph.value_info if v.name in stated} == stated


@pytest.mark.parametrize("batch", [1, 4])
def test_a_wrong_size_of_the_batch_is_not_believed(tmp_path: Path, batch: int) -> None:
    path = saved(tmp_path, batch)
    result = compile_model(path, tmp_path / "cached.onnx", min_saving=0, granularity="row")
    original = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    compiled = actcache.InferenceSession(result.output)
    x = np.random.default_rng(1).standard_normal((6, 5, 16)).astype(np.float32)
    for rows in ([0, 1, 2, 3], [3, 4, 1, 5], [5], [0, 2, 4, 5]):
        (expected,), (got,) = (s.run(None, {"x": x[rows]}) for s in (original, compiled))
        assert np.abs(got - expected).max() < 1e-5
