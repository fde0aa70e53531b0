"""Where a replay first comes to something else than the audit log says, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from actcache.audit.logged_decisions import ControlCall, Decision, History, RegionName, Step
from actcache.audit.outcomes import (
    BYPASSED,
    DISK,
    EXPIRED,
    HELD,
    HELD_AFTERWARDS,
    HIT,
    JOINED,
    MISS,
    REFRESHED,
    REMOTE,
    VERIFIED,
    became,
    kept,
)

#: Evictions that are spelled out.
_SHOWN = 3


@dataclass(frozen=True)
class Difference:
    """The first difference.

    Attributes:
        kind: ``rows``, ``keys``, ``outcomes``, ``stored``, ``evicted``, ``count`` (of what was invalidated, pinned or
            unpinned), ``regions`` (of a call), ``end`` (the log ends earlier) or ``calls`` (one has more).
        call: Number of the run of the model, from 1; None: of something between two.
        lookup: The log's number of the lookup; None: of no lookup.
        region: Id of its region.
        text: What the log says, and what the replay came to.
        why: What that comes from.
    """

    kind: str
    call: int | None
    lookup: int | None
    region: str | None
    text: str
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return asdict(self)


def first_difference(history: History, recorded: Sequence[Step], replayed: Sequence[Step]) -> Difference | None:
    """Compare what was recorded with what a replay came to.

    Args:
        history: What else the log says.
        recorded: Its steps that were replayed.
        replayed: Those of the replay.
    """
    past = _Past()
    run = 0
    in_run: set[RegionName] = set()
    for position, (theirs, ours) in enumerate(zip(recorded, replayed, strict=False)):
        if isinstance(theirs, ControlCall) or isinstance(ours, ControlCall):
            found = _of_change(theirs, ours)
            if found is not None:
                why = _why(history, past, found[0], None, None)
                return Difference(found[0], None, None, None, found[1], why)
            past.change()
            continue
        if not run or theirs.region in in_run:
            run, in_run = run + 1, set()
        in_run.add(theirs.region)
        found = _of_decision(theirs, ours)
        if found is not None:
            kind, text = found
            last = position + 1 == len(recorded)
            if last and kind == "stored" and theirs.stored is None:
                kind, text = "end", f"the log ends within it: {text}"
            why = _why(history, past, kind, theirs, ours)
            return Difference(kind, run, theirs.call, theirs.region[0], text, why)
        past.decision(theirs)
    if len(recorded) != len(replayed):
        text = f"the log has {len(recorded)} lookups and changes of these calls, the replay {len(replayed)}"
        return Difference("end", run, None, None, text, _why(history, past, "end", None, None))
    return None


def calls_differ(history: History, log: int, trace: int) -> Difference | None:
    """Say whether the log and the trace have different numbers of calls, of which the first ones are the same."""
    if log == trace:
        return None
    text = f"the log has {log} calls, the trace {trace}; the first {min(log, trace)} are the same"
    if log < trace:
        why = next(iter(missing(history)), None) or "the log was cut off, or ends before the trace does"
    else:
        why = "the trace ends earlier, as at its max_calls or max_bytes, or has a sample of the calls"
    return Difference("calls", min(log, trace) + 1, None, None, text, why)


def _of_change(theirs: Step, ours: Step) -> tuple[str, str] | None:
    if not isinstance(theirs, ControlCall) or not isinstance(ours, ControlCall) or theirs.what != ours.what:
        return "regions", f"the log has {_name(theirs)} here, the replay {_name(ours)}"
    if theirs.count != ours.count:
        return "count", f"{theirs.what} was about {theirs.count} entries in the log, {ours.count} in the replay"
    if theirs.evicted != ours.evicted:
        return "evicted", _evicted(theirs, ours)
    return None


def _of_decision(theirs: Decision, ours: Decision) -> tuple[str, str] | None:
    if theirs.region != ours.region:
        return "regions", f"the log has {_name(theirs)} here, the replay {_name(ours)}"
    if len(theirs.outcomes) != len(ours.outcomes):
        return "rows", f"the call has {len(theirs.outcomes)} rows in the log, {len(ours.outcomes)} in the trace"
    for row, (one, two) in enumerate(zip(theirs.outcomes, ours.outcomes, strict=True)):
        keys = (None if theirs.keys is None else theirs.keys[row], None if ours.keys is None else ours.keys[row])
        if None not in keys and keys[0] != keys[1]:
            return "keys", f"row {row} is equal to another row of these calls in the log than in the trace"
        if one.replace(JOINED, HIT) != two.replace(JOINED, HIT):
            return "outcomes", f"row {row} was {became(one)} in the log, {became(two)} in the replay"
    if theirs.stored != ours.stored:
        return "stored", _stored(theirs, ours)
    if theirs.contradiction is not None:
        return "stored", theirs.contradiction
    if theirs.evicted != ours.evicted:
        return "evicted", _evicted(theirs, ours)
    return None


def _stored(theirs: Decision, ours: Decision) -> str:
    if theirs.stored is None or ours.stored is None:
        which = ("the log", "the replay") if theirs.stored is None else ("the replay", "the log")
        return f"{which[0]} has nothing of what became of the computed rows, {which[1]} has"
    for row, one, two in zip(theirs.computed, theirs.stored, ours.stored, strict=False):
        if one != two:
            return f"row {row} was {kept(one)} in the log, {kept(two)} in the replay"
    return f"{len(theirs.stored)} rows were computed in the log, {len(ours.stored)} in the replay"


def _evicted(theirs: Step, ours: Step) -> str:
    mine, other = list(theirs.evicted), list(ours.evicted)
    for entry in theirs.evicted:
        if entry in other:
            other.remove(entry)
            mine.remove(entry)
    only = [f"{_entries(mine)} only in the log"] if mine else []
    only += [f"{_entries(other)} only in the replay"] if other else []
    return f"evicted: {', '.join(only)}"


def _entries(evicted: Sequence[tuple[str, int]]) -> str:
    shown = ", ".join(f"key {number} ({reason})" for reason, number in evicted[:_SHOWN])
    return shown if len(evicted) <= _SHOWN else f"{shown} and {len(evicted) - _SHOWN} more"


def _name(step: Step) -> str:
    return f"a lookup of '{step.region[0]}'" if isinstance(step, Decision) else f"'{step.what}'"


# -- why ------------------------------------------------------------------------------------------------


class _Past:
    """What the lines before the difference leave in the store, if they are true."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.fetched: set[int] = set()  # from tiers: memory may have taken it, or not
        self.complete = True  # nothing was invalidated, which names no keys

    def decision(self, step: Decision) -> None:
        self.held.difference_update(number for reason, number in step.evicted if reason == "expired")
        if step.stored is not None and step.keys is not None:
            letters = zip(step.computed, step.stored, strict=False)
            self.held.update(step.keys[row] for row, letter in letters if letter in HELD_AFTERWARDS)
        if step.keys is not None:
            self.fetched.update(step.keys[row.row] for row, _ in step.fetched)
        self.held.difference_update(n for reason, n in step.evicted if reason not in ("expired", "replaced"))

    def change(self) -> None:
        self.complete = False

    def gap(self, step: Decision) -> str | None:
        """What of the outcomes of the next lookup does not follow from the lines before it."""
        if not self.complete or step.keys is None:
            return None
        for row, (letter, key) in enumerate(zip(step.outcomes, step.keys, strict=True)):
            if letter in HELD and key not in self.held and key not in self.fetched:
                return f"row {row} was found, but no line before says that it was stored"
            if letter == MISS and key in self.held and ("expired", key) not in step.evicted:
                return f"row {row} was missed, but lines before say that it was stored, and none that it left"
        return None


