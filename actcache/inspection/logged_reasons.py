"""What the lines of an audit log say of why a unit was missed, from the last that they say of its key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from actcache.audit.logged_decisions import ControlCall, Decision, Eviction, History
from actcache.audit.outcomes import (
    BYPASSED,
    DUPLICATE,
    EQUAL,
    EXPIRED,
    FIRST_SIGHT,
    HIT,
    JOINED,
    NOTHING,
    PRESENT,
    REFRESHED,
    REFUSED,
    STORED,
    VERIFIED,
)

_EVICTED = {
    "room": "evicted to make room for what was worth more",
    "quota": "evicted because its namespace was over its quota",
    "budget": "evicted because the budget was lowered",
    "expired": "removed because it was older than ttl_seconds",
    "mismatch": "removed because a verification found it different from what was computed",
    "invalidated": "removed because a fresh result of its row was not stored",
}
#: What letters of store lines say of a key; those that leave it as it was say nothing.
_BECAME = {STORED: "stored", REFUSED: "refused", FIRST_SIGHT: "first sight", NOTHING: "uncacheable"}
_STAYS = PRESENT + EQUAL
_WHY_NOT_KEPT = {
    "refused": "it was not worth what it would have pushed out, or there was no room",
    "first sight": "it was seen for the first time, and nothing of the region had repeated by then",
    "uncacheable": "its results are not one row per row",
}


@dataclass
class _Key:
    """The last that the log says of a key."""

    what: str  # computed, stored, refused, first sight, uncacheable or evicted
    lookup: int
    position: int
    details: dict[str, Any] = field(default_factory=dict)


class Reasons:
    """Why the units of `decision`, the step at `position`, came to what they did; `unit`: what one is called."""

    def __init__(self, history: History, position: int, decision: Decision, unit: str = "row") -> None:
        self._history, self._position, self._decision, self._unit = history, position, decision, unit
        self._keys: dict[int, _Key] = {}
        self._emptied: dict[int, ControlCall] = {}  # invalidations, by position
        for earlier, step in enumerate(history.steps[:position]):
            if isinstance(step, ControlCall):
                if step.what == "invalidate" and step.count:
                    self._emptied[earlier] = step
                self._remove(step.evicted, 0, earlier)
            else:
                self._add(step, earlier)

    def _add(self, step: Decision, position: int) -> None:
        self._remove((e for e in step.evicted if e[0] == "expired"), step.call, position)
        if step.keys is not None:
            letters = step.stored or "?" * len(step.computed)
            for row, letter in zip(step.computed, letters, strict=False):
                if letter not in _STAYS:
                    self._keys[step.keys[row]] = _Key(_BECAME.get(letter, "computed"), step.call, position)
        others = (e for e in step.evicted if e[0] not in ("expired", "replaced"))
        self._remove(others, step.call, position)

    def _remove(self, evicted: Iterable[Eviction], lookup: int, position: int) -> None:
        for reason, key in evicted:
            before = self._keys.get(key)
            stored = {} if before is None else {"stored_by": before.lookup}
            self._keys[key] = _Key("evicted", lookup, position, {"reason": reason, **stored})

    def of(self, letter: str, key: int | None) -> tuple[str, str, str, dict[str, Any]]:
        """Return outcome, reason, text and details (:class:`Why`) of a unit, of its letter and its key's number."""
        keys = self._decision.keys
        known = None if key is None else self._keys.get(key)
        by = "" if known is None else f"lookup {known.lookup}"
        if letter == HIT:
            return "hit", "equal", f"stored by {by}" if known else "stored before the log began", {}
        if letter == JOINED:
            return "hit", "joined", "another call was computing it, and this one waited", {}
        if letter == DUPLICATE:
            same = keys.index(key) if keys is not None and key is not None else 0
            return "duplicate", "equal", f"equal to row {same} of the same call", {"duplicate_of": same}
        if letter == VERIFIED:
            return "miss", "verified", "it was found, and computed again to be compared (verify_fraction)", {}
        if letter == REFRESHED:
            return "miss", "control", "the call asked for refresh: everything is computed again", {}
        if letter == BYPASSED:
            return "bypassed", *self._bypass()
        return "miss", *self._miss(letter, known)

    def _bypass(self) -> tuple[str, str, dict[str, Any]]:
        states = [s for s in self._history.states if s.region == self._decision.region and s.position <= self._position]
        if states and states[-1].state != "active":
            text = f"the region was {states[-1].state}: {states[-1].reason or 'no reason is given'}"
            return "state", text, {"state": states[-1].state, "why": states[-1].reason}
        if self._history.config.get("budget_bytes") == 0:
            return "off", "the store was off: budget_bytes is 0", {}
        return "control", "the call asked for bypass, or its store was off: nothing was looked up", {}

    def _miss(self, letter: str, known: _Key | None) -> tuple[str, str, dict[str, Any]]:
        if known is None:
            return self._never_seen()
        details: dict[str, Any] = {"last": known.lookup, **known.details}
        if letter == EXPIRED:
            by = details.get("stored_by", known.lookup)
            text = f"stored by lookup {by}, and older by then than ttl_seconds or max_entry_age allowed"
            return "expired", text, details
        if known.what == "evicted":
            reason = str(details["reason"])
            stored = f"stored by lookup {details['stored_by']}, then " if "stored_by" in details else ""
            through = f" (by lookup {known.lookup})" if known.lookup else ""
            return "evicted", f"{stored}{_EVICTED.get(reason, f'removed: {reason}')}{through}", details
        if known.what in _WHY_NOT_KEPT:
            why = _WHY_NOT_KEPT[known.what]
            return known.what, f"computed by lookup {known.lookup} and not stored: {why}", details
        if known.what == "computed":
            text = f"lookup {known.lookup} computed it and had not stored it by then, or failed"
            return "computed", text, details
        if any(position > known.position for position in self._emptied):
            return "invalidated", f"stored by lookup {known.lookup}, then invalidated by the host program", details
        text = f"stored by lookup {known.lookup}, and no line of the log says that it left: lines are missing"
        return "unexplained", text, details

    def _never_seen(self) -> tuple[str, str, dict[str, Any]]:
        decision = self._decision
        text = f"no earlier lookup of the log had this {self._unit}"
        if self._history.first_part != 1 or self._history.lost:
            text += ", but the log lacks some"
        others = sorted(
            {
                step.namespace
                for step in self._history.steps[: self._position]
                if isinstance(step, Decision) and step.region == decision.region and step.namespace is not None
            }
            - {decision.namespace}
        )
        details: dict[str, Any] = {"namespace": decision.namespace}
        if others:
            shown = ", ".join(f"'{name}'" for name in others[:5])
            text += f" in namespace '{decision.namespace}'; entries of other ones ({shown}) are not seen from it"
            details["other_namespaces"] = others
        return "new", text, details
