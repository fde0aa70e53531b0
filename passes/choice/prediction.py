"""What a plan would have done to recorded calls: which rows it would have found, and what time that leaves.

A call takes its own time less, for every region, the region's share of it times what it did not have to compute:

    t(call) = t₀(call) · (1 - Σ share(r, n) · (1 - computed(r, m) / computed(r, n))) + Σ lookup(r, n)

for the m of its n rows that were neither held nor equal to another of the same call. A region inside another is looked
up for the rows that the outer one misses. What is held comes from :class:`StoreSimulation`.

Of a region of prefixes, m of the n positions of a row are behind what all rows of the call have in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.chained_keys import Hashes
from actcache.passes.choice.lookup_cost import LOOKUP_SECONDS
from actcache.passes.choice.store_simulation import StoreSimulation
from actcache.passes.choice.trace_keys import Place, TraceKeys, places
from actcache.passes.costs.cost import Costs
from actcache.passes.costs.time_model import TimeModel
from actcache.passes.cuts import Cut, PrefixCut


@dataclass(frozen=True)
class RegionUse:
    """What one region of a plan would have done.

    Attributes:
        lookups: Rows looked up (calls, for granularity ``tensor``; positions of all rows, for ``prefix``).
        computed: Those that had to be computed.
        within: Rows equal to another one of the same call.
    """

    lookups: int
    computed: int
    within: int

    @property
    def reuse(self) -> float:
        """Share of what was looked up that did not have to be computed."""
        return 1 - self.computed / self.lookups if self.lookups else 0.0


@dataclass(frozen=True)
class Prediction:
    """What a plan would have done to the recorded calls.

    Attributes:
        ratio: Time with the plan relative to the original's.
        regions: Per region of the plan.
    """

    ratio: float
    regions: tuple[RegionUse, ...]


class Predictor:
    """Predicts plans on one recording.

    Args:
        times: How long parts of the model take.
        trace: The recorded calls, with hashes at every place that a plan's regions read.
        budget: Bytes that the store may hold.
    """

    def __init__(self, times: TimeModel, trace: TraceKeys, budget: int) -> None:
        self.times, self.trace, self.budget = times, trace, budget
        self._keys: dict[tuple[tuple[Place, ...], Cut], list[Hashes]] = {}
        self._lookups: dict[tuple[tuple[Place, ...], Cut], _Lookups] = {}

    def can_predict(self, candidate: Candidate) -> bool:
        """Whether hashes were taken at the candidate's frontier, and its entries are of rows, calls or positions."""
        cut = candidate.region.cut
        single = not isinstance(cut, PrefixCut) or cut.block == 1
        return single and self.trace.holds(places(candidate.region))

    def predict(self, plan: Sequence[Candidate]) -> Prediction:
        """Play the recorded calls through a plan, from an empty store.

        Args:
            plan: Regions; one inside another comes before it.
        """
        if not plan:
            return Prediction(1.0, ())
        parts = [_Part(self, candidate, plan, index) for index, candidate in enumerate(plan)]
        store = StoreSimulation(self.budget)
        alone = all(part.outer is None and not isinstance(part.candidate.region.cut, PrefixCut) for part in parts)
        total = self._at_once(parts, store) if alone else self._in_turn(parts, store)
        return Prediction(total / max(self.trace.total, 1e-12), tuple(part.use() for part in parts))

    def _at_once(self, parts: Sequence[_Part], store: StoreSimulation) -> float:
        """Play all calls in one go: what a region looks up does not depend on what others have found."""
        looked_up = [self.lookups(part.candidate) for part in parts]
        columns: list[tuple[npt.NDArray[Any], ...]] = []
        for part, found in reversed(list(zip(parts, looked_up, strict=True))):  # as in turn
            told = (part.candidate.entry_bytes, part.candidate.saving, part.index)
            columns.append((found.calls, found.keys, *(np.full(len(found.keys), value) for value in told)))
        calls, keys, sizes, savings, regions = map(np.concatenate, zip(*columns, strict=True))
        order = np.argsort(calls, kind="stable")
        missed = np.zeros(len(keys), bool)
        missed[order] = ~store.touch(keys[order], sizes[order], savings[order], regions[order])
        saved, overhead = np.zeros(len(self.trace.seconds)), 0.0
        for part, found in zip(parts, looked_up, strict=True):
            own, more = part.played(found, missed[regions == part.index])
            saved, overhead = saved + own, overhead + more
        return float((self.trace.seconds * np.maximum(1.0 - saved, 0.0)).sum() + overhead)

    def _in_turn(self, parts: Sequence[_Part], store: StoreSimulation) -> float:
        """Play one call after the other."""
        total = 0.0
        for call, seconds in enumerate(self.trace.seconds):
            saved = overhead = 0.0
            for part in reversed(parts):  # the outermost first: it decides what is looked up within
                if part.look_up(call, store, parts):
                    overhead += part.overhead
                saved += part.saved
            total += float(seconds) * max(1.0 - saved, 0.0) + overhead
        return total

    def keys(self, candidate: Candidate) -> list[Hashes]:
        """Return the keys of a candidate's frontier in every call; see :meth:`TraceKeys.keys`."""
        wanted, cut = places(candidate.region), candidate.region.cut
        if (wanted, cut) not in self._keys:
            self._keys[wanted, cut] = self.trace.keys(wanted, cut)
        return self._keys[wanted, cut]

    def lookups(self, candidate: Candidate) -> _Lookups:
        """Return what calls look up of a region by rows or by whole calls."""
        wanted, cut = places(candidate.region), candidate.region.cut
        divided = (wanted, replace(cut, live_out_axes=()))
        if divided not in self._lookups:
            self._lookups[divided] = _Lookups.of(*self.trace.flat_keys(wanted, cut))
        return self._lookups[divided]


