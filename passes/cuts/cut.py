"""What every cut says: the units of a call, and the attributes by which the operators know it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Literal

import numpy as np
import onnx
from onnx.helper import np_dtype_to_tensor_dtype

Granularity = Literal["row", "prefix", "tensor"]


class OneUnit(IntEnum):
    """Why a call is not divided: it is one unit, or none; the numbers are those of ``actcache_units()``."""

    NONE = 0  #: It is not.
    BY_CALLS = 1  #: Its region is cached by whole calls.
    RANK = 2  #: A tensor has another rank than the proof believes.
    NO_AXIS = 3  #: A tensor lacks the axis of its units.
    PART_BYTES = 4  #: The units of a tensor are not whole bytes.
    UNEQUAL = 5  #: The tensors are divided into different numbers of units.
    TOO_MANY = 6  #: There are more units than the operators have numbers for.
    SIZES = 7  #: Sizes are not as the proof believes.
    MASK = 8  #: A mask holds something else than 0 and 1, or closes a position that the proof takes for open.


@dataclass(frozen=True)
class TensorShape:
    """What decides how a tensor is divided.

    Attributes:
        sizes: Of its axes.
        dtype: Its ``TensorProto.DataType``.
    """

    sizes: tuple[int, ...]
    dtype: int = onnx.TensorProto.FLOAT

    @classmethod
    def of(cls, value: object) -> TensorShape:
        """Return that of an array; what is none (a sequence, an input that was left out) has no axes."""
        if not isinstance(value, np.ndarray):
            return cls(())
        text = value.dtype.kind in "OUS"
        return cls(value.shape, onnx.TensorProto.STRING if text else np_dtype_to_tensor_dtype(value.dtype))


@dataclass(frozen=True)
class Units:
    """What a call is divided into.

    Attributes:
        count: How many units; 0: there is nothing to look up.
        why: Why it is one unit, or none.
        text: The same in words.
    """

    count: int
    why: OneUnit = OneUnit.NONE
    text: str = ""

    @property
    def divided(self) -> bool:
        """Whether the call is divided as its region is."""
        return self.why is OneUnit.NONE


@dataclass(frozen=True)
class Cut(ABC):
    """How the calls of a region are divided.

    Attributes:
        frontier_axes: Per frontier tensor the axis along which units follow each other; None: all of it belongs to
            every unit.
        live_out_axes: Likewise per live-out.
        min_units: A call of fewer units than this shares no entries with others, and no call of more is computed with
            fewer: some kernels give one row other bits than several. Only ``--exact bits`` asks for more than 1.
        min_computed: Fewest units that a call of more is computed with, where the region itself fills up what
            depends on it; None: `min_units`.
    """

    granularity: ClassVar[Granularity]

    frontier_axes: tuple[int | None, ...]
    live_out_axes: tuple[int | None, ...]
    min_units: int = 1
    min_computed: int | None = None

    @property
    def compact_axes(self) -> tuple[int | None, ...]:
        """Per frontier tensor the axis along which ``CacheLookup`` hands out what is to be computed; None: the region
        reads it as it is.
        """
        return self.frontier_axes

    @property
    def position_axes(self) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        """Per frontier tensor, and per tensor that an entry holds, the axis of positions; empty: there are none."""
        return (), ()

    @abstractmethod
    def units(self, frontier: Sequence[TensorShape], names: Sequence[str] = ()) -> Units:
        """Return what a call is divided into, as ``CacheLookup`` decides it.

        Args:
            frontier: The shapes of the frontier tensors.
            names: What to call them in :attr:`Units.text`; by their numbers if there are none.
        """

    @classmethod
    @abstractmethod
    def read(cls, attributes: Mapping[str, Any]) -> Cut:
        """Return the cut that attributes of a ``CacheLookup`` describe.

        Raises:
            KeyError: An attribute is missing.
        """

    def attributes(self) -> list[onnx.AttributeProto]:
        """Return the attributes that both operators have."""
        make = onnx.helper.make_attribute
        apart = [make("min_rows", self.min_units)] if self.min_units > 1 else []
        apart += [make("min_computed_rows", self.min_computed)] if self.min_computed is not None else []
        return [
            make("granularity", self.granularity),
            make("output_row_axes", numbers_of(self.live_out_axes)),
            *apart,
        ]

    def lookup_attributes(self) -> list[onnx.AttributeProto]:
        """Return those that only ``CacheLookup`` has."""
        return [onnx.helper.make_attribute("input_row_axes", numbers_of(self.frontier_axes))]


def numbers_of(axes: Sequence[int | None]) -> list[int]:
    """Return axes as the attributes hold them: -1 for none."""
    return [-1 if axis is None else axis for axis in axes]


def axes_of(numbers: Sequence[int]) -> tuple[int | None, ...]:
    """Return what :func:`numbers_of` was given."""
    return tuple(None if number < 0 else number for number in numbers)
