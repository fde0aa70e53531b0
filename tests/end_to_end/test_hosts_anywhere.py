"""The most important of what hosts do, under the oldest onnxruntime that is supported and under this one.

`make test` prepares the environment of the oldest; where it is missing, that half is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hosts import WIDTH, host, matrices, stack

import actcache

OLDEST = Path(__file__).resolve().parents[2] / ".venv-oldest" / "bin" / "python"
PROGRAM = Path(__file__).with_name("hosts_anywhere.py")


@pytest.fixture(scope="module")
def models() -> list[Path]:
    """Originals and what was compiled of them, as the program wants them."""
    fed = host(
        f"""<ir_version: 8, opset_import: ["": 17]>
        fed (float[N, {WIDTH}] x, float[B] bias) => (float[N, {WIDTH}] y) {{
            a = MatMul(x, w0)  b = Add(a, bias)  y = Tanh(b)
        }}""",
        {**matrices(1), "bias": np.zeros(WIDTH, np.float32)},
        [actcache.RegionSpec("fed", ("x", "bias"), ("y",))],
    )
    zero = host(
        """<ir_version: 8, opset_import: ["": 17]> zero (float[N, 4] x) => (float[N, 4] y) { y = Add(x, x) }""",
        regions=[actcache.RegionSpec("zero", ("x",), ("y",))],
    )
    return [path for one in (stack(), fed, zero) for path in (one.original, one.compiled)]


@pytest.mark.parametrize("interpreter", [OLDEST, Path(sys.executable)], ids=["oldest", "this"])
def test_a_host_with_nothing_but_onnxruntime(models: list[Path], interpreter: Path, tmp_path: Path) -> None:
    if not interpreter.exists():
        pytest.skip("no .venv-oldest; `make test` prepares it")
    done = subprocess.run(
        [interpreter, PROGRAM, actcache.library_path(), tmp_path, *models],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    oldest = ("1.18.", "1.20.")  # 1.20: for Python 3.13 there is no 1.18
    assert done.stdout.strip().startswith(oldest if interpreter == OLDEST else ort.__version__)
