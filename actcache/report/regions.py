"""What an audit log says of each region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from actcache.audit.log import RegionLine
from actcache.audit.outcomes import BYPASSED, FETCHED, REUSED, STORED
from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD
from actcache.report.timeline import Timeline

_NANOSECOND = 1e-9


@dataclass
class RegionSums:
    """Sums over the lookups and stores of one region.

    Attributes:
        id: Its name.
        fingerprint: Hex; empty if no line describes it.
        granularity: ``row``, ``prefix`` or ``tensor``.
        ends: Of prefixes, whether a call goes on only where an earlier one ended.
        outcomes: Rows by outcome of their lookup.
        results: Computed rows by what became of them.
        evicted: Entries by why they are gone.
        times: Nanoseconds by ``lookup``/``store`` column, as ``hash_ns``.
        copied_bytes: Copied out of the store.
        stored_bytes: Copied into it.
        cost_ns: What computing a row takes, summed over stored rows.
        fetch_ns: What fetching one takes, likewise.
        costed: Rows in those two sums.
        state: What the policy said last.
        timeline: Its rows per interval: reused, computed, bypassed.
        entries: Entries that its process holds: stored, less evicted.
    """

    id: str
    fingerprint: str = ""
    granularity: str = ""
    ends: bool = False
    outcomes: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    evicted: Counter[str] = field(default_factory=Counter)
    times: Counter[str] = field(default_factory=Counter)
    copied_bytes: int = 0
    stored_bytes: int = 0
    cost_ns: float = 0.0
    fetch_ns: float = 0.0
    costed: int = 0
    state: str = "active"
    timeline: Timeline = field(default_factory=lambda: Timeline(3))
    entries: int = 0

    @property
    def rows(self) -> int:
        """Rows of all lookups."""
        return sum(self.outcomes.values())

    @property
    def reused(self) -> int:
        """Rows that were not computed."""
        return sum(self.outcomes[letter] for letter in REUSED)

    @property
    def looked_up(self) -> int:
        """Rows that were not bypassed."""
        return self.rows - self.outcomes[BYPASSED]

    @property
    def hit_ratio(self) -> float:
        """Share of the rows looked up that were not computed."""
        return self.reused / self.looked_up if self.looked_up else 0.0

    @property
    def saved_seconds(self) -> float:
        """What computing the rows reused would have taken."""
        return (self.times["saved_ns"] + self.times["store_saved_ns"]) * _NANOSECOND

    @property
    def computing_seconds(self) -> float:
        """Spent computing the rows that were not reused."""
        return self.times["compute_ns"] * _NANOSECOND

    @property
    def overhead_seconds(self) -> float:
        """Spent on keys, in the store, waiting for other calls, and on copying in and out."""
        parts = ("hash_ns", "lookup_ns", "wait_ns", "copy_ns", "store_copy_ns")
        return sum(self.times[part] for part in parts) * _NANOSECOND

    @property
    def uncached_seconds(self) -> float:
        """What the rows that were looked up would have taken without a cache."""
        return self.saved_seconds + self.computing_seconds

    @property
    def entry_bytes(self) -> float:
        """Mean size of what was stored, or else of what was copied out; 0: neither."""
        if self.results[STORED]:
            return self.stored_bytes / self.results[STORED]
        fetched = sum(self.outcomes[letter] for letter in FETCHED)
        return self.copied_bytes / fetched if fetched else 0.0

    @property
    def row_cost_seconds(self) -> float:
        """Mean seconds that computing a row takes; 0: unknown."""
        if self.costed:
            return self.cost_ns / self.costed * _NANOSECOND
        return self.saved_seconds / self.reused if self.reused else 0.0

    @property
    def row_fetch_seconds(self) -> float:
        """Mean seconds that fetching a row takes; 0: unknown."""
        return self.fetch_ns / self.costed * _NANOSECOND if self.costed else 0.0


class Regions:
    """All regions of a log. Their numbers there are each process's own: here, regions of one content are one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], int] = {}
        self._sums: list[RegionSums] = []
        self._by_number: dict[int, int] = {}
        #: Entries that the host program removed: lines do not say of which regions.
        self.removed = 0

    def __iter__(self) -> Iterator[RegionSums]:
        return iter(self._sums)

    def __len__(self) -> int:
        return len(self._sums)

    def __getitem__(self, index: int) -> RegionSums:
        return self._sums[index]

    def new_file(self) -> None:
        """Forget the numbers: each file says anew what they stand for."""
        self._by_number.clear()

    def new_process(self) -> None:
        """Forget what is held: a process begins with an empty store."""
        self.removed = 0
        for region in self._sums:
            region.entries = 0

    @property
    def held_bytes(self) -> float:
        """What the entries take that the last process holds, by their mean sizes."""
        held = sum(max(region.entries, 0) for region in self._sums)
        total = sum(max(region.entries, 0) * (region.entry_bytes + ENTRY_OVERHEAD) for region in self._sums)
        return total * max(1 - self.removed / held, 0.0) if held else 0.0

    def describe(self, event: RegionLine) -> None:
        """Note what a number stands for."""
        self._by_number[event.region] = self._index(event.id, event.fingerprint, event.granularity)

    def index(self, number: int) -> int:
        """Return which region a number stands for; one that no line describes is called by it."""
        if number not in self._by_number:
            self._by_number[number] = self._index(f"region {number}", "", "")
        return self._by_number[number]

    def labels(self) -> list[str]:
        """Return a name for each region: its id, with its fingerprint where ids are the same."""
        ids = Counter(region.id for region in self._sums)
        return [r.id if ids[r.id] == 1 else f"{r.id} ({r.fingerprint[:8]})" for r in self._sums]

    def _index(self, name: str, fingerprint: str, granularity: str) -> int:
        known = (name, fingerprint)
        if known not in self._found:
            self._found[known] = len(self._sums)
            self._sums.append(RegionSums(name, fingerprint))
        self._sums[self._found[known]].granularity = granularity
        return self._found[known]
