"""Models of a wanted size: so many regions, or so many bytes of weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from actcache.base.region_spec import RegionSpec

#: Bytes of one weight of :func:`save_heavy`.
LAYER_BYTES = 64 << 20
_NARROW, _WIDE = 64, 4096


def save_chain(path: Path, layers: int) -> list[RegionSpec]:
    """Save a model of so many small layers, and return a region for each of them.

    It reads ``x`` (float[N, 64]).
    """
    random = np.random.default_rng(0)
    weights = [random.normal(size=(_NARROW, _NARROW)).astype(np.float32) / 8 for _ in range(layers)]
    onnx.save(_layered([numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)], _NARROW), path)
    return [RegionSpec(f"layer {i}", (_between(i, layers),), (_between(i + 1, layers),)) for i in range(layers)]


def save_heavy(path: Path, layers: int) -> None:
    """Save a model of so many layers of 64 MiB, with its weights in a file beside it.

    It reads ``x`` (float[N, 4096]).
    """
    data = path.with_suffix(".data")
    tensors = []
    weight = np.random.default_rng(0).standard_normal((_WIDE, _WIDE), np.float32) / 64
    with data.open("wb") as file:
        for i in range(layers):
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=(_WIDE, _WIDE))
            tensor.data_location = TensorProto.EXTERNAL
            place = {"location": data.name, "offset": file.tell(), "length": LAYER_BYTES}
            tensor.external_data.extend(onnx.StringStringEntryProto(key=k, value=str(v)) for k, v in place.items())
            tensors.append(tensor)
            file.write(np.roll(weight, i, axis=0).tobytes())
    onnx.save(_layered(tensors, _WIDE), path)


def row(path: Path, seed: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return a call of one row for a model of this module."""
    shape = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape
    return {"x": np.random.default_rng(seed).standard_normal((1, shape.dim[1].dim_value), np.float32)}


def _between(layer: int, layers: int) -> str:
    return "x" if layer == 0 else "y" if layer == layers else f"h{layer}"


def _layered(weights: list[TensorProto], width: int) -> onnx.ModelProto:
    nodes = []
    for i, weight in enumerate(weights):
        nodes.append(helper.make_node("MatMul", [_between(i, len(weights)), weight.name], [f"m{i}"]))
        nodes.append(helper.make_node("Tanh", [f"m{i}"], [_between(i + 1, len(weights))]))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "layers", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
