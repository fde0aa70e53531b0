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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from actcache.passes.choice.chained_keys import Hashes, chained, joined, whole
from actcache.passes.cuts import Cut, PrefixCut, RowCut, TensorShape, Units
from actcache.passes.cuts.prefix import MaskOpen

if TYPE_CHECKING:
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


def _by_rows(wanted: Sequence[Place]) -> RowCut:
    """Return the cut that divides calls by the rows of the places that have any."""
    return RowCut(tuple(place.rows for place in wanted), ())


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
        by = cut or _by_rows(wanted)
        if isinstance(by, PrefixCut):
            units = self._units(wanted, by)
            return [self._chains(call, wanted, by, found) for call, found in enumerate(units)]
        keys, counts = self.flat_keys(wanted, by)
        return np.split(keys, np.cumsum(counts)[:-1])

    def flat_keys(self, wanted: Sequence[Place], cut: Cut) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """Return the keys of all calls, one call after the other, and how many each has; arguments as :meth:`keys`. The
        cut is none by positions.
        """
        units = self._units(wanted, cut)
        counts = np.array([found.count for found in units], np.int64)
        keys = np.zeros(counts.sum(), np.uint64)
        for place in wanted:
            parts, wholes = self.hashes[place], self._wholes(place)
            divided = [found.divided and place.rows is not None for found in units]
            if all(divided):
                part = np.concatenate(parts)
            else:
                calls = zip(parts, wholes, counts, divided, strict=True)
                part = np.concatenate([own if apart else np.repeat(all_, n) for own, all_, n, apart in calls])
            keys = joined(keys, part)
        return keys, counts

    def distinct(self, wanted: Sequence[Place]) -> int:
        """Return how many different keys there are in all calls."""
        asked = tuple(wanted)
        if asked not in self._distinct:
            self._distinct[asked] = len(np.unique(self.flat_keys(asked, _by_rows(asked))[0]))
        return self._distinct[asked]

    @cached_property
    def _distinct(self) -> dict[tuple[Place, ...], int]:
        return {}

    @cached_property
    def _known_wholes(self) -> dict[Place, Hashes]:
        return {}

    def _wholes(self, place: Place) -> Hashes:
        """What stands for all of a place, per call."""
        if place not in self._known_wholes:
            self._known_wholes[place] = np.concatenate([whole(part) for part in self.hashes[place]])
        return self._known_wholes[place]

    def _units(self, wanted: Sequence[Place], cut: Cut) -> list[Units]:
        """What each call is divided into; many calls have the same shapes."""
        known: dict[tuple[TensorShape, ...], Units] = {}
        found = []
        of_calls = zip(*(self.shapes[place.tensor] for place in wanted), strict=True)
        for shapes in of_calls if wanted else [()] * len(self.seconds):
            if shapes not in known:
                known[shapes] = cut.units(shapes)
            found.append(known[shapes])
        return found

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
