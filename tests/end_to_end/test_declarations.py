"""What onnxruntime checks of a model's declarations (docs/declarations.md), and that nothing else is believed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from declared_cases import CASES, OTHER_MODELS

REPOSITORY = Path(__file__).resolve().parents[2]
OLDEST = REPOSITORY / ".venv-oldest" / "bin" / "python"

#: Runs every model of a folder on its inputs, by run() and by IOBinding; knows nothing but numpy and onnxruntime.
PROGRAM = """
import json, pathlib, sys
import numpy as np
import onnxruntime as ort

def passes(path, bound):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    feed = dict(np.load(path.with_suffix(".npz"), allow_pickle=True))
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    try:
        if not bound:
            session.run(None, feed)
            return True
        binding = session.io_binding()
        for name, value in feed.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value))
        for output in session.get_outputs():
            binding.bind_output(output.name)
        session.run_with_iobinding(binding)
        return True
    except Exception:
        return False

found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    strings = np.load(path.with_suffix(".npz"), allow_pickle=True)["x"].dtype == object
    found[path.stem] = [passes(path, bound) for bound in (False, True)[: 1 if strings else 2]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("declared")
    models: dict[str, tuple[onnx.ModelProto, Any]] = {name: (case.model(), case.feed()) for name, case in CASES.items()}
    models |= {name: (model, feed) for name, (model, feed, _) in OTHER_MODELS.items()}
    for name, (model, feed) in models.items():
        onnx.save(model, made / f"{name}.onnx")
        np.savez(made / f"{name}.npz", **feed)
    return made


@pytest.mark.parametrize("python", [Path(sys.executable), OLDEST], ids=["this", "oldest"])
def test_what_onnxruntime_checks(python: Path, folder: Path) -> None:
    if not python.exists():
        pytest.skip(f"{python} is missing: make {OLDEST.parent.parent.name}/.done")
    done = subprocess.run([str(python), "-c", PROGRAM, str(folder)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    expected = {name: case.passes for name, case in CASES.items()}
    expected |= {name: passes for name, (_, _, passes) in OTHER_MODELS.items()}
    assert {name: set(answers) for name, answers in found.items()} == {name: {p} for name, p in expected.items()}


def test_the_document_lists_every_case() -> None:
    text = (REPOSITORY / "docs" / "declarations.md").read_text()
    rows = dict(re.findall(r"^\| `([^`]+)` \|[^|]*\| (yes|no) \|", text, re.MULTILINE))
    checked = {name: "no" if case.passes else "yes" for name, case in CASES.items()}
    checked |= {name: "no" if passes else "yes" for name, (_, _, passes) in OTHER_MODELS.items()}
    assert rows == checked
