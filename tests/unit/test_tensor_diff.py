"""Constants side by side: what differs, by how much, wherever and however they are stored."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from actcache.errors import InvalidModel
from actcache.passes.graph.tensor_data import external_data
from actcache.passes.identity.tensor_diff import TensorDifference, tensor_difference

HOME = Path("model.onnx")


def tensor(data_type: int, values: list[Any], dims: list[int] | None = None) -> TensorProto:
    return onnx.helper.make_tensor("t", data_type, dims or [len(values)], values)


def outside(array: np.ndarray, folder: Path, name: str, offset: int = 0) -> TensorProto:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(bytes(offset) + array.tobytes())
    proto = TensorProto(name="t", data_type=onnx.helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
    proto.data_location = TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(array.nbytes))):
        proto.external_data.add(key=key, value=value)
    return proto


@pytest.mark.parametrize(
    ("data_type", "one", "two", "changed", "largest"),
    [
        (TensorProto.FLOAT, [1.0, 2.0, 3.0], [1.0, 2.5, 2.0], 2, 1.0),
        (TensorProto.DOUBLE, [1.0, 2.0], [1.0, 2.0 + 2**-40], 1, 2.0**-40),
        (TensorProto.FLOAT16, [1.0, 2.0], [1.0, -2.0], 1, 4.0),
        (TensorProto.BFLOAT16, [1.0, 2.0], [1.0, 2.5], 1, 0.5),
        (TensorProto.FLOAT8E4M3FN, [1.0, 2.0], [1.5, 2.0], 1, 0.5),
        (TensorProto.INT8, [-128, 5], [127, 5], 1, 255.0),
        (TensorProto.UINT64, [2**63, 5], [2**63, 7], 1, 2.0),
        (TensorProto.BOOL, [True, False, True], [True, True, True], 1, 1.0),
        (TensorProto.INT4, [1, -2, 3], [1, -3, 5], 2, 2.0),
        (TensorProto.COMPLEX64, [1 + 1j, 2j], [1 + 1j, 3j], 1, 1.0),
        (TensorProto.FLOAT, [0.0], [-0.0], 1, 0.0),
        (TensorProto.FLOAT, [1.0, 2.0], [math.nan, 2.5], 2, None),
        (TensorProto.STRING, ["a", "b"], ["a", "c"], 1, None),
    ],
)
def test_what_differs(
    data_type: int, one: list[object], two: list[object], changed: int, largest: float | None
) -> None:
    found = tensor_difference(tensor(data_type, one), HOME, tensor(data_type, two), HOME)
    assert found == TensorDifference(len(one), changed, largest)
    assert tensor_difference(tensor(data_type, one), HOME, tensor(data_type, one), HOME) is None


def test_the_same_not_a_number_is_equal() -> None:
    values = tensor(TensorProto.FLOAT, [math.nan, 1.0])
    assert tensor_difference(values, HOME, values, HOME) is None


def test_how_a_tensor_is_stored_does_not_matter(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    forms = [
        onnx.numpy_helper.from_array(array, "raw"),
        tensor(TensorProto.FLOAT, array.reshape(-1).tolist(), [2, 3]),
        outside(array, tmp_path, "w.bin", offset=16),
    ]
    for one in forms:
        for two in forms:
            assert tensor_difference(one, tmp_path / "m", two, tmp_path / "m") is None


def test_other_types_and_shapes_are_not_compared() -> None:
    one = tensor(TensorProto.FLOAT, [1.0, 2.0])
    for two in (tensor(TensorProto.DOUBLE, [1.0, 2.0]), tensor(TensorProto.FLOAT, [1.0, 2.0], [1, 2])):
        assert tensor_difference(one, HOME, two, HOME) == TensorDifference(2)


def test_large_tensors_are_compared_over_all_their_chunks(tmp_path: Path) -> None:
    array = np.zeros(3 << 20, np.float32)  # three chunks of 4 MiB
    changed = array.copy()
    changed[[0, 1 << 20, (3 << 20) - 1]] = [1, 2, -5]
    one, two = outside(array, tmp_path / "a", "w.bin", 64), outside(changed, tmp_path / "b", "w.bin")
    found = tensor_difference(one, tmp_path / "a" / "m.onnx", two, tmp_path / "b" / "m.onnx")
    assert found == TensorDifference(3 << 20, 3, 5.0)


def test_one_place_is_not_read(tmp_path: Path) -> None:
    """The file is shorter than the model says: reading it would fail."""
    one = outside(np.zeros(4, np.float32), tmp_path, "w.bin")
    (tmp_path / "w.bin").write_bytes(b"")
    assert tensor_difference(one, tmp_path / "m.onnx", one, tmp_path / "n.onnx") is None


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    one = outside(np.zeros(4, np.float32), tmp_path, "w.bin")
    (tmp_path / external_data(one).location).unlink()
    with pytest.raises(InvalidModel, match=r"w\.bin: external data of initializer 't' cannot be read"):
        tensor_difference(one, tmp_path / "m.onnx", tensor(TensorProto.FLOAT, [0.0] * 4), tmp_path / "n.onnx")
