"""Why rows of a call were missed while a model was in use: what its audit log says of their keys before.

Keys are hashed with a secret of the process that wrote the log, so that an input's cannot be computed: the lookup of an
input is the last one that has as many rows, among which the same ones are equal; or another of those, which the user
names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from actcache.audit.logged_decisions import Decision, History, first_equal, read_history
from actcache.base.moment import format_moment
from actcache.errors import InvalidOption
from actcache.inspection.call_comparison import Call, Why, equal_rows, units_of
from actcache.inspection.explain_miss import call_of, chosen_regions, not_taken
from actcache.inspection.frontier_values import frontier_values
from actcache.inspection.logged_prefix import equal_beginnings, explain_beginnings
from actcache.inspection.logged_reasons import Reasons
from actcache.inspection.prefix_comparison import sequences_of, why_uncached
from actcache.model.compiled_model import Lookup, read_compiled
from actcache.model.model_file import parse_model
from actcache.model.model_inputs import model_inputs
from actcache.model.samples import load_sample
from actcache.passes.cuts import PrefixCut

#: Other lookups that an answer names.
_LISTED = 8


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
        call = call_of(one, feed, values)
        found = not_taken(compiled, one, call) or _explain(history, one, call, _Asked(lookup, at), fitting)
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
    reason = why_uncached(region, region.cut, call.values) if isinstance(region.cut, PrefixCut) else None
    if reason is not None:
        return Why(region.id, None, "bypassed", "no rows", f"the call is computed without the cache: {reason}")
    pattern, explain = _units(region, call)
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
    rows = list(explain(history, position, decision))
    others = sorted((step.call for _, step in fitting if step is not decision), key=lambda n: abs(n - decision.call))
    nearest = tuple(sorted(others[:_LISTED]))
    return rows, Recorded(decision.call, decision.namespace, len(fitting), decision.time, nearest)


def _units(region: Lookup, call: Call) -> tuple[list[int], Callable[[History, int, Decision], Iterator[Why]]]:
    """Return which units of a call are equal (per unit the first such one), and what explains them by a lookup."""
    cut = region.cut
    if isinstance(cut, PrefixCut):
        rows = sequences_of(region, cut, call.values).count
        pattern = equal_beginnings(region, cut, call.values)
        return pattern, lambda history, at, decision: explain_beginnings(history, at, decision, cut, rows)
    by_row = units_of(region, call.values).divided
    pattern = equal_rows(region, call.values) if by_row else [0]
    return pattern, lambda history, at, decision: _rows(history, at, decision, by_row)


def _rows(history: History, position: int, decision: Decision, by_row: bool) -> Iterator[Why]:
    """Explain every row of a lookup, the step at `position`."""
    reasons = Reasons(history, position, decision)
    for row, letter in enumerate(decision.outcomes):
        key = None if decision.keys is None else decision.keys[row]
        outcome, reason, text, details = reasons.of(letter, key)
        details = {"lookup": decision.call, **details}
        yield Why(decision.region[0], row if by_row else None, outcome, reason, text, details)


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
