"""Weights: moved beside the model, and what a broken file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import model

from actcache.errors import InvalidModel
from actcache.passes.rewrite.weights import ALIGNMENT, has_a_place, inline_weights, move_weights, put_in_place

LARGE = np.arange(4096, dtype=np.float32).reshape(64, 64) - 7.5


def with_weight(*, raw: bool = True) -> onnx.ModelProto:
    proto = model("g (float[N, 64] x) => (float[N, 64] y) { h = MatMul(x, w) y = Add(h, b) }")
    tensor = onnx.numpy_helper.from_array(LARGE, "w")
    if not raw:
        tensor = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, LARGE.shape, LARGE.reshape(-1).tolist())
    proto.graph.initializer.extend([tensor, onnx.numpy_helper.from_array(LARGE[0], "b")])
    return proto


@pytest.mark.parametrize("raw", [True, False])
def test_large_weights_move_and_come_back(tmp_path: Path, raw: bool) -> None:
    proto = with_weight(raw=raw)
    moved = move_weights(proto, tmp_path / "m.onnx", tmp_path / "w.bin")
    assert moved.size == LARGE.nbytes and len(moved.tensors) == 1
    assert proto.graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL
    assert proto.graph.initializer[1].raw_data == LARGE[0].tobytes()
    inline_weights(proto, tmp_path)
    assert np.array_equal(onnx.numpy_helper.to_array(proto.graph.initializer[0]), LARGE)


def test_the_same_weights_have_the_same_digest_however_they_are_stored(tmp_path: Path) -> None:
    one = move_weights(with_weight(), tmp_path / "m.onnx", tmp_path / "1.bin")
    two = move_weights(with_weight(raw=False), tmp_path / "m.onnx", tmp_path / "2.bin")
    assert one.tensors == two.tensors and one.digest == two.digest


def test_external_weights_are_copied_to_aligned_places_and_small_ones_brought_in(tmp_path: Path) -> None:
    proto = with_weight()
    proto.graph.initializer.add().CopyFrom(onnx.numpy_helper.from_array(LARGE[:50] * 2, "w2"))
    path = tmp_path / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="m.data", size_threshold=0)
    loaded = onnx.load(path, load_external_data=False)
    assert all(t.data_location == onnx.TensorProto.EXTERNAL for t in loaded.graph.initializer)
    moved = move_weights(loaded, path, tmp_path / "w.bin")
    second = -(-LARGE.nbytes // ALIGNMENT) * ALIGNMENT
    assert sorted(moved.tensors) == [0, second, second + ALIGNMENT]
    assert moved.sources == {(tmp_path / "m.data").resolve()}
    small = loaded.graph.initializer[1]
    assert small.raw_data == LARGE[0].tobytes() and not small.HasField("data_location")
    assert has_a_place(small)
    put_in_place(loaded)
    assert not has_a_place(small) and not small.raw_data
    assert np.array_equal(onnx.numpy_helper.to_array(small, str(tmp_path)), LARGE[0])
    inline_weights(loaded, tmp_path)
    assert small.raw_data == LARGE[0].tobytes() and not small.external_data
    assert np.array_equal(onnx.numpy_helper.to_array(loaded.graph.initializer[0]), LARGE)


def test_missing_short_and_escaping_external_data_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "m.onnx"
    onnx.save(with_weight(), path, save_as_external_data=True, location="m.data", size_threshold=0)
    data = (folder / "m.data").read_bytes()

    def problem() -> str:
        with pytest.raises(InvalidModel) as caught:
            move_weights(onnx.load(path, load_external_data=False), path, tmp_path / "w.bin")
        return str(caught.value)

    (folder / "m.data").write_bytes(data[:100])
    assert "ends before the data of initializer 'w'" in problem()
    (folder / "m.data").unlink()
    assert "put the file beside the model" in problem()
    (tmp_path / "secret").write_bytes(data)
    loaded = onnx.load(path, load_external_data=False)
    loaded.graph.initializer[0].external_data[0].value = "../secret"
    with pytest.raises(InvalidModel, match="outside the model's folder"):
        move_weights(loaded, path, tmp_path / "w.bin")


def test_a_weight_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    proto = with_weight()
    proto.graph.initializer[0].raw_data = LARGE.tobytes()[:-4]
    with pytest.raises(InvalidModel, match="its shape needs 16384"):
        move_weights(proto, tmp_path / "m.onnx", tmp_path / "w.bin")
