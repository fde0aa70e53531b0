"""A row from disk is used at once where its session was equal to this one, and compared first otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from disk_programs import compiled, play

from actcache.passes.graph.nodes import all_nodes

#: Four calls of four rows, in a session of the KIND and optimisation LEVEL that the environment names.
ROWS = """
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, os.environ.get("LEVEL", "ORT_ENABLE_ALL"))
actcache.register(options)
kind = ort if os.environ.get("KIND") == "plain" else actcache
model = kind.InferenceSession(sys.argv[1], options)
np.save(os.environ["RESULTS"], np.concatenate([run(model, range(first, first + 4)) for first in range(0, 16, 4)]))
assert actcache.flush(60)
print(json.dumps(counts("hits", "disk_hits", "misses", "compared", "kept_apart")))
"""
EQUAL = [16, 16, 0, 0, 0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def filled(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store that one process left, and its results."""
    folder = tmp_path_factory.mktemp("filled")
    assert rows(model, folder) == [0, 0, 16, 0, 0]
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(filled, tmp_path / "folder", copy_function=shutil.copy2))


def rows(model: Path, folder: Path, results: str = "first.npy", **environment: str) -> list[int]:
    where = {"ACTCACHE_DISK_PATH": str(folder / "store"), "RESULTS": str(folder / results)}
    found: list[int] = play(model, ROWS, **where, **environment)
    return found


def compares_first(found: list[int]) -> None:
    """Once two rows were equal, the others are used; where reading was too slow, a row is computed."""
    hits, disk_hits, misses, compared, kept_apart = found
    assert 4 <= hits == disk_hits and hits + misses == 16
    assert 2 <= compared <= 5
    assert kept_apart == 0


def edited(model: Path, folder: Path, values: bool) -> Path:
    """Another file with the same fingerprints; with `values` it computes something else."""
    proto = onnx.load(model)
    proto.producer_version = "edited"
    if values:
        tanh = [node for node in all_nodes(proto.graph.node) if node.op_type == "Tanh"]
        assert tanh
        tanh[-1].op_type = "Sigmoid"
    onnx.save(proto, folder / "edited.onnx")
    return folder / "edited.onnx"


def test_an_equal_session_of_another_process_compares_nothing(model: Path, folder: Path) -> None:
    assert rows(model, folder, "second.npy") == EQUAL
    assert (folder / "first.npy").read_bytes() == (folder / "second.npy").read_bytes()


@pytest.mark.parametrize("how", ["another file", "another level"])
def test_any_other_session_compares_first(how: str, model: Path, folder: Path) -> None:
    if how == "another file":
        compares_first(rows(edited(model, folder, values=False), folder, "second.npy"))
    else:
        compares_first(rows(model, folder, "second.npy", LEVEL="ORT_ENABLE_BASIC"))
    np.testing.assert_allclose(np.load(folder / "second.npy"), np.load(folder / "first.npy"), rtol=0, atol=1e-5)


def test_sessions_of_plain_onnxruntime_compare_first_in_every_process(model: Path, tmp_path: Path) -> None:
    assert rows(model, tmp_path, KIND="plain") == [0, 0, 16, 0, 0]
    compares_first(rows(model, tmp_path, KIND="plain"))


def test_a_session_that_computes_something_else_uses_nothing(model: Path, folder: Path) -> None:
    other = edited(model, folder, values=True)
    found = rows(other, folder, "second.npy")
    assert found[:2] == [0, 0] and found[4] == 1
    assert 1 <= found[3] <= 4
    assert np.abs(np.load(folder / "second.npy") - np.load(folder / "first.npy")).max() > 1e-2
    assert play(other, ROWS, RESULTS=str(folder / "alone.npy"))[0] == 0
    assert (folder / "second.npy").read_bytes() == (folder / "alone.npy").read_bytes()
    assert rows(model, folder, "third.npy") == EQUAL
    assert (folder / "third.npy").read_bytes() == (folder / "first.npy").read_bytes()
