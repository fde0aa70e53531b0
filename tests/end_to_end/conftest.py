"""Fixtures of the tests that run onnxruntime."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import learning_programs
import numpy as np
import pytest
from audit_lines import Line, lines_of
from hand_written import LIBRARY, Control


@pytest.fixture
def control() -> Iterator[Control]:
    if not LIBRARY.exists():
        pytest.fail(f"{LIBRARY} is missing: make library")
    interface = Control()
    yield interface
    interface.take_back()


@pytest.fixture
def audited(control: Control, tmp_path: Path) -> Iterator[Callable[[], list[Line]]]:
    """Begins a log; the function ends it and returns its lines."""
    control.invalidate()
    path = tmp_path / "audit.jsonl"
    control.configure("audit_path", str(path))

    def finished() -> list[Line]:
        control.configure("audit_path", "")
        return lines_of(path)

    yield finished
    control.configure("audit_path", "")


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a model, and a cache folder in which a program's calls had it compiled."""
    folder = tmp_path_factory.mktemp("learnt")
    learning_programs.write_model(folder / "model.onnx")
    calls = learning_programs.CALLS.format(model="sys.argv[1]")
    plain = learning_programs.run(calls, "model.onnx", folder=folder, wrapped=False)
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, "original\n", "")
    shutil.copy(folder / "outputs.npy", folder / "expected.npy")

    def run_first() -> None:
        first = learning_programs.run(calls, "model.onnx", folder=folder)
        assert (first.returncode, first.stdout, first.stderr) == (0, "original\n", "")
        assert np.array_equal(np.load(folder / "outputs.npy"), np.load(folder / "expected.npy"))

    found = learning_programs.learn(folder, run_first, lambda _: True)
    assert found["state"] == "compiled", found
    return folder


@pytest.fixture
def learnt_folder(learnt: Path, tmp_path: Path) -> Path:
    """Returns a folder of its own with the same, whose files are at the paths and times that are known."""
    return learning_programs.copy_learnt(learnt, tmp_path)
