"""The example of a C++ program: it builds as its page says, and its second process computes nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import actcache

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "13_cpp_host"
LINE = r"(first|second) pass: (\d+) rows computed, (\d+) found in memory, (\d+) on disk; sum (-?[\d.]+(?:e[-+]?\d+)?)"


def call(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of an onnxruntime release for C++: include/ and lib/."""
    headers = sorted((ROOT / "custom_ops" / "build" / "sources").glob("*onnxruntime*/onnxruntime_cxx_api.h"))
    libraries = sorted((Path(ort.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not headers or not libraries or not shutil.which("c++"):
        pytest.skip("the C++ tests are not built: custom_ops/build.py --tests")
    folder = tmp_path_factory.mktemp("onnxruntime")
    (folder / "include").symlink_to(headers[0].parent)
    (folder / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / "lib" / name).symlink_to(libraries[0])
    return folder


@pytest.fixture(scope="module")
def program(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built."""
    cmake = shutil.which("cmake") or shutil.which("cmake", path=str(Path(sys.executable).parent))
    assert cmake is not None
    folder = tmp_path_factory.mktemp("host")
    call(cmake, "-S", EXAMPLE, "-B", folder, f"-DCMAKE_PREFIX_PATH={release}", cwd=folder)
    call(cmake, "--build", folder, cwd=folder)
    return folder / "host"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with encoder.onnx and what it was compiled to."""
    folder = tmp_path_factory.mktemp("models")
    call(sys.executable, ROOT / "examples" / "small_models.py", cwd=folder)
    actcache.compile_model(folder / "encoder.onnx", samples=[folder / "sample.npz"], min_saving=0, single_file=True)
    return folder


def expected_sum(model: Path) -> float:
    """What the original says to all rows of the program, summed up."""
    rows = (np.arange(64 * 64) % 1000).reshape(64, 64)
    return float(ort.InferenceSession(model).run(None, {"ids": rows})[0].astype(np.float64).sum())


def test_the_second_process_computes_nothing(program: Path, models: Path, tmp_path: Path) -> None:
    for attempt in range(5):  # on a busy machine a value may come too late for its call
        store = tmp_path / str(attempt)
        passes = []
        for _ in range(2):
            said = call(program, "encoder.cached.onnx", actcache.library_path(), store, cwd=models)
            passes += [re.fullmatch(LINE, line) for line in said.splitlines()]
        found = [match.groups() for match in passes if match is not None]
        assert [line[0] for line in found] == ["first", "second"] * 2
        sums = {line[4] for line in found}
        assert len(sums) == 1
        assert float(sums.pop()) == pytest.approx(expected_sum(models / "encoder.onnx"), abs=1e-3)
        counts = [tuple(map(int, line[1:4])) for line in found]
        assert all(sum(line) == 64 for line in counts)
        assert counts[0] == (64, 0, 0)
        assert counts[1] == counts[3] == (0, 64, 0)
        if counts[2] == (0, 0, 64):
            return
    raise AssertionError(counts)


def test_what_is_wrong_is_one_line(program: Path, models: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [program, "encoder.cached.onnx", "nowhere.so", tmp_path],
        cwd=models,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("host: nowhere.so: cannot open") and done.stderr.count("\n") == 1