def _why(history: History, past: _Past, kind: str, theirs: Decision | None, ours: Decision | None) -> str:
    lacks = next(iter(missing(history)), None)
    if kind == "end":
        return lacks or "the log was cut off, or the process ended without writing all of it"
    if kind in ("rows", "keys", "regions"):
        if history.overlapping:
            return _overlap(history)
        return lacks or "the trace has other calls than the log, or in another order"
    if theirs is not None and ours is not None:
        if theirs.contradiction is not None:
            return f"the log contradicts itself: {theirs.contradiction}; {lacks or 'its lines were changed'}"
        gap = past.gap(theirs)
        if gap is not None:
            cause = lacks or "the store was not empty when the log began, or its lines were changed"
            return f"the log does not explain it: {gap}; {cause}"
        by_knob = _by_knob(history, theirs, ours) if kind == "outcomes" else None
        if by_knob is not None:
            return by_knob
    if history.overlapping:
        return _overlap(history)
    budget, quota = (history.config.get(name) for name in ("budget_bytes", "namespace_quota_bytes"))
    return lacks or (
        f"the calls ran with another configuration than the log's first line says (budget_bytes {budget},"
        f" namespace_quota_bytes {quota}), as after a session's own entries; else two keys collide in the estimate of"
        " how often each was asked for, which is another one in every process, or lines of the log were changed"
    )


def _by_knob(history: History, theirs: Decision, ours: Decision) -> str | None:
    """The knob that an outcome depends on, where only one kind of row has come to something else."""
    pairs = zip(theirs.outcomes, ours.outcomes, strict=True)
    one, two = next((a, b) for a, b in pairs if a.replace(JOINED, HIT) != b.replace(JOINED, HIT))
    if one in (DISK, REMOTE):
        return (
            "the store that the replay asked does not have what came out of a tier: it is of a region that shares"
            " nothing with other processes here, or it takes too much room"
        )
    if VERIFIED in (one, two) and theirs.fetched:
        return "what came out of a tier was made by another session or machine, and was compared first"
    if VERIFIED in (one, two):
        share = history.config.get("verify_fraction")
        return f"hits were verified with another verify_fraction than the log's {share}, or before the log began"
    if EXPIRED in (one, two):
        return "the session had its own ttl_seconds or max_entry_age, which the log does not have"
    if BYPASSED in (one, two) or REFRESHED in (one, two):
        return "the cache was off, or the call said so with its control input, which a trace does not have"
    return None


def missing(history: History) -> list[str]:
    """Say what the log lacks."""
    found = []
    if history.dropped:
        found.append(f"events are missing in the log ({history.dropped}): they did not fit audit_buffer_bytes")
    if history.lost:
        found.append(f"lookups are missing in the log ({history.lost}), as its numbers have gaps or begin later")
    if history.broken:
        found.append(f"lines of the log are broken ({history.broken})")
    return found


def _overlap(history: History) -> str:
    return (
        f"calls overlapped ({history.overlapping} times a region was asked before an earlier call of it was stored),"
        " and the log does not have the order in which they came to the store"
    )
