"""What an audit log says was decided, lookup by lookup, so that the logs of two processes can be compared.

Keys are hashed with a secret of the process. Their numbers in the order in which they come up say all that can be
compared: which rows are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from actcache.audit.log import (
    AuditLog,
    ControlLine,
    DroppedLine,
    Event,
    EvictLine,
    FetchedRow,
    LookupLine,
    PolicyLine,
    RegionLine,
    StartLine,
    StoreLine,
)
from actcache.audit.outcomes import COMPUTED, STORED, TIERS
from actcache.errors import UnsupportedAudit

#: Knobs that say where records go and not what the cache does.
RECORDERS = ("audit_path", "audit_max_bytes", "audit_files", "audit_buffer_bytes", "metrics_path")

#: Id and fingerprint of a region.
RegionName: TypeAlias = tuple[str, str]
#: Why an entry left, and the number of its key.
Eviction: TypeAlias = tuple[str, int]

_DECODE_KEYS = msgspec.json.Decoder(list[str] | None).decode


@dataclass
class Decision:
    """What a lookup came to, and the store of what it missed.

    Attributes:
        call: The log's number of the lookup.
        region: Its region.
        namespace: Whose entries it looked for; None if it did not get as far as to know.
        outcomes: A letter per row, as :class:`actcache.audit.log.LookupLine` has them.
        keys: The number of each row's key; None if the call passed.
        lookup_ns: When the store was asked, by the clock of the process.
        stored: A letter per computed row, as :class:`actcache.audit.log.StoreLine` has them; None: there was no store.
        store_ns: When it was asked for room.
        cost_ns: What computing a row took.
        fetch_ns: What fetching a row takes.
        evicted: What left the store through the lookup and the store, sorted.
        fetched: What tiers had, each with the first 64 bits of its key.
        contradiction: What cannot be true of its lines; None: nothing.
        time: Of its line, in seconds since 1970.
    """

    call: int
    region: RegionName
    namespace: str | None
    outcomes: str
    keys: list[int] | None
    lookup_ns: int
    stored: str | None = None
    store_ns: int = 0
    cost_ns: int = 0
    fetch_ns: int = 0
    evicted: list[Eviction] = field(default_factory=list)
    fetched: list[tuple[FetchedRow, str]] = field(default_factory=list)
    contradiction: str | None = None
    time: float = 0.0

    @property
    def computed(self) -> list[int]:
        """The rows that were computed."""
        return [row for row, letter in enumerate(self.outcomes) if letter in COMPUTED]


@dataclass
class ControlCall:
    """What the host program asked for.

    Attributes:
        what: ``configure``, ``invalidate``, ``pin`` or ``unpin``.
        arguments: As in the ``control`` line.
        count: How many entries it was about.
        evicted: What left the store through it, sorted.
    """

    what: str
    arguments: Mapping[str, Any]
    count: int | None
    evicted: list[Eviction]


Step: TypeAlias = Decision | ControlCall


@dataclass(frozen=True)
class State:
    """A region began to look things up, or stopped.

    Attributes:
        position: How many steps were before it.
        region: The region.
        state: ``active``, ``bypassed`` or ``disabled``.
        reason: Why, if it stopped.
    """

    position: int
    region: RegionName
    state: str
    reason: str | None


@dataclass
class History:
    """What happened in the last process that wrote to a log.

    Attributes:
        config: What :func:`actcache.configuration` returned at its beginning.
        first_part: Number of the file it begins in; from 1.
        steps: Lookups and changes in their order.
        regions: All regions that are described.
        states: When regions stopped to look things up, and began again.
        overlapping: Lookups that ended while an earlier one of their region was not stored yet.
        dropped: Events that the log lacks, as it says itself.
        lost: Lookups that it lacks, as their numbers say.
        processes: How many have written to the log.
        broken: Lines that cannot be read.
    """

    config: Mapping[str, Any]
    first_part: int
    steps: list[Step] = field(default_factory=list)
    regions: set[RegionName] = field(default_factory=set)
    states: list[State] = field(default_factory=list)
    overlapping: int = 0
    dropped: int = 0
    lost: int = 0
    processes: int = 1
    broken: int = 0

    def of_regions(self, names: set[RegionName]) -> list[Step]:
        """Return the steps without the lookups of other regions than these."""
        return [step for step in self.steps if isinstance(step, ControlCall) or step.region in names]


def read_history(path: str | PathLike[str]) -> History:
    """Read what was decided.

    Raises:
        UnsupportedAudit: As :class:`~actcache.audit.log.AuditLog`; or the log tells of no lookup.
    """
    reader: _Reader | None = None
    processes, pid = 0, None
    with AuditLog(path) as log:
        for event in log.events():
            if isinstance(event, StartLine) and (event.pid != pid or event.part == 1):
                reader, pid = _Reader(History(event.config, event.part)), event.pid
                processes += 1
            elif reader is not None:
                reader.take(event)
        broken = log.broken
    if reader is None or not any(isinstance(step, Decision) for step in reader.history.steps):
        raise UnsupportedAudit(
            "the log has no lookups: no compiled model was run while it was recorded", file=Path(path)
        )
    history = reader.end()
    history.processes, history.broken = processes, broken
    return history


class _Reader:
    """Puts together what the lines of a process say."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._regions: dict[int, RegionName] = {}
        self._numbers: dict[str, int] = {}
        self._open: dict[int, Decision] = {}  # lookups without their store, by call
        self._last: dict[RegionName, Decision] = {}
        self._leaving: list[Eviction] = []

    def take(self, event: Event) -> None:
        """Read one line."""
        if isinstance(event, RegionLine):
            name = (event.id, event.fingerprint)
            self._regions[event.region] = name
            self.history.regions.add(name)
        elif isinstance(event, LookupLine):
            self._lookup(event)
        elif isinstance(event, StoreLine):
            self._store(event)
        elif isinstance(event, EvictLine):
            self._leaving.extend((event.reason, self._number(key)) for key in event.keys or ())
        elif isinstance(event, ControlLine):
            self._control(event)
        elif isinstance(event, PolicyLine):
            state = State(len(self.history.steps), self._name(event.region), event.state, event.reason)
            self.history.states.append(state)
        elif isinstance(event, DroppedLine):
            self.history.dropped += event.events

    def end(self) -> History:
        """Return what the lines said, once all are read."""
        decisions = [step for step in self.history.steps if isinstance(step, Decision)]
        calls = [decision.call for decision in decisions]
        self.history.lost = max(calls, default=0) - len(calls)
        for decision in self._open.values():
            computed = len(decision.computed)
            if computed and decision is not decisions[-1]:
                decision.contradiction = (
                    f"its lookup line has {computed} computed rows, and no store line is about them"
                )
        return self.history

    def _lookup(self, line: LookupLine) -> None:
        region = self._name(line.region)
        names = _keys(line)
        keys = None if names is None else [self._number(key) for key in names]
        decision = Decision(line.call, region, line.namespace, line.outcomes, keys, line.now_ns)
        decision.evicted, decision.time = self._left(), line.t
        if names is not None:
            decision.fetched = [(row, names[row.row]) for row in _fetched(line) if row.row < line.rows]
        self._open[line.call] = decision
        self._last[region] = decision
        self.history.steps.append(decision)

    def _store(self, line: StoreLine) -> None:
        decision = self._open.pop(line.call, None)
        if decision is None:
            self._leaving.clear()  # of a lookup that the log lacks
            return
        if self._last[decision.region] is not decision:
            self.history.overlapping += 1
        decision.stored = line.outcomes
        decision.store_ns, decision.cost_ns, decision.fetch_ns = line.now_ns, line.cost_ns, line.fetch_ns
        decision.evicted = sorted(decision.evicted + self._left())
        computed, letters = len(decision.computed), len(line.outcomes)
        if computed != letters:
            decision.contradiction = f"its lookup line has {computed} computed rows, its store line {letters}"
        elif line.stored != line.outcomes.count(STORED):
            decision.contradiction = f"its store line says {line.stored} rows were stored, its letters say others"

    def _control(self, line: ControlLine) -> None:
        if line.what == "configure" and set(line.arguments) <= set(RECORDERS):
            return
        self.history.steps.append(ControlCall(line.what, line.arguments, line.count, self._left()))

    def _left(self) -> list[Eviction]:
        left, self._leaving = sorted(self._leaving), []
        return left

    def _name(self, region: int) -> RegionName:
        return self._regions.get(region, (f"number {region}", ""))

    def _number(self, key: str) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _fetched(line: LookupLine) -> list[FetchedRow]:
    """What tiers had. Logs of earlier versions have only the letters of the rows, and their ages."""
    if line.fetched:
        return line.fetched
    ages = line.ages or [0.0] * line.rows
    rows = zip(line.outcomes, ages, strict=True)
    return [FetchedRow(row, TIERS[letter], age=age) for row, (letter, age) in enumerate(rows) if letter in TIERS]


def first_equal(keys: list[int]) -> list[int]:
    """Return for every row the first one that has its key."""
    first: dict[int, int] = {}
    return [first.setdefault(key, row) for row, key in enumerate(keys)]


def _keys(line: LookupLine) -> list[str] | None:
    try:
        names: list[str] | None = _DECODE_KEYS(line.keys)
    except msgspec.DecodeError:
        names = []
    if names is not None and len(names) != line.rows:
        raise UnsupportedAudit(f"the keys of call {line.call} are not one per row: the log was changed")
    return names


def runs(steps: list[Step]) -> Iterator[list[Decision] | ControlCall]:
    """Put the lookups of each run of the model together.

    A run asks a region once at most, and all that are not inside others; the first of them comes up again with the next
    run only. A change belongs to no run: it is between two.
    """
    run: list[Decision] = []
    changes: list[ControlCall] = []
    for step in steps:
        if isinstance(step, ControlCall):
            if run:
                changes.append(step)
            else:
                yield step
            continue
        if any(step.region == other.region for other in run):
            yield run
            yield from changes
            run, changes = [], []
        run.append(step)
    if run:
        yield run
    yield from changes
