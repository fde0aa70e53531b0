"""The same library and the same compiled model under the oldest onnxruntime that is supported, and under this one.

`make test` prepares the environment; where it is missing the test is skipped.
The program has onnxruntime and numpy, and never imports actcache: all it needs is the library's path.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache
from actcache.base.per_call import ACCOUNT, CONTROL, NAMESPACE

OLDEST = Path(__file__).resolve().parents[2] / ".venv-oldest" / "bin" / "python"

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


PER_CALL_PROGRAM = """
import sys
import numpy as np
import onnxruntime as ort

library, original, compiled, granularity = sys.argv[1:]
options = ort.SessionOptions()
options.log_severity_level = 4
options.register_custom_ops_library(library)
reference = ort.InferenceSession(original, providers=["CPUExecutionProvider"])
session = ort.InferenceSession(compiled, options, providers=["CPUExecutionProvider"])
x = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)

def account(**said):
    words = {f"actcache.{name}": np.array(word) for name, word in said.items()}
    *outputs, rows = session.run(None, {"x": x, **words})
    for one, other in zip(outputs, reference.run(None, {"x": x})):
        assert np.allclose(one, other, atol=1e-5)
    return rows.tolist()

n = 2 if granularity == "row" else 1
assert account(namespace="a") == [[0, n, 0]]
assert account(namespace="a", control="use") == [[n, 0, 0]]     # the word may be left out
assert account(namespace="") == [[0, n, 0]]
assert account(namespace="a", control="bypass") == [[0, 0, n]]
assert account(namespace="a", control="refresh") == [[0, n, 0]]
assert account(namespace="a") == [[n, 0, 0]]
for feed, problem in (
    ({"x": x}, "actcache.namespace"),
    ({"x": x, "actcache.namespace": np.array("a"), "actcache.control": np.array("skip")}, '"bypass" or "refresh"'),
):
    try:
        session.run(None, feed)
    except Exception as error:
        assert problem in str(error), error
    else:
        raise AssertionError(problem)
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


def play(interpreter: str | Path, folder: Path, granularity: str, program: str = PROGRAM, **options: str) -> str:
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


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_under_the_oldest_onnxruntime(tmp_path: Path, granularity: str) -> None:
    if not OLDEST.exists():
        pytest.skip("no .venv-oldest; `make test` prepares it")
    version = play(OLDEST, tmp_path, granularity)
    assert version.startswith(("1.18.", "1.20."))  # 1.20: for Python 3.13 there is no 1.18


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_under_this_onnxruntime(tmp_path: Path, granularity: str) -> None:
    assert play(sys.executable, tmp_path, granularity) == ort.__version__


@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize("interpreter", [OLDEST, Path(sys.executable)], ids=["oldest", "this"])
def test_what_a_call_says_under_both(tmp_path: Path, interpreter: Path, granularity: str) -> None:
    if not interpreter.exists():
        pytest.skip("no .venv-oldest; `make test` prepares it")
    names = {"namespace_input": NAMESPACE, "control_input": CONTROL, "account_output": ACCOUNT}
    assert play(interpreter, tmp_path, granularity, PER_CALL_PROGRAM, **names)
