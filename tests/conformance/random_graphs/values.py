"""Tensors of a graph under construction, and the numbers in them.

Every tensor is known by its value in each of the feeds, so that shapes, types and whether a node runs at all are
onnxruntime's own word. The numbers cannot agree by accident: negative, not round, one row far larger than the others.
"""

# mypy: no-warn-return-any
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.cuts.feeds import Array

FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int64", "int32")
BYTES = ("uint8", "int8")
WHOLE = (*INTEGERS, *BYTES)
NUMBERS = (*FLOATS, *INTEGERS)
BOOL = ("bool",)
STRING = ("object",)

#: Sizes of the batch in the feeds: the first is what the generator looks at, one is 1, and they meet other sizes.
BATCHES = ((3, 1, 4), (4, 3, 1), (2, 1, 3), (3, 5, 2), (6, 2, 1))
#: What the batch multiplies one row by, so that no mean, maximum or scale over the batch overlooks it.
LOUD = 37.1
#: A node with more elements in one output is not taken.
MOST_ELEMENTS = 3000


@dataclass(frozen=True, eq=False)
class Known:
    """A tensor.

    Attributes:
        name: As in the graph.
        arrays: Its value for every feed.
        constant: An initializer.
        noisy: Random numbers are in it: every run gives others.
        ragged: Its size depends on data, so a part of the batch may leave it empty.
    """

    name: str
    arrays: tuple[Array, ...]
    constant: bool = False
    noisy: bool = False
    ragged: bool = False

    @property
    def dtype(self) -> str:
        return self.arrays[0].dtype.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the first feed."""
        return self.arrays[0].shape

    @property
    def rank(self) -> int:
        return self.arrays[0].ndim

    @property
    def varying(self) -> list[int]:
        """Axes whose size is not the same in all feeds: what depends on the batch."""
        return [a for a in range(self.rank) if len({array.shape[a] for array in self.arrays}) > 1]

    @property
    def fixed(self) -> list[int]:
        return [a for a in range(self.rank) if a not in self.varying]

    @property
    def smallest(self) -> int:
        """The smallest number of elements in any feed."""
        return min(array.size for array in self.arrays)

    @property
    def element(self) -> int:
        """ONNX's code of the element type."""
        return element_type(self.arrays[0].dtype)

    def within(self, low: float, high: float) -> bool:
        """Whether all elements are numbers in [low, high)."""
        return all(array.size == 0 or (array.min() >= low and array.max() < high) for array in self.arrays)

    def declaration(self, name: str = "", dims: Sequence[int | str | None] | None = None) -> onnx.ValueInfoProto:
        """The tensor as an input or output of a graph."""
        return onnx.helper.make_tensor_value_info(name or self.name, self.element, dims)


def element_type(dtype: np.dtype[Any]) -> int:
    """ONNX's code of a numpy type; objects are strings."""
    if dtype.kind == "O":
        return int(onnx.TensorProto.STRING)
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def numbers(seed: int, shape: tuple[int, ...], dtype: str, loud_axis: int | None = None, high: int = 0) -> Array:
    """Make up values.

    Args:
        seed: What they follow from.
        shape: Their shape.
        dtype: Their type.
        loud_axis: The axis of the rows, of which one is made loud.
        high: For integers: 0 … high - 1, which can be used as indices; 0: of both signs and large.
    """
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "O":
        return np.asarray(random.integers(0, 30, shape).astype(str), dtype=object).reshape(shape)
    if kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if kind in "iu":
        if high:
            return random.integers(0, high, shape).astype(dtype)
        return random.integers(0 if kind == "u" else -100, 100, shape).astype(dtype)
    made: npt.NDArray[np.float64] = np.asarray(random.normal(0.13, 1.7, shape))
    if loud_axis is not None and shape[loud_axis]:
        made.swapaxes(0, loud_axis)[shape[loud_axis] // 2] *= LOUD if dtype != "float16" else LOUD / 10
    return made.astype(dtype)
