"""Suffixes behind onnxruntime's own attention, and of Scan: the oldest version computes them as the installed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.conformance.causal.fused import BINARY, GOOD
from tests.conformance.causal.fused_pasts import GOOD as PASTS
from tests.conformance.causal.scans import GOOD as SCANS
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import continued, proven, suffix_model

OLDEST = Path(__file__).resolve().parents[2] / ".venv-oldest" / "bin" / "python"
SKETCHES = GOOD | BINARY | {f"{name}, past": made[0] for name, made in PASTS.items() if "standard" not in name}
SKETCHES |= {name: SCANS[name] for name in ("moving average", "selective state space", "outputs along other axes")}
#: Version 1.18 reads a bias of one row, which is meant for all, beyond its end, and an Attention without biases ends
#: its process, in the original as well. Weights packed like these came later.
LATER = {"heads and a bias of scores", "heads and a mask in the bias", "packed weights"}
LATER |= {name for name in SKETCHES if name.startswith("packed without biases")}
#: What GroupQueryAttention learnt later.
_LEARNT = ("capped", "bias", "smoothed", "sink")
LATER |= {name for name in SKETCHES if name.startswith("groups") and any(word in name for word in _LEARNT)}

#: Runs every model of a folder on its inputs, and compares; knows nothing but numpy and onnxruntime. Windows leave one
#: position more open in old versions: then the original decides, which the branch is where nothing is known.
PROGRAM = """
import pathlib, sys
import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.log_severity_level = 4
options.intra_op_num_threads = 1
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for call in sorted(path.parent.glob(path.stem + ".*.npz")):
        saved = dict(np.load(call))
        given = session.run(None, {value.name: saved["in " + value.name] for value in session.get_inputs()})
        whole = given[0] if call.stem.endswith(".0") else whole
        for value, array in zip(session.get_outputs(), given):
            expected = saved["out " + value.name]
            if path.stem.endswith("window") and array is given[0]:
                expected = whole[:, -array.shape[1] :]
            close = array.shape == expected.shape and np.allclose(array, expected, rtol=1e-4, atol=1e-4)
            print(call.name, value.name, "right" if close else "WRONG")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("branches")
    for number, name in enumerate(sorted(SKETCHES.keys() - LATER)):
        write(SKETCHES[name], made, f"{number:02}{'window' if 'window' in name else ''}")
    return made


def write(sketch: Sketch, folder: Path, name: str) -> None:
    """Write a branch, and calls of it behind prefixes, with what the installed onnxruntime's original gives."""
    proof = proven(sketch, binary_masks=True)
    made = suffix_model(sketch, proof, ["y"])
    assert isinstance(made, tuple), made
    model, kept = made
    onnx.save(model, folder / f"{name}.onnx")
    for first, given, expected in continued(sketch, proof, model, kept, count=6):
        arrays = {f"in {key}": value for key, value in given.items()}
        arrays |= {f"out {key}": value for key, value in expected.items()}
        np.savez(folder / f"{name}.{first}.npz", **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize("interpreter", [OLDEST, Path(sys.executable)], ids=["oldest", "this"])
def test_suffixes(folder: Path, interpreter: Path) -> None:
    if not interpreter.exists():
        pytest.skip("no .venv-oldest; `make test` prepares it")
    ran = subprocess.run([interpreter, "-c", PROGRAM, folder], capture_output=True, text=True, timeout=120, check=False)
    assert not ran.returncode, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) >= 2 * len(SKETCHES)
    assert not [line for line in lines if not line.endswith("right")]
