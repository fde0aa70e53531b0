"""A sample of the keys of a log, for the miss-ratio curve, in bounded memory.

Keys are sampled by a hash of themselves (SHARDS: Waldspurger and others, FAST 2015), so that all references to a key
are in the sample or none. Those of positions are sampled by the first position of their row, so that whatever begins
alike is in the sample as a whole or not at all. The rate is lowered by halves so that the sample stays small.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from actcache.audit.outcomes import AGAIN, DECIDED_BY_BUDGET, MISS, REUSED
from actcache.report.rows import Flags, Floats, Ints, Keys, Rows, first_of_row

#: References that are simulated for every budget, at most; if there are positions among them, which come by the
#: hundred in each call.
MOST_REFERENCES, MOST_POSITIONS = 60_000, 500_000
#: Keys, or first positions, below which the rate is not lowered any more: a sample of fewer says little.
_FEWEST = 256


@dataclass(frozen=True)
class References:
    """References to keys, in order.

    Attributes:
        key: Spread evenly (:func:`spread`).
        root: Likewise; of a position, the key of the first one of its row; else as `key`.
        region: Number of the region.
        size: Bytes of the entry; 0: unknown.
        missed: Whether it was not found.
        call: Of positions, a number that those of one call have alone; else 0.
        length: Of positions, how many each row of the call has; else 0.
    """

    key: Keys
    root: Keys
    region: Ints
    size: Floats
    missed: Flags
    call: Ints
    length: Ints

    def __len__(self) -> int:
        return len(self.key)

    def where(self, wanted: Flags | Ints) -> References:
        """Return some of them."""
        return References(*(getattr(self, column.name)[wanted] for column in fields(self)))

    @classmethod
    def joined(cls, parts: list[References]) -> References:
        """Put references one behind the other."""
        if not parts:
            no_keys, no_numbers = np.zeros(0, np.uint64), np.zeros(0, np.int64)
            return cls(no_keys, no_keys, no_numbers, np.zeros(0), np.zeros(0, np.bool_), no_numbers, no_numbers)
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


class KeySample:
    """References to sampled keys, in order.

    Attributes:
        rate: Share of the keys that are sampled.
        rows: Rows looked up while the sample was taken.
        always: Of those, the rows that are reused with any budget.
        never: Of those, the rows that are computed with any.
        full: Whether the sample ended before the log did: few keys, wanted too often.
    """

    def __init__(self, references: int = MOST_REFERENCES, positions: int = MOST_POSITIONS) -> None:
        self.rate = 1.0
        self.rows = self.always = self.never = 0
        self.full = False
        self._most, self._most_positions = references, positions
        self._parts: list[References] = []
        self._count = self._lines = 0

    def add(self, rows: Rows, region: Ints, size: Floats, length: Ints) -> None:
        """Sample some rows.

        Args:
            rows: The rows.
            region: Per row, the number of its region.
            size: Per row, bytes of its entry; 0: unknown.
            length: Per row, if it is a position, how many each row of its call has; else 0.
        """
        if self.full:
            return
        decided = rows.keyed & np.where(length > 0, _simulated(rows), rows.among(DECIDED_BY_BUDGET))
        left = rows.keyed & ~decided
        self.rows += int(rows.keyed.sum())
        self.always += int((left & rows.among(REUSED)).sum())
        self.never += int((left & ~rows.among(REUSED)).sum())
        key = spread(rows.key)
        calls = np.where(length > 0, self._lines + rows.line + 1, 0)
        self._lines += int(rows.line[-1]) + 1 if len(rows.line) else 0
        found = References(key, key[first_of_row(rows, length)], region, size, rows.among(MISS), calls, length)
        found = found.where(decided & (found.root < self._threshold()))
        if found.call.any():
            self._most = max(self._most, self._most_positions)
        self._parts.append(found)
        self._count += len(found)
        while self._count > self._most and not self.full:
            self._halve()

    def references(self) -> References:
        """Return the sample."""
        return References.joined(self._parts)

    def computed_before(self, regions: int) -> Ints:
        """Return how many rows of each of so many regions missed although their key had been looked up before.

        What was stored for them was gone, or nothing had been stored: more room would have found them. Estimated, if
        :attr:`rate` is below 1.
        """
        sample = self.references()
        again = np.ones(len(sample), np.bool_)
        again[np.unique(sample.key, return_index=True)[1]] = False
        counts = np.bincount(sample.region[again & sample.missed], minlength=regions)
        estimated: Ints = (counts / self.rate).round().astype(np.int64)
        return estimated

    def _threshold(self) -> int:
        return min(int(self.rate * 2.0**64), 2**64 - 1)

    def _halve(self) -> None:
        sample = self.references()
        if len(np.unique(sample.root)) < 2 * _FEWEST:
            self.full = True
            self._parts = [sample]
            return
        self.rate /= 2
        self._parts = [sample.where(sample.root < self._threshold())]
        self._count = len(self._parts[0])


def spread(keys: Keys) -> Keys:
    """Hash keys: which are sampled must not depend on how keys were made (the finaliser of splitmix64)."""
    mixed: Keys = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _simulated(rows: Rows) -> Flags:
    """Whether rows are of calls of positions of which all were looked up in memory: other calls are taken as they were,
    as what follows a position goes with it.
    """
    other = ~rows.among(DECIDED_BY_BUDGET + AGAIN) | ~rows.keyed
    lines = int(rows.line[-1]) + 1 if len(rows.line) else 0
    found: Flags = (np.bincount(rows.line[other], minlength=lines) == 0)[rows.line]
    return found
