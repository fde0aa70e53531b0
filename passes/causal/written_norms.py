"""Normalisations that a model writes as operators, as exporters do for older operator sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.nodes import node_attribute
from actcache.passes.graph.view import GraphView


def attribute_of(node: onnx.NodeProto, name: str) -> Any:
    """Return the value of an attribute, or None."""
    found = node_attribute(node, name)
    return None if found is None else onnx.helper.get_attribute_value(found)


class WrittenNorms:
    """Finds d / √(mean(d²) + ε), the mean along the last axis.

    Args:
        view: The model.
        constant: Returns the value of a constant, or None.
        rank: Returns how many axes a tensor has, or None.
    """

    def __init__(
        self,
        view: GraphView,
        constant: Callable[[str], npt.NDArray[np.generic] | None],
        rank: Callable[[str], int | None],
    ) -> None:
        self.view, self.constant, self.rank = view, constant, rank

    def normalised_by(self, node: onnx.NodeProto) -> str | None:
        """Return d if `node`, a Div or Mul, is the last one of a normalisation; else None."""
        for d, other in (node.input, reversed(node.input)) if node.op_type == "Mul" else (node.input,):
            root = self._written(other, "Reciprocal") if node.op_type == "Mul" else other
            sums = self._written(root, "Sqrt")
            mean = next((part for part in self._parts(sums) if part not in self.view.constants), None)
            squares = self._written(mean, "ReduceMean")
            if squares and self._over_last(mean) and self._positive(sums) and self._is_square(squares, d):
                return str(d)
        return None

    def _node(self, name: str | None) -> onnx.NodeProto | None:
        index = self.view.producer.get(name or "")
        return None if index is None else self.view.model.graph.node[index]

    def _written(self, name: str | None, operator: str) -> str | None:
        """Return the first operand of the node that writes a tensor, if it is this operator."""
        node = self._node(name)
        return node.input[0] if node is not None and (node.domain, node.op_type) == ("", operator) else None

    def _parts(self, name: str | None) -> list[str]:
        node = self._node(name)
        return list(node.input) if node is not None and node.op_type == "Add" else []

    def _positive(self, sums: str | None) -> bool:
        """Whether what is added is a constant that is not negative."""
        added = [self.constant(part) for part in self._parts(sums) if part in self.view.constants]
        return len(added) == 1 and added[0] is not None and bool((added[0] >= np.zeros_like(added[0])).all())

    def _over_last(self, name: str | None) -> bool:
        node = self._node(name)
        if node is None or not node.input or attribute_of(node, "keepdims") == 0:
            return False
        given = attribute_of(node, "axes")
        axes = list(given) if given else None
        if axes is None and len(node.input) > 1:
            array = self.constant(node.input[1])
            axes = None if array is None else [int(axis) for axis in array.reshape(-1)]
        rank = self.rank(node.input[0])
        return axes == [-1] or (rank is not None and axes == [rank - 1])

    def _is_square(self, squares: str, d: str) -> bool:
        node = self._node(squares)
        if node is None or node.op_type not in ("Pow", "Mul"):
            return False
        if node.op_type == "Pow":
            power = self.constant(node.input[1])
            return power is not None and bool((power == 2).all()) and self._is_same(node.input[0], d)
        return all(self._is_same(read, d) for read in node.input)

    def _is_same(self, a: str, b: str) -> bool:
        """Whether two tensors are one, or differences of the same two."""
        one, other = self._node(a), self._node(b)
        differences = one is not None and other is not None and one.op_type == other.op_type == "Sub"
        return a == b or (differences and list(one.input) == list(other.input))  # type: ignore[union-attr]
