"""Programs run under the oldest onnxruntime that is supported."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser

import actcache

PROGRAM = """
import ctypes, json, sys
import numpy as np
import onnxruntime as ort

library, original, compiled, granularity = sys.argv[1:]
options = ort.SessionOptions()
options.register_custom_ops_library(library)
reference = ort.InferenceSession(original, providers=["CPUExecutionProvider"])
session = ort.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])

rows = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
def same(feed):
    got, wanted = session.run(None, {"x": feed}), reference.run(None, {"x": feed})
    for one, other in zip(got, wanted):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert np.allclose(one, other, atol=1e-5) if one.dtype.kind == "f" else (one == other).all()

same(rows[:4])                     # cold
same(rows[:4])                     # warm
same(rows[2:6])                    # partly warm
same(rows[[7, 7, 0]])              # equal rows
same(rows[:0])                     # no rows
same(rows[6:7])                    # one row

native = ctypes.CDLL(library)
native.actcache_stats_json.restype = ctypes.c_size_t
native.actcache_stats_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
buffer = ctypes.create_string_buffer(native.actcache_stats_json(None, 0))
native.actcache_stats_json(buffer, len(buffer))
(region,) = json.loads(buffer.value)["regions"].values()
assert region["lookups"] == region["hits"] + region["misses"] + region["bypassed"], region
if granularity == "row":           # 4 + 2 + (the equal one and row 0)
    assert (region["hits"], region["misses"]) == (8, 8), region
else:
    assert region["hits"] == 1, region

broken = ort.SessionOptions()
broken.add_session_config_entry("actcache.hash", "md5")
try:
    broken.register_custom_ops_library(library)
except Exception as error:
    assert "hash" in str(error), error
else:
    raise AssertionError("a knob that means nothing was taken")
assert "actcache" not in sys.modules
print(ort.__version__)
"""


def two_heads() -> onnx.ModelProto:
    """Two live-outs of different types behind three matrix products; opset and IR of onnxruntime 1.18."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[N, 64] x) => (float[N, 64] y, int64[N] best) {
             a = MatMul(x, w0)  b = Tanh(a)  c = MatMul(b, w1)  d = Relu(c)  y = MatMul(d, w2)
             best = ArgMax<axis = 1, keepdims = 0>(y)
           }"""
    )
    generator = np.random.default_rng(0)
    for name in ("w0", "w1", "w2"):
        weight = generator.standard_normal((64, 64)).astype(np.float32) / 8
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return model


OLDEST = Path(__file__).resolve().parents[2] / ".venv-oldest" / "bin" / "python"


def play(interpreter: str | Path, folder: Path, granularity: str, program: str = PROGRAM, **options: Any) -> str:
    """Compiles a model here, runs it with another interpreter, and returns the version of its onnxruntime."""
    original, compiled = folder / "model.onnx", folder / "model.cached.onnx"
    onnx.save_model(two_heads(), original)
    actcache.compile_model(original, compiled, granularity=granularity, min_saving=0, verify=False, **options)
    done = subprocess.run(
        [interpreter, "-c", program, actcache.library_path(), original, compiled, granularity],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
