"""Sizes in the branch of a suffix: S, P and S - P as tensors, and sizes that hold them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.causal.state import S
from actcache.passes.rows.sizes import Size

#: Ends from here on mean "to the end".
END = np.iinfo(np.int64).max


class SuffixSizes:
    """Makes the small nodes that compute with sizes; equal ones once.

    Args:
        nodes: Takes the nodes.
        mark: Is appended to all names.
        counted: A tensor with positions, and its suffix.
        axis: Of their positions.
    """

    def __init__(self, nodes: list[onnx.NodeProto], mark: str, counted: tuple[str, str], axis: int) -> None:
        self.initializers: list[onnx.TensorProto] = []
        self.nodes, self._mark, self._counted, self._axis = nodes, mark, counted, axis
        self._made: dict[tuple[object, ...], str] = {}

    def inside(self, mark: str) -> SuffixSizes:
        """Return what makes nodes of a body within the branch; `mark` tells their names from others."""
        return SuffixSizes([], f"{self._mark}.{mark}", self._counted, self._axis)

    @property
    def all(self) -> str:
        """S, as a vector of one."""
        return self._size_of(self._counted[0])

    @property
    def rest(self) -> str:
        """S - P, as a vector of one."""
        return self._size_of(self._counted[1])

    @property
    def known(self) -> str:
        """P, as a vector of one."""
        return self.node("Sub", self.all, self.rest)

    def cut(self, whole: str, part: str, axes: Sequence[int]) -> None:
        """Write positions P … S-1 along each of `axes` of `whole` to `part`."""
        starts = self.known if len(axes) == 1 else self.node("Expand", self.known, self.vector([len(axes)]))
        inputs = [whole, starts, self.vector([END] * len(axes)), self.vector(axes)]
        self.nodes.append(onnx.helper.make_node("Slice", inputs, [part]))

    def last(self, whole: str, axis: int, *, or_all: bool = False) -> str:
        """Return the last S - P positions along an axis; `or_all`: all there are, if P is 0."""
        start = self.node("Neg", self.rest)
        if or_all:
            start = self.node("Where", self.node("Equal", self.known, self.vector([0])), self.vector([0]), start)
        return self.node("Slice", whole, start, self.vector([END]), self.vector([axis]))

    def first(self, whole: str, axis: int) -> str:
        """Return positions 0 … P-1 along an axis."""
        return self.node("Slice", whole, self.vector([0]), self.known, self.vector([axis]))

    def end(self, tensor: str, axis: int) -> str:
        """Return the last position of a tensor, as an axis of one; of none, none."""
        return self.node("Slice", tensor, self.vector([-1]), self.vector([END]), self.vector([axis]))

    def shortened(self, sizes: str, elements: Sequence[Size], chosen: Sequence[bool]) -> str:
        """Return sizes, S replaced by S - P in the chosen elements, all of which are multiples of S."""
        factors = self._factors(elements, chosen)
        if factors is None:
            return self._scaled(sizes, chosen, self.rest, self.all)
        return self.node("Sub", sizes, self.node("Mul", self.known, self.vector(factors)))

    def lengthened(self, sizes: str, elements: Sequence[Size], chosen: Sequence[bool]) -> str:
        """Return sizes of the suffix, S - P replaced by S in the chosen elements; `elements`: as they then are."""
        factors = self._factors(elements, chosen)
        if factors is None:
            return self._scaled(sizes, chosen, self.all, self.rest)
        return self.node("Add", sizes, self.node("Mul", self.known, self.vector(factors)))

    def moved_diagonal(self, operands: list[str], rank: int, version: Collection[int]) -> list[str]:
        """Return the operands of a Trilu, which counts from the first row and column that it gets: along the axes of
        `version` these begin at position P.
        """
        rows, columns = rank - 2 in version, rank - 1 in version
        if rows == columns:
            return operands
        known = self.node("Reshape", self.known, self.vector([]))
        if len(operands) < 2 or not operands[1]:
            return [operands[0], known if rows else self.node("Neg", known)]
        scalar = self.node("Reshape", operands[1], self.vector([]))
        return [operands[0], self.node("Add" if rows else "Sub", scalar, known)]

    def vector(self, numbers: Sequence[int]) -> str:
        """Return a constant."""
        key = ("vector", *numbers)
        if key not in self._made:
            name = f"numbers{len(self._made)}{self._mark}"
            self.initializers.append(onnx.numpy_helper.from_array(np.array(numbers, np.int64), name))
            self._made[key] = name
        return self._made[key]

    def constant(self, value: npt.NDArray[np.generic], dtype: int) -> str:
        """Return a constant of an ONNX type."""
        array = value.astype(onnx.helper.tensor_dtype_to_np_dtype(dtype))
        key = ("constant", dtype, array.tobytes(), array.shape)
        if key not in self._made:
            self._made[key] = f"constant{len(self._made)}{self._mark}"
            self.initializers.append(onnx.numpy_helper.from_array(array, self._made[key]))
        return self._made[key]

    def _factors(self, elements: Sequence[Size], chosen: Sequence[bool]) -> list[int] | None:
        """How often S is in each chosen element; None where that is not a number."""
        found = []
        for size, wanted in zip(elements, chosen, strict=True):
            factor = size.divided_by(S) if wanted else None
            if wanted and (factor is None or factor.value is None):
                return None
            found.append(factor.value if factor is not None and factor.value is not None else 0)
        return found

    def _scaled(self, sizes: str, chosen: Sequence[bool], to: str, by: str) -> str:
        """sizes · to / by in the chosen elements. Without positions nothing is divided by 0."""
        quotient = self.node("Div", self.node("Mul", sizes, self._some(to)), self._some(by))
        which = self.node("Cast", self.vector([int(wanted) for wanted in chosen]), to=onnx.TensorProto.BOOL)
        return self.node("Where", which, quotient, sizes)

    def _some(self, size: str) -> str:
        """The size, or 1 for 0. Max knows integers from opset 12 on only."""
        none = self.node("Equal", size, self.vector([0]))
        return self.node("Add", size, self.node("Cast", none, to=onnx.TensorProto.INT64))

    def _size_of(self, name: str) -> str:
        return self.node("Gather", self.node("Shape", name), self.vector([self._axis]), axis=0)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Return the output of a small node."""
        key = (operator, *inputs, *sorted(attributes.items()))
        if key not in self._made:
            name = f"size{len(self._made)}{self._mark}"
            self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **attributes))
            self._made[key] = name
        return self._made[key]
