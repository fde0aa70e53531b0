"""Time of the analysis alone: the view of a graph, all proofs, and the choice of regions by estimated costs."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from actcache.passes.choice.choose import choose
from actcache.passes.costs.cost import estimate_costs
from actcache.passes.graph.view import GraphView

#: Sizes of the graphs, in nodes.
SIZES = (500, 1000, 2500, 5000)
_WIDTH, _HEADS = 32, 4


def analysis_seconds(nodes: int, repeats: int = 3) -> float:
    """Return the least of a few times that the analysis of a graph takes."""
    model = encoder(nodes)
    return min(_analyse(model) for _ in range(repeats))


def _analyse(model: onnx.ModelProto) -> float:
    start = time.perf_counter()
    view = GraphView(model)
    choice = choose(view, estimate_costs(view))
    seconds = time.perf_counter() - start
    if not any(c.region.granularity == "row" for plan in choice.plans for c in plan):
        raise RuntimeError("no region of rows was found in a graph that is nothing else")
    return seconds


def encoder(nodes: int) -> onnx.ModelProto:
    """Make a transformer encoder of about this many nodes, with the size arithmetic of TorchScript's exporter."""
    graph = _Graph()
    ids, mask = graph.input("input_ids", TensorProto.INT64), graph.input("attention_mask", TensorProto.FLOAT)
    x = graph.add("Gather", graph.weight(100, _WIDTH), ids)
    hidden = graph.add("Unsqueeze", mask, graph.ints(1, 2))
    hidden = graph.add("Mul", graph.add("Sub", graph.floats(1.0), hidden), graph.floats(-1e4))
    while len(graph.nodes) < nodes:
        x = _layer(graph, x, hidden)
    return graph.model(x)


def _layer(graph: _Graph, x: str, hidden: str) -> str:
    query, key, value = (_heads(graph, graph.add("MatMul", x, graph.weight(_WIDTH, _WIDTH))) for _ in range(3))
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    weights = graph.add("Softmax", graph.add("Add", graph.add("Mul", scores, graph.floats(0.3)), hidden), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", weights, value), perm=[0, 2, 1, 3])
    together = graph.add("Concat", _size(graph, mixed, 0), _size(graph, mixed, 1), graph.ints(_WIDTH), axis=0)
    mixed = graph.add("MatMul", graph.add("Reshape", mixed, together), graph.weight(_WIDTH, _WIDTH))
    x = _normalised(graph, graph.add("Add", x, mixed))
    wide = graph.add("Erf", graph.add("MatMul", x, graph.weight(_WIDTH, 2 * _WIDTH)))
    return _normalised(graph, graph.add("Add", x, graph.add("MatMul", wide, graph.weight(2 * _WIDTH, _WIDTH))))


def _heads(graph: _Graph, x: str) -> str:
    """[N, S, width] → [N, heads, S, width / heads], by sizes read off the tensor itself."""
    sizes = graph.add("Concat", _size(graph, x, 0), _size(graph, x, 1), graph.ints(_HEADS), graph.ints(-1), axis=0)
    return graph.add("Transpose", graph.add("Reshape", x, sizes), perm=[0, 2, 1, 3])


def _size(graph: _Graph, x: str, axis: int) -> str:
    return graph.add("Unsqueeze", graph.add("Gather", graph.add("Shape", x), graph.scalar(axis)), graph.ints(0))


def _normalised(graph: _Graph, x: str) -> str:
    """Layer normalisation in its parts."""
    centred = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[-1]))
    variance = graph.add("ReduceMean", graph.add("Pow", centred, graph.floats(2.0)), axes=[-1])
    deviation = graph.add("Sqrt", graph.add("Add", variance, graph.floats(1e-5)))
    scaled = graph.add("Mul", graph.add("Div", centred, deviation), graph.weight(_WIDTH))
    return graph.add("Add", scaled, graph.weight(_WIDTH))


class _Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def input(self, name: str, element: int) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, element, ["batch", "tokens"]))
        return name

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))  # type: ignore[arg-type]
        return name

    def weight(self, *shape: int) -> str:
        return self._constant(self._random.normal(size=shape).astype(np.float32))

    def floats(self, value: float) -> str:
        return self._constant(np.asarray(value, np.float32))

    def ints(self, *values: int) -> str:
        return self._constant(np.asarray(values, np.int64))

    def scalar(self, value: int) -> str:
        return self._constant(np.asarray(value, np.int64))

    def _constant(self, array: npt.NDArray[np.generic]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def model(self, output: str) -> onnx.ModelProto:
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "tokens", _WIDTH])
        graph = helper.make_graph(self.nodes, "encoder", self._inputs, [result], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