@dataclass(frozen=True)
class _Lookups:
    """What the calls of a trace look up of one region.

    Attributes:
        counts: Units of each call.
        keys: Those of each call, without what is equal to another one before it in the same call.
        calls: Of each key, its call.
    """

    counts: npt.NDArray[np.int64]
    keys: Hashes
    calls: npt.NDArray[np.int64]

    @classmethod
    def of(cls, keys: Hashes, counts: npt.NDArray[np.int64]) -> _Lookups:
        calls = np.repeat(np.arange(len(counts)), counts)
        order = np.lexsort((keys, calls))  # stable: of equal ones the first comes first
        differs = (np.diff(keys[order]) != 0) | (np.diff(calls[order]) != 0)
        own = np.sort(order[np.concatenate([[True] * bool(len(keys)), differs])])
        return cls(counts, keys[own], calls[own])


class _Part:
    """One region of a plan while the calls are played."""

    def __init__(self, predictor: Predictor, candidate: Candidate, plan: Sequence[Candidate], index: int) -> None:
        self.candidate, self.index = candidate, index
        nodes = candidate.region.nodes
        own = nodes.difference(*(other.region.nodes for other in plan[:index] if other.region.nodes <= nodes))
        around = [i for i, other in enumerate(plan) if i > index and nodes <= other.region.nodes]
        self.outer = min(around, key=lambda i: len(plan[i].region.nodes), default=None)
        self._predictor = predictor
        times = predictor.times
        axes, self.sample_units = _units(candidate, times.costs)
        self.fixed, self.slope = times.line(own, axes, self.sample_units)
        self.all_fixed, self.all_slope = times.line(range(len(times.costs.seconds)), axes, self.sample_units)
        self.mean_end = sum(candidate.kept_bytes.get(end, 0.0) for end in candidate.region.ends)
        self.lookups = self.computed = self.within = 0
        self.missed: npt.NDArray[np.bool_] = np.zeros(0, bool)
        self.saved = self.overhead = 0.0

    def look_up(self, call: int, store: StoreSimulation, parts: Sequence[_Part]) -> bool:
        """Look the call up; return whether there was anything to do."""
        keys = self._predictor.keys(self.candidate)[call]
        if isinstance(self.candidate.region.cut, PrefixCut):
            return self._look_up_chains(keys, self.candidate.region.cut, store)
        rows = len(keys)
        wanted = self._wanted(rows, parts)
        self.missed = np.zeros(rows, bool)
        by_rows = self.candidate.region.granularity == "row"
        count = rows if by_rows else self.candidate.rows
        if wanted.any():
            places = np.flatnonzero(wanted)
            _, first = np.unique(keys[places], return_index=True)
            own = places[np.sort(first)]
            saving, size = self.candidate.saving, self.candidate.entry_bytes
            self.missed[own] = ~store.touch(keys[own], size, saving, self.index)
            self.lookups += len(places)
            self.within += len(places) - len(own)
        computed = int(self.missed.sum())
        self.computed += computed
        left = computed if by_rows else computed * count
        self.saved = self._share(count) * (1 - self._relative(left, count))
        self.overhead = LOOKUP_SECONDS + int(wanted.sum()) * self.candidate.entry_overhead
        return bool(wanted.any())

    def played(self, found: _Lookups, missed: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], float]:
        """Note what all calls have found; return the share of each that is saved, and the seconds of all lookups.

        Args:
            found: What they looked up.
            missed: Of its keys, whether each was not there.
        """
        by_rows = self.candidate.region.granularity == "row"
        units = int(found.counts.sum())
        computed = np.bincount(found.calls, missed, len(found.counts))
        self.lookups, self.computed = units, int(missed.sum())
        self.within = units - len(found.keys)
        rows = found.counts if by_rows else np.full(len(found.counts), self.candidate.rows)
        left = computed if by_rows else computed * rows
        share = (self.fixed + self.slope * rows) / np.maximum(self.all_fixed + self.all_slope * rows, 1e-12)
        relative = (self.fixed + self.slope * left) / np.maximum(self.fixed + self.slope * rows, 1e-12)
        overhead = LOOKUP_SECONDS * int((found.counts > 0).sum()) + units * self.candidate.entry_overhead
        return share * (1 - np.where(computed == 0, 0.0, relative)), overhead

    def _look_up_chains(self, keys: Hashes, cut: PrefixCut, store: StoreSimulation) -> bool:
        """Look the positions of a call up, [rows, positions]. No region is inside one of prefixes."""
        self.saved = 0.0
        if keys.size == 0:
            return False
        candidate, (rows, length) = self.candidate, keys.shape
        used = store.touch_chains(
            keys,
            candidate.entry_bytes - self.mean_end,
            candidate.saving,
            self.index,
            min_suffix=cut.min_suffix,
            end_size=max(self.mean_end * self.sample_units, 1) if cut.ends else 0,
            hands_ends_on=cut.ends_handed_on,
        )
        self.lookups += keys.size
        self.computed += rows * (length - used)
        self.saved = self._share(length) * (1 - self._relative(length - used, length))
        self.overhead = LOOKUP_SECONDS + keys.size * candidate.entry_overhead
        return True

    def _wanted(self, rows: int, parts: Sequence[_Part]) -> npt.NDArray[np.bool_]:
        """The rows that are looked up: those that the region around this one has missed."""
        if self.outer is None:
            return np.ones(rows, bool)
        missed = parts[self.outer].missed
        if len(missed) == rows:
            return missed
        return np.full(rows, bool(missed.any()))

    def _share(self, rows: int) -> float:
        """Share of a call of `rows` rows that is spent in the region's own nodes."""
        return (self.fixed + self.slope * rows) / max(self.all_fixed + self.all_slope * rows, 1e-12)

    def _relative(self, computed: int, rows: int) -> float:
        if computed == 0:
            return 0.0
        return (self.fixed + self.slope * computed) / max(self.fixed + self.slope * rows, 1e-12)

    def use(self) -> RegionUse:
        return RegionUse(self.lookups, self.computed, self.within)


def _units(candidate: Candidate, costs: Costs) -> tuple[Mapping[str, int], int]:
    """Return what a call grows by, as graph inputs with their axes, and how many there are in the sample: rows, or the
    positions of each row.
    """
    region = candidate.region
    if not isinstance(region.cut, PrefixCut):
        return candidate.row_axes, candidate.rows
    sizes = [costs.shapes[name][axis] for name, axis in region.positions.items() if name in costs.shapes]
    return region.positions, max([1, *sizes])
