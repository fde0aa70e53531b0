"""Files of inputs: any names, strings too, and what numpy and the compiler read of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.helper as oh
import onnxruntime as ort
import pytest

import actcache
from actcache.model.feed_file import read_entries, save_sample

NAMES = [
    "file",
    "args",
    "kwds",
    "allow_pickle",
    "arr_0",
    "x",
    "x.npy",
    "x.npy.npy",
    "a/b",
    "/a/b",
    "../up",
    "onnx::Shape_422",
    "input:0",
    "back\\slash",
    "spaces and 'quotes'",
    "größe 長さ",
    "name[0]",
    "long" * 200,
]


def feed(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal((rows, 64)).astype(np.float32) for name in NAMES}


def same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return one.keys() == two.keys() and all(
        one[n].dtype == two[n].dtype and one[n].shape == two[n].shape and one[n].tobytes() == two[n].tobytes()
        for n in one
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Multiplies the sum of inputs with odd names by a matrix, thrice."""
    path = tmp_path_factory.mktemp("names") / "model.onnx"
    sides = [oh.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 64]) for name in [*NAMES, "out"]]
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32) / 8
    nodes = [oh.make_node("Sum", NAMES, ["h0"])]
    nodes += [oh.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}" if i < 2 else "out"]) for i in range(3)]
    graph = oh.make_graph(nodes, "g", sides[:-1], sides[-1:], [onnx.numpy_helper.from_array(weights, "w")])
    onnx.save(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    given: dict[str, np.ndarray] = {**feed(3), "flag": np.array(True), "none": np.zeros((0, 3), np.int8)}
    given["fortran"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    found = read_entries(save_sample(tmp_path / "call.npz", given))
    assert same(found, given)
    texts = np.array([["a", ""], ["größe", "長さ"]], object)
    found = read_entries(save_sample(tmp_path / "texts.npz", {"text": texts}))
    assert found["text"].dtype == object and found["text"].tolist() == texts.tolist()


def test_numpy_reads_what_is_written_and_the_reverse(tmp_path: Path) -> None:
    plain = {name: array for name, array in feed(2).items() if name not in ("file", "allow_pickle")}
    with np.load(save_sample(tmp_path / "ours.npz", plain), allow_pickle=False) as loaded:
        assert set(loaded.files) == plain.keys()
        assert loaded["a/b"].tobytes() == plain["a/b"].tobytes()
    np.savez_compressed(tmp_path / "theirs.npz", **plain)  # type: ignore[arg-type]
    assert same(read_entries(tmp_path / "theirs.npz"), plain)


def test_inputs_of_any_names_are_compiled_and_recorded(model: Path, tmp_path: Path) -> None:
    made_up = actcache.compile_model(model, tmp_path / "made.onnx", min_saving=0)
    sample = actcache.save_sample(tmp_path / "sample.npz", feed(3))
    result = actcache.compile_model(model, tmp_path / "given.onnx", samples=[sample], min_saving=0)
    assert [r.fingerprint for r in result.regions] == [r.fingerprint for r in made_up.regions] != []
    assert set(result.regions[0].candidate.region.frontier) == set(NAMES)
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    recorded = actcache.record(session, tmp_path / "calls")
    for seed in (1, 2, 1, 2):
        recorded.run(None, feed(2, seed))
    assert recorded.recorded == 4
    traced = actcache.compile_model(model, tmp_path / "traced.onnx", trace=[tmp_path / "calls"], min_saving=0)
    assert traced.trace is not None and traced.trace.calls == 2


def test_a_call_that_no_file_takes_is_a_warning(tmp_path: Path) -> None:
    """A name of more bytes than an archive's entry takes; the run itself succeeds."""
    name = "n" * 70_000
    sides = [oh.make_tensor_value_info(value, onnx.TensorProto.FLOAT, ["N"]) for value in (name, "y")]
    graph = oh.make_graph([oh.make_node("Neg", [name], ["y"])], "g", sides[:1], sides[1:])
    proto = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    recorded = actcache.record(session, tmp_path / "calls")
    with pytest.warns(RuntimeWarning, match="has stopped recording after 0 calls: .*this name is too long"):
        (answer,) = recorded.run(None, {name: np.ones(2, np.float32)})
    assert answer.tolist() == [-1, -1] and recorded.full and list((tmp_path / "calls").iterdir()) == []
