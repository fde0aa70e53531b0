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

from actcache.passes.region import Region

#: A tensor and the axis of its rows; None: the whole of it.
Place: TypeAlias = "tuple[str, int | None]"
Hashes: TypeAlias = "npt.NDArray[np.uint64]"

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def places(region: Region) -> tuple[Place, ...]:
    """Return the places that the keys of a region are made of."""
    rows = region.granularity == "row"
    return tuple((name, region.frontier_axes.get(name) if rows else None) for name in region.frontier)


@dataclass(frozen=True)
class TraceKeys:
    """Recorded calls, in order.

    Attributes:
        seconds: Per call, how long the original takes.
        hashes: Place to the hashes of every call.
    """

    seconds: npt.NDArray[np.float64]
    hashes: Mapping[Place, Sequence[Hashes]]

    @cached_property
    def total(self) -> float:
        """Seconds of the original over all calls."""
        return float(self.seconds.sum())

    def holds(self, wanted: Sequence[Place]) -> bool:
        """Whether the hashes of all these places were taken."""
        return all(place in self.hashes for place in wanted)

    def keys(self, wanted: Sequence[Place]) -> list[Hashes]:
        """Return the keys of every call; one for the whole call where its row tensors disagree in their rows.

        Args:
            wanted: The places, all of them held.
        """
        return [self._keys(call, wanted) for call in range(len(self.seconds))]

    def distinct(self, wanted: Sequence[Place]) -> int:
        """Return how many different keys there are in all calls."""
        keys = self.keys(wanted)
        return len(np.unique(np.concatenate(keys))) if keys else 0

    def _keys(self, call: int, wanted: Sequence[Place]) -> Hashes:
        parts = [(axis, self.hashes[name, axis][call]) for name, axis in wanted]
        counts = {len(part) for axis, part in parts if axis is not None}
        rows = counts.pop() if len(counts) == 1 else 1
        key = np.zeros(rows, np.uint64)
        with np.errstate(over="ignore"):
            for _, part in parts:
                other = part if len(part) in (1, rows) else np.bitwise_xor.reduce(part * _MULTIPLIER)
                key = (key ^ other) * _MULTIPLIER
                key ^= key >> np.uint64(29)
        return key
