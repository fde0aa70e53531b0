"""What the store would reuse with another budget: a miss-ratio curve from the recorded keys, in bounded memory.

Keys are sampled by a hash of themselves (SHARDS: Waldspurger and others, FAST 2015), so that all references to a key
are in the sample or none. A store whose budget is scaled down by the same rate is then played with the sample
(miniature simulation: Waldspurger and others, USENIX ATC 2017), once for each budget, by the policy of the library:
:class:`actcache.passes.choice.store_simulation.StoreSimulation`.

The rate is lowered by halves so that the sample stays small. Misses of the sample, divided by the rate, are held
against the true number of rows: keys that are wanted often weigh too much or too little in a sample of few keys, but
they miss once (the idea of SHARDS-adj). The error that is stated is the standard error of four disjoint quarters of
the sample. An entry's size is the mean of those that its call stored or found, as lines say no more. What no sample
shows: entries that expire or are invalidated, namespaces' quotas, pinned entries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actcache.audit.outcomes import ALWAYS_COMPUTED, ALWAYS_REUSED, DECIDED_BY_BUDGET, MISS
from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD, StoreSimulation
from actcache.report.regions import RegionSums
from actcache.report.rows import Flags, Floats, Ints, Keys, Rows

#: References that are simulated for every budget, at most.
MOST_REFERENCES = 60_000
#: Keys below which the rate is not lowered any more: a sample of fewer says little.
_FEWEST_KEYS = 256
_QUARTERS = 4


class KeySample:
    """References to sampled keys, in order.

    Attributes:
        rate: Share of the keys that are sampled.
        rows: Rows looked up while the sample was taken.
        always: Of those, the rows that are reused with any budget.
        never: Of those, the rows that are computed with any.
        full: Whether the sample ended before the log did: few keys, wanted too often.
    """

    def __init__(self, most: int = MOST_REFERENCES) -> None:
        self.rate = 1.0
        self.rows = self.always = self.never = 0
        self.full = False
        self._most = most
        self._parts: list[tuple[Keys, Ints, Floats, Flags]] = []
        self._count = 0

    def add(self, rows: Rows, region: Ints, size: Floats) -> None:
        """Sample some rows; `region` and `size` (bytes; 0: unknown) are per row."""
        if self.full:
            return
        self.rows += int(rows.keyed.sum())
        self.always += int((rows.among(ALWAYS_REUSED) & rows.keyed).sum())
        self.never += int((rows.among(ALWAYS_COMPUTED) & rows.keyed).sum())
        wanted = np.flatnonzero(rows.among(DECIDED_BY_BUDGET) & rows.keyed)
        places = spread(rows.key[wanted])
        inside = places < self._threshold()
        wanted = wanted[inside]
        self._parts.append((places[inside], region[wanted], size[wanted], rows.among(MISS)[wanted]))
        self._count += len(wanted)
        while self._count > self._most and not self.full:
            self._halve()

    def references(self) -> tuple[Keys, Ints, Floats]:
        """Return the sample: keys (spread evenly), their regions, and bytes of their entries (0: unknown)."""
        keys, regions, sizes, _ = self._columns()
        return keys, regions, sizes

    def computed_before(self, regions: int) -> Ints:
        """Return how many rows of each of so many regions missed although their key had been looked up before.

        What was stored for them was gone, or nothing had been stored: more room would have found them. Estimated, if
        :attr:`rate` is below 1.
        """
        keys, region, _, missed = self._columns()
        again = np.ones(len(keys), np.bool_)
        again[np.unique(keys, return_index=True)[1]] = False
        counts = np.bincount(region[again & missed], minlength=regions)
        estimated: Ints = (counts / self.rate).round().astype(np.int64)
        return estimated

    def _columns(self) -> tuple[Keys, Ints, Floats, Flags]:
        if not self._parts:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_)
        keys, regions, sizes, missed = (np.concatenate(columns) for columns in zip(*self._parts, strict=True))
        return keys, regions, sizes, missed

    def _threshold(self) -> int:
        return min(int(self.rate * 2.0**64), 2**64 - 1)

    def _halve(self) -> None:
        columns = self._columns()
        keys = columns[0]
        if len(np.unique(keys)) < 2 * _FEWEST_KEYS:
            self.full = True
            self._parts = [columns]
            return
        self.rate /= 2
        kept = keys < self._threshold()
        keys, regions, sizes, missed = columns
        self._parts = [(keys[kept], regions[kept], sizes[kept], missed[kept])]
        self._count = int(kept.sum())


def spread(keys: Keys) -> Keys:
    """Hash keys: which are sampled must not depend on how keys were made (the finaliser of splitmix64)."""
    mixed: Keys = keys + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


@dataclass(frozen=True)
class CurvePoint:
    """What a store of one size would do.

    Attributes:
        budget: Its bytes.
        reuse: Share of the rows looked up that would not be computed.
        error: Standard error of `reuse`.
        time: Share of the regions' time that would not be spent, before overheads.
    """

    budget: int
    reuse: float
    error: float
    time: float


@dataclass(frozen=True)
class Curve:
    """A miss-ratio curve.

    Attributes:
        points: By budget, ascending.
        working_set: Bytes that all entries would take.
        rate: Share of the keys that were sampled.
        keys: How many keys were.
        references: How many references to them.
        rows: Rows that the sample stands for.
        complete: Whether those are all of the log.
    """

    points: Sequence[CurvePoint]
    working_set: int
    rate: float
    keys: int
    references: int
    rows: int
    complete: bool

    def at(self, budget: int) -> CurvePoint | None:
        """Return the point of a budget, if there is one."""
        return next((point for point in self.points if point.budget == budget), None)


@dataclass(frozen=True)
class _Played:
    """A sample that is ready to be played: per reference its key, what a hit saves, its bytes and its row's cost."""

    keys: Keys
    worth: Floats
    size: Floats
    cost: Floats


