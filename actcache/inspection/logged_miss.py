"""Why rows of a call were missed while a model was in use: what its audit log says of their keys before.

Keys are hashed with a secret of the process that wrote the log, so that an input's cannot be computed: the lookup of an
input is the last one that has as many rows, of which the same are equal; or another of those, which the user names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from actcache.audit.logged_decisions import ControlCall, Decision, Eviction, History, first_equal, read_history
from actcache.audit.outcomes import (
    BYPASSED,
    DUPLICATE,
    EQUAL,
    EXPIRED,
    HIT,
    JOINED,
    NOTHING,
    PRESENT,
    REFRESHED,
    REFUSED,
    STORED,
    VERIFIED,
)
from actcache.base.moment import format_moment
from actcache.errors import InvalidOption
from actcache.inspection.call_comparison import Call, Why, equal_rows, units_of
from actcache.inspection.explain_miss import call_of, chosen_regions
from actcache.inspection.frontier_values import frontier_values
from actcache.model.compiled_model import Lookup, read_compiled
from actcache.model.model_file import parse_model
from actcache.model.model_inputs import model_inputs
from actcache.model.samples import load_sample
from actcache.passes.cuts import PrefixCut

#: Other lookups that an answer names.
_LISTED = 8
_EVICTED = {
    "room": "evicted to make room for what was worth more",
    "quota": "evicted because its namespace was over its quota",
    "budget": "evicted because the budget was lowered",
    "expired": "removed because it was older than ttl_seconds",
    "mismatch": "removed because a verification found it different from what was computed",
    "invalidated": "removed because a fresh result of its row was not stored",
}
#: What letters of store lines say of a key; those that leave it as it was say nothing.
_BECAME = {STORED: "stored", REFUSED: "refused", NOTHING: "uncacheable"}
_STAYS = PRESENT + EQUAL
_WHY_NOT_KEPT = {
    REFUSED: "it was not worth what it would have pushed out, or there was no room",
    NOTHING: "its results are not one row per row",
}


@dataclass(frozen=True)
class Recorded:
    """The lookup of a region that an input is taken for.

    Attributes:
        lookup: Its number in the log.
        namespace: Whose entries it looked for.
        fits: How many lookups of the region the input fits; this is the last one, unless another was asked for.
        time: When it was, in seconds since 1970.
        others: Numbers of those nearest to it, of the others that the input fits.
    """

    lookup: int
    namespace: str | None
    fits: int
    time: float
    others: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return {**asdict(self), "others": list(self.others)}


def explain_recorded(
    model: str | PathLike[str],
    given: str | PathLike[str],
    audit: str | PathLike[str],
    *,
    region: str | None = None,
    lookup: int | None = None,
    at: float | None = None,
    libraries: Sequence[str | PathLike[str]] = (),
) -> tuple[list[Why], dict[str, Recorded]]:
    """Return what became of every row of a call when it was made, and why, and which lookups those were.

    Args:
        model: The compiled model.
        given: Inputs of the call (``.npz``).
        audit: The audit log.
        region: Id of the only region to look at; None: all.
        lookup: The log's number of the lookup; None: the last one that the input fits.
        at: Take the last one that was made by then, in seconds since 1970; None: by the end of the log.
        libraries: Custom-op libraries that the model itself needs.

    Raises:
        UnsupportedAudit: The log cannot be read.
        InvalidOption: The log has no lookup of this number, or by this time, that the input fits.
        InvalidModel, InvalidSamples, InvalidRegion, LibraryError: As
            :func:`actcache.inspection.explain_miss.explain_inputs`.
    """
    if lookup is not None and at is not None:
        raise InvalidOption("a lookup is named by its number and by its time", hint="give either --lookup or --at")
    history = read_history(audit)
    compiled = read_compiled(Path(model))
    wanted = [one for one in chosen_regions(compiled, region) if region in (None, one.id)]
    feed = load_sample(given, model_inputs(parse_model(Path(model))))
    (values,) = frontier_values(compiled, wanted, [(fspath(given), feed)], libraries)
    records: list[Why] = []
    recorded: dict[str, Recorded] = {}
    fitting: list[Decision] = []
    for one in wanted:
        found = _explain(history, one, call_of(one, feed, values), _Asked(lookup, at), fitting)
        if isinstance(found, Why):
            records.append(found)
            continue
        records += found[0]
        recorded[one.id] = found[1]
    if not recorded and fitting and (lookup is not None or at is not None):
        wanted_one = f"no lookup {lookup}" if at is None else f"no lookup by {format_moment(at)}"
        known = sorted(step.call for step in fitting)
        listed = ", ".join(map(str, known[-_LISTED:]))
        more = f"of {len(known)}, the last are " if len(known) > _LISTED else "it fits "
        hint = f"{more}{listed}; the first was at {format_moment(min(step.time for step in fitting))}"
        raise InvalidOption(f"the log has {wanted_one} that this input fits", hint=hint)
    return records, recorded


@dataclass(frozen=True)
class _Asked:
    """Which lookup the user means: by its number, or the last one by a time; else the last one."""

    number: int | None
    at: float | None

    def means(self, step: Decision) -> bool:
        in_time = self.at is None or int(step.time * 1e3) <= int(self.at * 1e3)  # as moments are written
        return self.number in (None, step.call) and in_time


def _explain(
    history: History, region: Lookup, call: Call, asked: _Asked, fitting_any: list[Decision]
) -> tuple[list[Why], Recorded] | Why:
    """Explain the rows of a region; the lookups that the call fits are added to `fitting_any`."""
    name = (region.id, region.fingerprint)
    if name not in history.regions:
        return _not_there(history, region)
    if any(tensor not in call.values for tensor in region.frontier):
        return Why(region.id, None, "unknown", "unreadable", "it reads tensors that Python cannot read")
    if isinstance(region.cut, PrefixCut):
        text = "what a log says of beginnings of sequences is not explained yet: give the inputs of both calls instead"
        return Why(region.id, None, "unknown", "unexplained", text)
    by_row = units_of(region, call.values).divided
    pattern = equal_rows(region, call.values) if by_row else [0]
    fitting = [
        (position, step)
        for position, step in enumerate(history.steps)
        if isinstance(step, Decision) and step.region == name and _fits(step, pattern, call.namespace)
    ]
    fitting_any += [step for _, step in fitting]
    meant = [(position, step) for position, step in fitting if asked.means(step)]
    if not meant:
        text = "the log has no lookup with this number of rows and the same rows equal"
        if fitting:
            text = "none of the lookups that the input fits is the one that was asked for"
        return Why(region.id, None, "unknown", "not recorded", text, {"rows": len(pattern)})
    position, decision = meant[-1]
    rows = list(_Reasons(history, position, decision, by_row).records())
    others = sorted((step.call for _, step in fitting if step is not decision), key=lambda n: abs(n - decision.call))
    nearest = tuple(sorted(others[:_LISTED]))
    return rows, Recorded(decision.call, decision.namespace, len(fitting), decision.time, nearest)


def _fits(step: Decision, pattern: Sequence[int], namespace: str | None) -> bool:
    if len(step.outcomes) != len(pattern):
        return False
    if namespace is not None and step.namespace not in (None, namespace):
        return False
    return step.keys is None or first_equal(step.keys) == list(pattern)


def _not_there(history: History, region: Lookup) -> Why:
    others = sorted(fingerprint for name, fingerprint in history.regions if name == region.id)
    if not others:
        return Why(region.id, None, "unknown", "not recorded", "the log has no lookup of this region")
    text = (
        f"the model that ran has a '{region.id}' of another fingerprint, {others[-1][:16]}…, and this one is"
        f" {region.fingerprint[:16]}…: they share no entries; 'actcache diff' shows what changed"
    )
    details = {"fingerprints": [*others, region.fingerprint]}
    return Why(region.id, None, "miss", "fingerprint", text, details)


@dataclass
class _Key:
    """The last that the log says of a key."""

    what: str  # computed, stored, refused, uncacheable or evicted
    lookup: int
    position: int
    details: dict[str, Any] = field(default_factory=dict)


class _Reasons:
    """Why the rows of `decision`, the step at `position`, came to what they did."""

    def __init__(self, history: History, position: int, decision: Decision, by_row: bool) -> None:
        self._history, self._position, self._decision, self._by_row = history, position, decision, by_row
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

    def records(self) -> Iterator[Why]:
        """Yield a record for every row."""
        decision = self._decision
        for row, letter in enumerate(decision.outcomes):
            key = None if decision.keys is None else decision.keys[row]
            outcome, reason, text, details = self._of_row(letter, key)
            details = {"lookup": decision.call, **details}
            yield Why(decision.region[0], row if self._by_row else None, outcome, reason, text, details)

    def _of_row(self, letter: str, key: int | None) -> tuple[str, str, str, dict[str, Any]]:
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
        if known.what in ("refused", "uncacheable"):
            why = _WHY_NOT_KEPT[REFUSED if known.what == "refused" else NOTHING]
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
        text = "no earlier lookup of the log had this row"
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
