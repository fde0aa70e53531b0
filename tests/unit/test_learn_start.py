"""What a program of ``actcache run`` loads before its model is compiled: little, as its start waits for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import onnx.parser

CODE = """
import sys
import actcache.auto
assert not [name for name in sys.modules if name.startswith("actcache.learn.") and name.count(".") > 1
            and name not in ("actcache.learn.hook", "actcache.learn.settings")]
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
assert session._learner is not None and session._learner.reason is None
import numpy
session.run(None, {"x": numpy.zeros((2, 3), numpy.float32)})
print(*sorted(sys.modules), sep="\\n")
"""
#: Rooms of actcache that compile, and packages that only these need.
HEAVY = ("compile", "passes", "runs", "model", "commands", "report", "audit", "inspection", "replay", "verification")
PACKAGES = ("onnx", "scipy", "google", "click", "rich", "jinja2", "msgspec", "onnx_graphsurgeon", "multiprocessing")


def test_a_session_that_learns_loads_nothing_that_compiles(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> one (float[N, 3] x) => (float[N, 3] y) { y = Tanh(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "model.onnx")],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "ACTCACHE_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"actcache.learn.learner", "onnxruntime"} <= loaded
    assert not [name for name in loaded if name.split(".")[0] in PACKAGES]
    assert not [name for name in loaded if name.startswith("actcache.") and name.split(".")[1] in HEAVY]
