"""Values of constants, however they are made: stored, stored outside the model, or computed from such."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.nodes import element_bits, is_constant_node
from actcache.passes.graph.view import GraphView

Array = npt.NDArray[np.generic]
#: Reads a tensor whose data lies outside the model.
ReadTensor = Callable[[onnx.TensorProto], Array]

#: Constants above this are not looked at.
LARGEST = 16 << 20


class ConstantValues:
    """Looks up the constants of a model.

    Args:
        view: The model.
        read: Reads external data.

    Attributes:
        told: Initializers and results of ``Constant`` nodes whose values were asked for, or are a part of such values.
    """

    def __init__(self, view: GraphView, read: ReadTensor) -> None:
        self._view, self._read = view, read
        self._known: dict[str, Array | None] = {}
        self.told: set[str] = set()

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a constant; None if it is not a constant, or too large to be read."""
        if name not in self._view.constants:
            return None
        shape, dtype = self._view.shape(name), self._view.dtype(name)
        if shape is None or dtype is None:
            return None
        sizes = tuple(size for size in shape if isinstance(size, int))
        small = len(sizes) == len(shape) and math.prod(sizes) * element_bits(dtype) // 8 <= LARGEST
        return sizes if small else None

    def value(self, name: str) -> Array | None:
        """Return the value of a constant; None where :meth:`shape` is None or it cannot be computed here."""
        if name not in self._known:
            self._known[name] = self._find(name) if self.shape(name) is not None else None
        return self._known[name]

    def _find(self, name: str) -> Array | None:
        tensor = self._view.initializer(name)
        if tensor is not None:
            self.told.add(name)
            return self._stored(tensor)
        nodes, leaves = self._closure(name)
        self.told.update(tensor.name for tensor in leaves)
        self.told.update(node.output[0] for node in nodes if is_constant_node(node))
        stored = [onnx.numpy_helper.from_array(self._stored(t), t.name) for t in leaves]
        graph = onnx.helper.make_graph(nodes, "constant", [], [onnx.ValueInfoProto(name=name)], stored)
        try:
            model = onnx.helper.make_model(graph, opset_imports=self._view.model.opset_import)
            from onnx.reference import ReferenceEvaluator  # loads all of its operators

            (found,) = ReferenceEvaluator(model).run(None, {})
        except Exception:  # whatever it lacks or refuses: the value is then not known
            return None
        return found if isinstance(found, np.ndarray) else None

    def _closure(self, name: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Return the nodes that compute a constant, and what they read."""
        nodes: set[int] = set()
        leaves: dict[str, onnx.TensorProto] = {}
        waiting = [name]
        while waiting:
            current = waiting.pop()
            index = self._view.producer.get(current)
            tensor = self._view.initializer(current)
            if index is not None and index not in nodes:
                nodes.add(index)
                waiting += self._view.reads[index]
            elif tensor is not None:
                leaves[current] = tensor
        return [self._view.model.graph.node[i] for i in sorted(nodes)], list(leaves.values())

    def _stored(self, tensor: onnx.TensorProto) -> Array:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._read(tensor)
        return onnx.numpy_helper.to_array(tensor)
