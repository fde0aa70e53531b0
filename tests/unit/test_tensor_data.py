"""Tensors of every type and every way of storing them: their bytes survive, and what is wrong with them is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import model
from onnx import TensorProto

from actcache.errors import InvalidModel
from actcache.passes.graph.nodes import tensor_bytes
from actcache.passes.graph.tensor_data import chunks, external_data, stored_bytes, tensor_digest
from actcache.passes.rewrite.weights import inline_weights, move_weights

COUNT = 10_001
TYPES = [t for name, t in TensorProto.DataType.items() if name not in ("UNDEFINED", "STRING")]


def typed(data_type: int, count: int) -> TensorProto:
    """A tensor that holds its elements in the typed field of its type."""
    values = (np.arange(count) % 2).tolist() if count else []
    return onnx.helper.make_tensor("w", data_type, [count], values)


def raw(data_type: int, count: int) -> TensorProto:
    tensor = TensorProto(name="w", data_type=data_type, dims=[count])
    tensor.raw_data = (np.arange(tensor_bytes(tensor)) % 2).astype(np.uint8).tobytes()
    return tensor


@pytest.mark.parametrize("make", [typed, raw])
@pytest.mark.parametrize("count", [0, 7, COUNT])
@pytest.mark.parametrize("data_type", TYPES, ids=TensorProto.DataType.Name)
def test_every_type_survives(data_type: int, count: int, make: Callable[..., TensorProto], tmp_path: Path) -> None:
    tensor = make(data_type, count)
    proto = model("g (float[N] x) => (float[N] y) { y = Neg(x) }")
    proto.graph.initializer.append(tensor)
    proto.graph.initializer[0].doc_string = "what it is"
    moved = move_weights(proto, tmp_path / "m.onnx", tmp_path / "w.bin")
    digest = tensor_digest(proto.graph.initializer[0], moved.tensors)
    inline_weights(proto, tmp_path)
    back = proto.graph.initializer[0]
    assert back.doc_string == "what it is" and not back.external_data
    assert stored_bytes(back) == stored_bytes(tensor) and len(stored_bytes(back)) == tensor_bytes(tensor)
    assert np.array_equal(
        np.asarray(onnx.numpy_helper.to_array(back)).view(np.uint8),
        np.asarray(onnx.numpy_helper.to_array(tensor)).view(np.uint8),
    )
    assert digest == tensor_digest(tensor, {}) == tensor_digest(back, {})


def external(folder: Path, **where: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[8], data_location=TensorProto.EXTERNAL)
    for key, value in where.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ({"location": "d", "offset": "x"}, "not a number"),
        ({"location": "d", "offset": "-4"}, "describes its external data wrongly"),
        ({"location": ""}, "describes its external data wrongly"),
        ({"location": "d", "length": "16"}, "16 bytes where its shape needs 32"),
        ({"location": "d", "offset": "4"}, "ends before the data of initializer 'w'"),
        ({"location": "no\0thing"}, "cannot be read"),
        ({"location": "missing"}, "No such file"),
        ({"location": "folder"}, "it is not a file"),
        ({"location": "../out"}, "outside the model's folder"),
        ({"location": "/etc/hostname"}, "outside the model's folder"),
    ],
)
def test_external_data_that_cannot_be_right_is_refused(where: dict[str, str], reason: str, tmp_path: Path) -> None:
    home = tmp_path / "model"
    (home / "folder").mkdir(parents=True)
    (home / "d").write_bytes(bytes(32))
    (tmp_path / "out").write_bytes(bytes(32))
    with pytest.raises(InvalidModel) as caught:
        b"".join(chunks(external(home, **where), home / "m.onnx"))
    assert reason in str(caught.value) and "'w'" in str(caught.value)


def test_offset_and_length_may_be_left_out(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d").write_bytes(data.tobytes())
    first, last = external(tmp_path, location="sub/d"), external(tmp_path, location="sub/d", offset="16", length="32")
    assert external_data(first).offset == 0
    assert b"".join(chunks(first, tmp_path / "m")) == data[:8].tobytes()
    assert b"".join(chunks(last, tmp_path / "m")) == data[4:].tobytes()


SPARSE = (
    "g (float[N] x, bool c) => (float[N] y) { s = Neg(x) y = If(c) <then_branch = t () => (float[N] a) { a = Neg(s) }, \
else_branch = e () => (float[N] b) { b = Abs(s) }> }"
)


def test_tensors_outside_the_list_of_initializers_move_too(tmp_path: Path) -> None:
    """In attributes, bodies, functions, sparse initializers and training graphs."""
    proto = model(SPARSE)
    places = {
        "attribute": proto.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t,
        "body": proto.graph.node[1].attribute[0].g.initializer.add(),
        "sparse": proto.graph.sparse_initializer.add().values,
        "function": proto.functions.add(name="f", domain="l").node.add().attribute.add(
            name="value", type=onnx.AttributeProto.TENSOR).t,
        "training": proto.training_info.add().initialization.initializer.add(),
    }  # fmt: skip
    generator = np.random.default_rng(0)
    values = {}
    for offset, (name, tensor) in enumerate(places.items()):
        values[name] = generator.standard_normal(2048).astype(np.float32)
        with (tmp_path / "d").open("ab") as file:
            file.write(values[name].tobytes())
        tensor.CopyFrom(external(tmp_path, location="d", offset=str(offset * 8192), length="8192"))
        tensor.name, tensor.dims[0] = name, 2048
    moved = move_weights(proto, tmp_path / "m.onnx", tmp_path / "w.bin")
    assert len(moved.tensors) == len(places)
    for name, tensor in places.items():
        assert {e.key: e.value for e in tensor.external_data}["location"] == "w.bin"
        assert np.array_equal(onnx.numpy_helper.to_array(tensor, str(tmp_path)), values[name])


def test_the_digest_of_a_sparse_constant_is_that_of_its_values(tmp_path: Path) -> None:
    from outlining import region_of

    from actcache.passes.graph.view import GraphView
    from actcache.passes.identity.fingerprint import fingerprint

    def digest(value: float, name: str, folder: str) -> str:
        proto = model("g (float[N, 4] x) => (float[N, 4] y) { y = Mul(x, NAME) }".replace("NAME", name))
        sparse = proto.graph.sparse_initializer.add(dims=[4])
        home = tmp_path / folder
        home.mkdir()
        (home / "d").write_bytes(np.array([value], np.float32).tobytes())
        sparse.values.CopyFrom(external(home, location="d"))
        sparse.values.name, sparse.values.dims[0] = name, 1
        sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.array([2])))
        moved = move_weights(proto, home / "m.onnx", home / "w.bin")
        view = GraphView(proto)
        region = region_of(view, {0})
        return fingerprint(view, region.nodes, region.live_outs, moved.tensors)

    assert digest(1.5, "s", "1") == digest(1.5, "other", "2") != digest(2.5, "s", "3")
