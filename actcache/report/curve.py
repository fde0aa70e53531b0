"""What the store would reuse with another budget: a miss-ratio curve from the recorded keys.

A sample of them (:class:`actcache.report.key_sample.KeySample`) is played in a store whose budget is scaled down by
the same rate (miniature simulation: Waldspurger and others, USENIX ATC 2017), once for each budget, by the policy of
the library: :class:`actcache.passes.choice.store_simulation.StoreSimulation`. A position of a sequence is found only
if all before it in its row are, so calls of prefixes are played as a whole.

Misses of the sample, divided by the rate, are held against the true number of rows: keys that are wanted often weigh
too much or too little in a sample of few keys, but they miss once (the idea of SHARDS-adj). The error that is stated is
the standard error of four disjoint quarters of the sample. An entry's size is the mean of those that its call stored,
or of those that it found, as lines say no more: where sizes differ widely, calls of many rows tell little of each. What
no sample shows: entries that expire or are invalidated, namespaces' quotas, pinned entries; and, where not all keys are
sampled, that a batch of sequences goes no further than its row that knows least.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD, StoreSimulation
from actcache.passes.cuts.prefix import MIN_SUFFIX
from actcache.report.key_sample import KeySample, References
from actcache.report.regions import RegionSums
from actcache.report.rows import Flags, Floats

_QUARTERS = 4


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
    """A sample that is ready to be played: per reference what a hit saves, its bytes, its row's cost, and whether its
    region has ends.
    """

    sample: References
    worth: Floats
    size: Floats
    cost: Floats
    ends: Flags

    def where(self, wanted: Flags) -> _Played:
        """Return some of it."""
        own = self.sample.where(wanted)
        return _Played(own, self.worth[wanted], self.size[wanted], self.cost[wanted], self.ends[wanted])

    def pieces(self) -> Iterator[slice]:
        """Yield what is played at once: rows up to the next call of positions, or such a call."""
        edges = np.flatnonzero(np.diff(self.sample.call)) + 1
        yield from map(slice, [0, *edges], [*edges, len(self.sample)])


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
        None if the log has no keys, or has regions of prefixes and does not say how long the rows of their calls are
        (logs of earlier versions).
    """
    references = sample.references()
    region = references.region
    single = {int(number) for number in np.unique(region[references.call == 0])}
    if not len(references) or any(regions[number].granularity == "prefix" for number in single):
        return None
    costs = np.array([r.row_cost_seconds or 1e-9 for r in regions])
    fetches = np.array([r.row_fetch_seconds for r in regions])
    ends = np.array([r.ends for r in regions])
    known = _known_sizes(references, regions)
    played = _Played(references, np.maximum(costs - fetches, 0.0)[region], known, costs[region], ends[region])
    _, first = np.unique(references.key, return_index=True)
    working_set = int((known[first] + ENTRY_OVERHEAD).sum() / sample.rate)
    points = [_point(played, sample, size) for size in sorted({*_budgets(budget, working_set), *also} - {0})]
    return Curve(points, working_set, sample.rate, len(first), len(references), sample.rows, not sample.full)


def _known_sizes(references: References, regions: Sequence[RegionSums]) -> Floats:
    """One size per key: the last one known, or else its region's mean."""
    distinct, place = np.unique(references.key, return_inverse=True)
    by_key = np.zeros(len(distinct))
    by_key[place] = np.array([r.entry_bytes for r in regions])[references.region]
    known = references.size > 0
    by_key[place[known]] = references.size[known]
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
    quarter = (played.sample.root >> np.uint64(7)) % np.uint64(_QUARTERS)
    spreads = []
    for number in range(_QUARTERS) if sample.rate < 1 else ():
        part = _simulate(played.where(quarter == number), budget * sample.rate / _QUARTERS)
        spreads.append(part[0] * _QUARTERS / sample.rate)
    error = float(np.std(spreads, ddof=1)) / math.sqrt(_QUARTERS) if spreads else 0.0
    reused = decided - min(misses / sample.rate, decided)
    total = played.cost.mean() * decided
    time = max(1 - missed / sample.rate / float(total), 0.0) if total else 0.0
    rows = max(sample.rows, 1)
    return CurvePoint(budget, (reused + sample.always) / rows, error / rows, time * decided / rows)


def _simulate(played: _Played, budget: float) -> tuple[int, float]:
    """Return how many references miss in a store of `budget` bytes, and what computing them takes in seconds."""
    store = StoreSimulation(int(budget))
    missed = np.zeros(len(played.sample), np.bool_)
    for piece in played.pieces():
        missed[piece] = _missed(store, played, piece)
    return int(missed.sum()), float(played.cost[missed].sum())


def _missed(store: StoreSimulation, played: _Played, piece: slice) -> Flags:
    """Play a piece; return which of its references miss."""
    keys, size, worth = played.sample.key[piece], played.size[piece], played.worth[piece]
    if not len(keys) or played.sample.call[piece][0] == 0:
        return ~store.touch(keys, size, worth)
    length = int(played.sample.length[piece][0])
    end = 1 if played.ends[piece][0] else 0  # the log does not tell how large they are
    rows = keys.reshape(-1, length)
    used = store.touch_chains(rows, size.mean(), worth.mean(), min_suffix=MIN_SUFFIX, end_size=end)
    return np.tile(np.arange(length) >= used, len(rows))
