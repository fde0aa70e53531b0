"""Models that state sizes which they do not have: onnxruntime warns and goes on, and so do the compiled ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache

#: The batch was opened at the inputs alone, as editing tools do it: what lies behind still says that it is 1.
STALE = """<ir_version: 8, opset_import: ["" : 17]>
stale (float[N, 4] x) => (float[1, 4] y, float[1] z) <float[1, 4] t> {
    t = Exp(x)
    y = Tanh(t)
    z = ReduceSum(y, axes)
}"""


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_wrong_sizes_change_nothing(granularity: str, tmp_path: Path) -> None:
    model = onnx.parser.parse_model(STALE)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"))
    model.graph.node[2].attribute.append(onnx.helper.make_attribute("keepdims", 0))
    source = tmp_path / "stale.onnx"
    onnx.save(model, source)
    feed = {"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}
    result = actcache.compile_model(source, samples=[feed], granularity=granularity, min_saving=0)
    assert result.verify is not None and result.verify.failure is None
    assert [c.candidate.region.live_outs for c in result.regions] == [("y", "z")]
    session = actcache.InferenceSession(str(result.output))
    original = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    for _ in range(2):
        for mine, theirs in zip(session.run(None, feed), original.run(None, feed), strict=True):
            np.testing.assert_array_equal(mine, theirs)