def miss_ratio_curve(
    sample: KeySample, regions: Sequence[RegionSums], budget: int | None, also: Sequence[int] = ()
) -> Curve | None:
    """Play a sample with budgets from a sixteenth of `budget` to one that holds everything.

    Args:
        sample: References, of the numbers in `regions`.
        regions: What their rows cost.
        budget: Bytes of the store; None: unknown.
        also: Further budgets.

    Returns:
        None if the log has no keys, or has regions of prefixes: what is found of those depends on what stands before.
    """
    keys, region, sizes = sample.references()
    if not len(keys) or any(r.granularity == "prefix" for r in regions):
        return None
    costs = np.array([r.row_cost_seconds or 1e-9 for r in regions])
    fetches = np.array([r.row_fetch_seconds for r in regions])
    known = _known_sizes(keys, region, sizes, regions)
    played = _Played(keys, np.maximum(costs - fetches, 0.0)[region], known, costs[region])
    _, first = np.unique(keys, return_index=True)
    working_set = int((known[first] + ENTRY_OVERHEAD).sum() / sample.rate)
    points = [_point(played, sample, size) for size in sorted({*_budgets(budget, working_set), *also} - {0})]
    return Curve(points, working_set, sample.rate, len(first), len(keys), sample.rows, not sample.full)


def _known_sizes(keys: Keys, region: Ints, sizes: Floats, regions: Sequence[RegionSums]) -> Floats:
    """One size per key: the last one known, or else its region's mean."""
    distinct, place = np.unique(keys, return_inverse=True)
    by_key = np.zeros(len(distinct))
    by_key[place] = np.array([r.entry_bytes for r in regions])[region]
    known = sizes > 0
    by_key[place[known]] = sizes[known]
    return by_key[place]


def _budgets(budget: int | None, working_set: int) -> set[int]:
    """Budget and working set times powers of two, from a sixteenth of the smaller to twice what is of interest."""
    middle = budget or working_set
    doublings = max(1, math.ceil(math.log2(max(working_set / middle, 1.0))))
    halvings = 4 + max(0, math.floor(math.log2(max(middle / working_set, 1.0))))
    return {*(middle << step for step in range(min(doublings, 8) + 1)), *(middle >> s for s in range(1, halvings + 1))}


def _point(played: _Played, sample: KeySample, budget: int) -> CurvePoint:
    misses, missed = _simulate(played, budget * sample.rate)
    decided = sample.rows - sample.always - sample.never
    quarter = (played.keys >> np.uint64(7)) % np.uint64(_QUARTERS)
    spreads = []
    for number in range(_QUARTERS) if sample.rate < 1 else ():
        part = quarter == number
        own = _Played(played.keys[part], played.worth[part], played.size[part], played.cost[part])
        spreads.append(_simulate(own, budget * sample.rate / _QUARTERS)[0] * _QUARTERS / sample.rate)
    error = float(np.std(spreads, ddof=1)) / math.sqrt(_QUARTERS) if spreads else 0.0
    reused = decided - min(misses / sample.rate, decided)
    total = played.cost.mean() * decided
    time = max(1 - missed / sample.rate / float(total), 0.0) if total else 0.0
    rows = max(sample.rows, 1)
    return CurvePoint(budget, (reused + sample.always) / rows, error / rows, time * decided / rows)


def _simulate(played: _Played, budget: float) -> tuple[int, float]:
    """Return how many references miss in a store of `budget` bytes, and what computing them takes in seconds."""
    missed = ~StoreSimulation(int(budget)).touch(played.keys, played.size, played.worth)
    return int(missed.sum()), float(played.cost[missed].sum())
