"""What a trace of recorded calls holds for the choice of regions: the keys that every frontier would have had.

A *place* is a tensor with the axis that is cut into rows, or None where the whole tensor is one part of a key. For
every call a trace holds one hash per row (one in all for None); the key of a region's row combines the hashes at
its frontier's places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from actcache.passes.cuts import Cut, RowCut, TensorShape
from actcache.passes.region import Region

# Not as strings: the types of requests hold these two, and Python 3.10 does not look into strings there.
#: A tensor and the axis of its rows; None: the whole of it.
Place: TypeAlias = tuple[str, int | None]
Hashes: TypeAlias = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def places(region: Region) -> tuple[Place, ...]:
    """Return the places that the keys of a region are made of."""
    return tuple(region.frontier_axes.items())


@dataclass(frozen=True)
class TraceKeys:
    """Recorded calls, in order.

    Attributes:
        seconds: Per call, how long the original takes.
        hashes: Place to the hashes of every call.
        shapes: Tensor to its shape in every call.
    """

    seconds: npt.NDArray[np.float64]
    hashes: Mapping[Place, Sequence[Hashes]]
    shapes: Mapping[str, Sequence[TensorShape]]

    @cached_property
    def total(self) -> float:
        """Seconds of the original over all calls."""
        return float(self.seconds.sum())

    def holds(self, wanted: Sequence[Place]) -> bool:
        """Whether the hashes of all these places were taken."""
        return all(place in self.hashes for place in wanted)

    def keys(self, wanted: Sequence[Place], cut: Cut | None = None) -> list[Hashes]:
        """Return the keys of every call, one per unit.

        Args:
            wanted: The places, all of them held.
            cut: What decides how calls are divided; None: the rows of the places that have any.
        """
        by = cut or RowCut(tuple(axis for _, axis in wanted), ())
        return [self._keys(call, wanted, by) for call in range(len(self.seconds))]

    def distinct(self, wanted: Sequence[Place]) -> int:
        """Return how many different keys there are in all calls."""
        keys = self.keys(wanted)
        return len(np.unique(np.concatenate(keys))) if keys else 0

    def _keys(self, call: int, wanted: Sequence[Place], cut: Cut) -> Hashes:
        units = cut.units([self.shapes[name][call] for name, _ in wanted])
        key = np.zeros(units.count, np.uint64)
        with np.errstate(over="ignore"):
            for name, axis in wanted:
                part = self.hashes[name, axis][call]
                divided = units.divided and axis is not None
                key = (key ^ (part if divided else _whole(part))) * _MULTIPLIER
                key ^= key >> np.uint64(29)
        return key


def _whole(rows: Hashes) -> Hashes:
    """Return what stands for a tensor, given the hashes of its rows in order; one number."""
    return np.bitwise_xor.reduce(
        rows * (np.arange(len(rows), dtype=np.uint64) * np.uint64(2) + _MULTIPLIER), keepdims=True
    )
