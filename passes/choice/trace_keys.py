"""What a trace of recorded calls holds for the choice of regions: the keys that every frontier would have had.

A :class:`Place` is a tensor with the axes along which units follow each other in it: rows of a batch, positions of a
sequence. For every call a trace holds one hash per row, per position, or per position of each row; one in all, if the
tensor is not divided. The key of a region's unit combines the hashes at its frontier's places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from actcache.passes.choice.chained_keys import Hashes, chained, joined, whole
from actcache.passes.cuts import Cut, PrefixCut, RowCut, TensorShape, Units
from actcache.passes.cuts.prefix import MaskOpen
from actcache.passes.region import Region


class Place(NamedTuple):
    """A tensor, and where its units are.

    Attributes:
        tensor: Its name.
        rows: The axis of its rows; None: all of it belongs to every row.
        positions: The axis of its positions, likewise.
    """

    tensor: str
    rows: int | None = None
    positions: int | None = None


def places(region: Region) -> tuple[Place, ...]:
    """Return the places that the keys of a region are made of."""
    positions = region.cut.position_axes[0] or repeat(None)
    return tuple(map(Place, region.frontier, region.cut.frontier_axes, positions))


@dataclass(frozen=True)
class TraceKeys:
    """Recorded calls, in order.

    Attributes:
        seconds: Per call, how long the original takes.
        hashes: Place to the hashes of every call.
        shapes: Tensor to its shape in every call.
        masks: Place with positions to how far its elements are a mask that is open, in every call.
    """

    seconds: npt.NDArray[np.float64]
    hashes: Mapping[Place, Sequence[Hashes]]
    shapes: Mapping[str, Sequence[TensorShape]]
    masks: Mapping[Place, Sequence[int]] = field(default_factory=dict)

    @cached_property
    def total(self) -> float:
        """Seconds of the original over all calls."""
        return float(self.seconds.sum())

    def holds(self, wanted: Sequence[Place]) -> bool:
        """Whether the hashes of all these places were taken."""
        return all(place in self.hashes for place in wanted)

    def keys(self, wanted: Sequence[Place], cut: Cut | None = None) -> list[Hashes]:
        """Return the keys of every call: one per unit; of a cut by positions [rows, positions].

        Args:
            wanted: The places, all of them held.
            cut: What decides how calls are divided; None: the rows of the places that have any.
        """
        by = cut or RowCut(tuple(place.rows for place in wanted), ())
        return [self._keys(call, wanted, by) for call in range(len(self.seconds))]

    def distinct(self, wanted: Sequence[Place]) -> int:
        """Return how many different keys there are in all calls."""
        keys = self.keys(wanted)
        return len(np.unique(np.concatenate(keys))) if keys else 0

    def _keys(self, call: int, wanted: Sequence[Place], cut: Cut) -> Hashes:
        units = cut.units([self.shapes[place.tensor][call] for place in wanted])
        if isinstance(cut, PrefixCut):
            return self._chains(call, wanted, cut, units)
        key = np.zeros(units.count, np.uint64)
        for place in wanted:
            part = self.hashes[place][call]
            divided = units.divided and place.rows is not None
            key = joined(key, part if divided else whole(part))
        return key

    def _chains(self, call: int, wanted: Sequence[Place], cut: PrefixCut, units: Units) -> Hashes:
        """The keys of a call's positions; none, if it is computed without the cache."""
        opens = (dict.fromkeys(cut.binary, MaskOpen.FIRST) | dict.fromkeys(cut.ones, MaskOpen.ALL)).items()
        if units.count == 0 or any(self.masks[wanted[number]][call] < least for number, least in opens):
            return np.zeros((0, 0), np.uint64)
        sequence = next(place for place in wanted if place.positions is not None)
        length = self.shapes[sequence.tensor][call].sizes[sequence.positions or 0]
        rows = units.count // length
        starts, positions = np.zeros(rows, np.uint64), np.zeros((rows, length), np.uint64)
        for place in wanted:
            part = self.hashes[place][call]
            if place.positions is not None:
                positions = joined(positions, part.reshape(-1, length))
            else:
                starts = joined(starts, part if place.rows is not None else whole(part))
        return chained(starts, positions)
