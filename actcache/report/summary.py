"""An audit log in numbers: one pass over it, with memory that does not grow with it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from actcache.audit.log import (
    AuditLog,
    ControlLine,
    CopyLine,
    DroppedLine,
    EvictLine,
    LookupLine,
    PolicyLine,
    RegionLine,
    StartLine,
    StoreLine,
)
from actcache.audit.outcomes import BYPASSED, FETCHED, HIT, REUSED
from actcache.errors import InvalidOption
from actcache.report.frequent import FrequentKeys
from actcache.report.key_sample import KeySample
from actcache.report.regions import Regions
from actcache.report.rows import Floats, Ints, Rows, column, first_of_row
from actcache.report.timeline import Timeline
from actcache.serve.byte_size import parse_bytes

#: Rows that are counted together.
_BATCH_ROWS = 1 << 16
#: How many notable events are kept, the latest ones.
_NOTABLE = 100

#: Upper ends of the intervals that ages at a hit are counted in, in seconds.
AGE_STEPS = (0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, math.inf)
#: Columns of the timeline.
REUSED_ROWS, COMPUTED_ROWS, BYPASSED_ROWS, SAVED_NS, LOOKUPS = range(5)


@dataclass(frozen=True)
class Notable:
    """Something that people want to see by its time: a switch of the policy, a command, a loss.

    Attributes:
        t: Seconds since 1970.
        kind: ``policy``, ``control``, ``dropped`` or ``process``.
        text: What happened.
    """

    t: float
    kind: str
    text: str


@dataclass
class Summary:
    """What an audit log says.

    Attributes:
        regions: Sums per region, in the order in which they appear.
        timeline: Sums per interval: columns ``REUSED_ROWS`` to ``LOOKUPS``.
        ages: Rows that hit per interval of :data:`AGE_STEPS`.
        sizes: Stored entries per power of two of their bytes, which is the interval's lower end.
        frequent: The most frequent keys, per region.
        sample: References for the miss-ratio curve.
        notable: The latest notable events; ``notables`` counts all.
        config: The knobs that were in effect last; as text, or None for the default, where the host program set them.
        budget: Bytes of the store, as the log says last; None: it does not say.
        memory: Bytes that the process might use; 0: not said.
        first: Time of the first event, in seconds since 1970.
        last: Time of the last one.
        processes: Ids of the processes that wrote it.
        versions: Versions of the library that did.
        hashes: How keys were made.
        first_part: Number of the first file; beyond 1, earlier ones are gone.
        dropped: Events that the writer had no room for.
        broken: Lines that cannot be read.
        unknown: Lines that tell of events that are not known.
    """

    regions: Regions = field(default_factory=Regions)
    timeline: Timeline = field(default_factory=lambda: Timeline(5))
    ages: Ints = field(default_factory=lambda: np.zeros(len(AGE_STEPS), np.int64))
    sizes: Counter[int] = field(default_factory=Counter)
    frequent: dict[int, FrequentKeys] = field(default_factory=dict)
    sample: KeySample = field(default_factory=KeySample)
    notable: deque[Notable] = field(default_factory=lambda: deque(maxlen=_NOTABLE))
    notables: Counter[str] = field(default_factory=Counter)
    config: dict[str, Any] = field(default_factory=dict)
    budget: int | None = None
    memory: int = 0
    first: float = math.inf
    last: float = -math.inf
    processes: set[int] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    first_part: int = 1
    dropped: int = 0
    broken: int = 0
    unknown: int = 0

    def note(self, t: float, kind: str, text: str) -> None:
        """Keep a notable event."""
        self.notable.append(Notable(t, kind, text))
        self.notables[kind] += 1


def summarise(log: AuditLog) -> Summary:
    """Read an audit log from its beginning to its end.

    Raises:
        UnsupportedAudit: As :meth:`actcache.audit.log.AuditLog.events`.
    """
    reader = _Reader()
    for event in log.events():
        if isinstance(event, LookupLine):
            reader.lookup(event)
        elif isinstance(event, StoreLine):
            reader.stores.append(event)
        elif isinstance(event, CopyLine):
            reader.copy(event)
        else:
            reader.other(event)
    reader.flush()
    reader.summary.broken, reader.summary.unknown = log.broken, log.unknown
    return reader.summary


class _Reader:
    """Collects lookups and stores until there are enough to be counted together."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.stores: list[StoreLine] = []
        self._lookups: list[LookupLine] = []
        self._rows = 0

    def lookup(self, event: LookupLine) -> None:
        self._lookups.append(event)
        self._rows += event.rows
        # A lookup without rows takes memory, too; so does a store.
        if self._rows >= _BATCH_ROWS or len(self._lookups) + len(self.stores) >= _BATCH_ROWS:
            self.flush()

    def copy(self, event: CopyLine) -> None:
        regions = self.summary.regions
        regions[regions.index(event.region)].times["copy_ns"] += event.copy_ns

    def other(self, event: Any) -> None:
        """Take an event of which there are few."""
        summary = self.summary
        summary.first, summary.last = min(summary.first, event.t), max(summary.last, event.t)
        if isinstance(event, EvictLine):
            if event.region is not None:
                region = summary.regions[summary.regions.index(event.region)]
                region.evicted[event.reason] += event.entries
                region.entries -= event.entries
        elif isinstance(event, RegionLine):
            summary.regions.describe(event)
        elif isinstance(event, StartLine):
            self._start(event)
        elif isinstance(event, ControlLine):
            _control(summary, event)
        elif isinstance(event, PolicyLine):
            region = summary.regions[summary.regions.index(event.region)]
            region.state = event.state
            because = f": {event.reason}" if event.reason else ""
            summary.note(event.t, "policy", f"{region.id} is {event.state}{because}")
        elif isinstance(event, DroppedLine):
            summary.dropped += event.events
            summary.note(event.t, "dropped", f"{event.events} events were not recorded: the buffer was full")

    def _start(self, event: StartLine) -> None:
        self.flush()
        summary = self.summary
        summary.config = dict(event.config)
        if not summary.processes:
            summary.first_part = event.part
        elif event.pid not in summary.processes:
            summary.note(event.t, "process", f"process {event.pid} began to record")
        summary.regions.new_file()
        if event.part == 1 or event.pid not in summary.processes:
            summary.regions.new_process()
        summary.processes.add(event.pid)
        summary.versions.add(event.version)
        summary.hashes.add(event.hash)
        memory = event.config.get("memory_bytes")
        summary.memory = memory if isinstance(memory, int) else 0
        summary.budget = _budget(event.config, summary)

    def flush(self) -> None:
        """Count what was collected."""
        if self._lookups:
            self._count_lookups(self._lookups)
        if self.stores:
            _count_stores(self.summary, self.stores)
        self._lookups, self.stores, self._rows = [], [], 0

    def _count_lookups(self, lookups: Sequence[LookupLine]) -> None:
        summary = self.summary
        rows = Rows.of(lookups)
        region = np.array([summary.regions.index(lookup.region) for lookup in lookups], np.int64)
        times = column(lookups, "t")
        summary.first, summary.last = min(summary.first, times.min()), max(summary.last, times.max())
        _count_outcomes(summary, rows, region)
        _count_times(summary, lookups, region)
        _count_timeline(summary, lookups, rows, times, region)
        hits = rows.among(HIT) & (rows.age >= 0)
        summary.ages += np.bincount(np.searchsorted(AGE_STEPS, rows.age[hits]), minlength=len(AGE_STEPS))
        region_of_row = region[rows.line]
        length = np.array([lookup.length for lookup in lookups], np.int64)[rows.line]
        first = first_of_row(rows, length)
        depth = np.arange(len(first)) - first + 1
        for index in np.unique(region_of_row[rows.keyed]):
            wanted = rows.keyed & (region_of_row == index)
            counted = summary.frequent.setdefault(int(index), FrequentKeys())
            counted.add(rows.key[wanted], rows.key[first][wanted], depth[wanted])
        for lookup, index in zip(lookups, region, strict=True):
            summary.regions[int(index)].ends |= lookup.ends
        summary.sample.add(rows, region_of_row, _entry_sizes(lookups, self.stores, rows), length)


