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
            and name not in ("actcache.learn.hook", "actcache.learn.settings", "actcache.learn.threads")]
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
assert session._learner is not None and session._learner.reason is None
import numpy
session.run(None, {"x": numpy.zeros((2, 3), numpy.float32)})
print(*sorted(sys.modules), sep="\\n")
"""
#: The same program without actcache.
PLAIN = "\n".join(line for line in CODE.splitlines() if "actcache" not in line and "_learner" not in line)
#: Rooms of actcache that compile, and packages that only these need.
HEAVY = ("compile", "passes", "runs", "model", "commands", "report", "audit", "inspection", "replay", "verification")
PACKAGES = ("onnx", "scipy", "google", "click", "rich", "jinja2", "msgspec", "onnx_graphsurgeon", "multiprocessing")


#: Parts of Python that take longer to load than all of ``actcache.learn``.
SLOW = {
    "pathlib",
    "dataclasses",
    "threading",
    "urllib",
    "inspect",
    "logging",
    "tempfile",
    "shutil",
    "typing_extensions",
}


def modules(code: str, folder: Path) -> set[str]:
    """Return what a program has loaded when it ends; it is given a model."""
    text = '<ir_version: 8, opset_import: ["" : 17]> one (float[N, 3] x) => (float[N, 3] y) { y = Tanh(x) }'
    onnx.save(onnx.parser.parse_model(text), folder / "model.onnx")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "model.onnx")],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "ACTCACHE_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_session_that_learns_loads_nothing_that_compiles(tmp_path: Path) -> None:
    loaded = modules(CODE, tmp_path)
    assert {"actcache.learn.learner", "onnxruntime"} <= loaded
    assert not [name for name in loaded if name.split(".")[0] in PACKAGES]
    assert not [name for name in loaded if name.startswith("actcache.") and name.split(".")[1] in HEAVY]
    plain = modules(PLAIN, tmp_path)
    assert "onnxruntime" in plain and "actcache" not in plain
    assert not (loaded - plain) & SLOW
