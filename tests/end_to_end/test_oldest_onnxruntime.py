"""The same library and the same compiled model under the oldest onnxruntime that is supported, and under this one.

`make test` prepares the environment; where it is missing the test is skipped.
The program has onnxruntime and numpy, and never imports actcache: all it needs is the library's path.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime as ort
import pytest
from oldest import OLDEST, play

from actcache.base.per_call import ACCOUNT, CONTROL, NAMESPACE

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