def _control(summary: Summary, event: ControlLine) -> None:
    summary.budget = _budget(event.arguments, summary)
    if event.what == "configure":
        summary.config.update(event.arguments)
    elif event.what == "invalidate":
        summary.regions.removed += event.count or 0
    given = {name: value for name, value in event.arguments.items() if value is not None or event.what == "configure"}
    arguments = ", ".join(f"{name} {'taken back' if value is None else value}" for name, value in given.items())
    count = "" if event.count is None else f": {event.count} entries"
    summary.note(event.t, "control", f"{event.what} {arguments or 'everything'}{count}")


def _budget(values: Mapping[str, Any], summary: Summary) -> int | None:
    """Return the budget that `values` name, as a number or as a host program writes it, or else the one before."""
    value = values.get("budget_bytes")
    if isinstance(value, str):
        try:
            return parse_bytes(value, summary.memory)
        except InvalidOption:
            return summary.budget
    return value if isinstance(value, int) else summary.budget


def _count_outcomes(summary: Summary, rows: Rows, region: Ints) -> None:
    counts = np.bincount(region[rows.line] * 256 + rows.outcome, minlength=len(summary.regions) * 256)
    for place in map(int, np.flatnonzero(counts)):
        summary.regions[place // 256].outcomes[chr(place % 256)] += int(counts[place])


def _count_times(summary: Summary, lookups: Sequence[LookupLine], region: Ints) -> None:
    for name in ("hash_ns", "lookup_ns", "wait_ns", "copy_ns", "saved_ns", "bytes"):
        sums = np.bincount(region, weights=column(lookups, name))
        for index in map(int, np.flatnonzero(sums)):
            if name == "bytes":
                summary.regions[index].copied_bytes += int(sums[index])
            else:
                summary.regions[index].times[name] += int(sums[index])


def _count_timeline(summary: Summary, lookups: Sequence[LookupLine], rows: Rows, times: Floats, region: Ints) -> None:
    values = np.zeros((len(lookups), 5))
    for place, letters in ((REUSED_ROWS, REUSED), (BYPASSED_ROWS, BYPASSED)):
        values[:, place] = np.bincount(rows.line[rows.among(letters)], minlength=len(lookups))
    values[:, COMPUTED_ROWS] = column(lookups, "rows") - values[:, REUSED_ROWS] - values[:, BYPASSED_ROWS]
    values[:, SAVED_NS] = column(lookups, "saved_ns")
    values[:, LOOKUPS] = 1
    summary.timeline.add(times, values)
    for index in np.unique(region):
        summary.regions[int(index)].timeline.add(times[region == index], values[region == index, :3])


def _entry_sizes(lookups: Sequence[LookupLine], stores: Sequence[StoreLine], rows: Rows) -> Floats:
    """Return per row the bytes of its entry: the mean of those that its call found, or stored; 0: unknown.

    What is found is no measure for what is missing: a store keeps small entries longer. Of prefixes, what is copied out
    is less than entries hold.

    The store line follows its lookup soon: it is found among the same events but for a few lookups.
    """
    sizes = {(s.call, s.region): s.bytes / s.stored for s in stores if s.stored}
    kept = np.array([sizes.get((lookup.call, lookup.region), 0.0) for lookup in lookups])
    copied = np.where(column(lookups, "length") > 0, 0.0, column(lookups, "bytes"))
    fetched = rows.among(FETCHED)
    found = copied / np.maximum(np.bincount(rows.line[fetched], minlength=len(lookups)), 1)
    sized: Floats = np.where(fetched & (found[rows.line] > 0), found[rows.line], kept[rows.line])
    return sized


def _count_stores(summary: Summary, stores: Sequence[StoreLine]) -> None:
    for store in stores:
        region = summary.regions[summary.regions.index(store.region)]
        region.results.update(store.outcomes)
        region.times["compute_ns"] += store.compute_ns
        region.times["store_copy_ns"] += store.copy_ns
        region.times["store_saved_ns"] += store.saved_ns
        region.stored_bytes += store.bytes
        region.entries += store.stored
        rows = len(store.outcomes)
        region.cost_ns += store.cost_ns * rows
        region.fetch_ns += store.fetch_ns * rows
        region.costed += rows
        if 0 < store.stored <= store.bytes:
            summary.sizes[1 << (store.bytes // store.stored).bit_length() - 1] += store.stored
