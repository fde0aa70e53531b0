"""Making the calls of an audit log again, and comparing what is decided with what was (``actcache replay``).

The calls come from a trace that :func:`actcache.record` wrote meanwhile. They are made one after the other in a process
of its own, from an empty store, with the log's configuration and changes of it. What costs and times decide is decided
by the log's (``actcache_replay`` in ``actcache.h``); everything else has to come to the same by itself. What a call had
from a tier it has from a tier again: from a store that the replay makes (:mod:`actcache.replay.tier_values`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import onnx

from actcache.audit.logged_decisions import ControlCall, Decision, History, RegionName, Step, read_history, runs
from actcache.audit.outcomes import JOINED, REFRESHED
from actcache.base.files import scratch_folder
from actcache.base.per_call import PerCall
from actcache.errors import InternalError, UnsupportedAudit
from actcache.model.compiled_model import CompiledModel, read_compiled
from actcache.model.trace import list_calls
from actcache.passes.rewrite.weights import move_weights
from actcache.replay.differences import calls_differ, first_difference, missing
from actcache.replay.tier_values import TierValues, had_from_tiers, tier_values
from actcache.runs.client import ask
from actcache.runs.requests import Compiled, FillStore, LoggedCall, LoggedControlCall, Originals, ReplayLog
from actcache.verification.verify import Verification


def replay_audit(
    audit: str | PathLike[str],
    model: str | PathLike[str],
    trace: Sequence[str | PathLike[str]],
    *,
    libraries: Sequence[str | PathLike[str]] = (),
    disk_path: str | PathLike[str] | None = None,
    tolerance: float | None = None,
) -> dict[str, Any]:
    """Make the calls again.

    Args:
        audit: The audit log; of several processes that wrote to it, the last one counts.
        model: The compiled model that ran.
        trace: The inputs of its calls.
        libraries: Custom-op libraries that the model itself needs.
        disk_path: The disk store that values came out of. It is only read. What it does not have any more is computed,
            as is all that came out of tiers if no store is given.
        tolerance: Largest difference to the outputs of the model as it was before it was compiled, as
            :func:`actcache.compile.driver.compile_model` takes it.

    Returns:
        What ``--json`` prints. Keys, of which none goes away: ``audit``, ``model``; ``calls``, ``lookups``, ``rows``
        and ``evicted``: what was compared; ``same``: whether all decisions and outputs are; ``difference``: the first
        decision that is not (:class:`~actcache.replay.differences.Difference`), or null; ``outputs``:
        ``max_abs_error``, ``bit_exact`` and ``failure``; ``tiers``: ``rows``, how many values came out of tiers in the
        log, and ``in_store``, how many of them the store at `disk_path` has, or null; ``notes``: what was not or could
        not be compared.

    Raises:
        UnsupportedAudit: The log cannot be read, has no beginning, or is of another model.
        InvalidModel: `model` is no compiled model, or cannot be run.
        InvalidSamples: The trace cannot be read, or does not fit the model.
        InvalidOption: There is no store at `disk_path`.
        LibraryError: The native library cannot be used.
        OutputError: The temporary folder cannot be written, or is full.
    """
    history = read_history(audit)
    compiled = read_compiled(Path(model))
    if compiled.branches:
        problem = "its regions lie in branches of an If, and a log does not say which branch each call took"
        raise UnsupportedAudit(problem, file=audit, hint="replay a model whose regions all calls ask")
    names = _regions(history, compiled, audit)
    steps = history.of_regions(names)
    calls = list_calls(trace)
    taken = _taken(steps, len(calls))
    made = sum(not isinstance(run, ControlCall) for run in taken)
    given = None if disk_path is None else Path(disk_path)
    again, outputs, values = _played(history, compiled, taken, calls[:made], audit, libraries, given, tolerance)
    recorded = [step for run in taken for step in ([run] if isinstance(run, ControlCall) else run)]
    difference = first_difference(history, recorded, again.of_regions(names))
    if difference is None:
        difference = calls_differ(history, sum(not isinstance(run, ControlCall) for run in runs(steps)), len(calls))
    decisions = [step for step in recorded if isinstance(step, Decision)]
    return {
        "audit": str(audit),
        "model": str(model),
        "calls": made,
        "lookups": len(decisions),
        "rows": sum(len(step.outcomes) for step in decisions),
        "evicted": sum(len(step.evicted) for step in recorded),
        "same": difference is None and outputs.failure is None,
        "difference": None if difference is None else difference.to_json(),
        "outputs": {key: getattr(outputs, key) for key in ("max_abs_error", "bit_exact", "failure")},
        "tiers": {"rows": values.rows, "in_store": values.in_store},
        "notes": [*_notes(history, steps, names), *_told(values, given)],
    }


def _played(
    history: History,
    model: CompiledModel,
    taken: Sequence[list[Decision] | ControlCall],
    calls: Sequence[Path],
    audit: str | PathLike[str],
    libraries: Sequence[str | PathLike[str]],
    given: Path | None,
    tolerance: float | None,
) -> tuple[History, Verification, TierValues]:
    """Make the calls, and return what was decided, how outputs compare, and what came out of tiers."""
    with scratch_folder() as directory:
        original = _write_original(model, directory)
        originals = Originals(str(model.path), original, original, [str(path) for path in libraries])
        compiled = Compiled(model.path, PerCall.from_manifest(json.dumps(model.manifest)))
        made = [run for run in taken if not isinstance(run, ControlCall)]
        had = [(_step(run), path) for run, path in zip(made, calls, strict=True) if had_from_tiers(run)]
        filling = FillStore(
            originals=originals,
            compiled=compiled,
            calls=[path for _, path in had],
            steps=[step for step, _ in had],
            config=history.config,
            audit=str(audit),
            store=directory / "computed",
        )
        values = tier_values(made, filling, directory, given)
        request = ReplayLog(
            originals=originals,
            compiled=compiled,
            calls=calls,
            config=history.config,
            steps=[
                LoggedControlCall(run.what, run.arguments) if isinstance(run, ControlCall) else _step(run)
                for run in taken
            ],
            audit=str(audit),
            record=directory / "audit.jsonl",
            store=values.store,
            tolerance=tolerance,
        )
        outputs = ask(request, directory)
        again = read_history(request.record)
    if missing(again):
        raise InternalError(f"in the log of the replay, {missing(again)[0]}", file=model.path)
    return again, outputs, values


def _regions(history: History, model: CompiledModel, audit: str | PathLike[str]) -> set[RegionName]:
    """Return the model's regions, of which the log has to tell."""
    if history.first_part != 1:
        problem = f"its beginning is gone: the oldest file is part {history.first_part}, and a replay needs all"
        hint = "record with a larger audit_max_bytes or more audit_files"
        raise UnsupportedAudit(problem, file=audit, hint=hint)
    names = {(lookup.id, lookup.fingerprint) for lookup in model.lookups}
    recorded = {step.region for step in history.steps if isinstance(step, Decision)}
    if names & recorded:
        return names
    theirs, ours = (", ".join(f"'{i}' ({f[:16]}…)" for i, f in sorted(some)) for some in (recorded, names))
    raise UnsupportedAudit(
        f"it was recorded with another model: its regions are {theirs}, those of {model.path} are {ours}",
        file=audit,
        hint="if names are equal and fingerprints are not, weights or operators changed; 'actcache diff' shows which",
    )


def _taken(steps: list[Step], calls: int) -> list[list[Decision] | ControlCall]:
    """Return runs up to the last one that the trace has, and the changes between them."""
    taken: list[list[Decision] | ControlCall] = []
    end = 0
    for run in runs(steps):
        if not isinstance(run, ControlCall):
            if calls == 0:
                break
            calls -= 1
            end = len(taken) + 1
        taken.append(run)
    return taken[:end]


def _step(run: list[Decision]) -> LoggedCall:
    """Return a call that the other process is to make."""
    namespaces = [decision.namespace for decision in run if decision.namespace is not None]
    refreshed = any(REFRESHED in decision.outcomes for decision in run)
    return LoggedCall(
        regions=[_arguments(decision) for decision in run],
        fetched=[arguments for decision in run for arguments in _fetched(decision)],
        namespace=namespaces[0] if namespaces else None,
        control="refresh" if refreshed else "use",
    )


def _arguments(decision: Decision) -> tuple[str, str, int, int, int, int, int, str | None]:
    times = (decision.lookup_ns, decision.store_ns, decision.cost_ns, decision.fetch_ns)
    return (*decision.region, *times, int(decision.keys is None), decision.stored)


def _fetched(decision: Decision) -> list[tuple[str, str, int, str, int, int, int, int]]:
    return [
        (*decision.region, row.row, row.tier, row.cost_ns, round(row.age * 1e9), _ttl_ns(row.ttl), int(row.trusted))
        for row, _ in decision.fetched
    ]


def _ttl_ns(seconds: float) -> int:
    """As ``actcache_replay_fetched`` takes it: 0 is never, which what is about to expire is not."""
    return 0 if seconds < 0 else max(1, round(seconds * 1e9))


def _write_original(model: CompiledModel, directory: Path) -> str:
    """Write the model as it was before it was compiled, whose outputs are the right ones."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.view.model)
    move_weights(proto, model.home, directory / "weights.bin")
    path = directory / "original.onnx"
    path.write_bytes(proto.SerializeToString())
    return str(path)


def _told(values: TierValues, given: Path | None) -> list[str]:
    """Say where what came out of tiers is from in the replay."""
    if not values.rows:
        return []
    came = f"{values.rows} values came out of tiers in the log"
    if given is None:
        return [f"{came}; the replay computed them, and took them out of a tier again"]
    lacks = values.rows - (values.in_store or 0)
    return [f"{came}; {given} has {values.in_store} of them, and the replay computed the other {lacks}"]


def _notes(history: History, steps: list[Step], names: set[RegionName]) -> list[str]:
    notes = []
    if history.processes > 1:
        notes.append(f"{history.processes} processes wrote to the log; this is the last one")
    notes += missing(history)
    others = len(history.steps) - len(steps)
    if others:
        notes.append(f"{others} lookups of other models' regions are left out; they share the store")
    if history.overlapping:
        notes.append(f"{history.overlapping} calls overlapped with others; they are made one after the other")
    if any(isinstance(step, Decision) and JOINED in step.outcomes for step in steps):
        notes.append("rows that waited for another call (j) count as found (h)")
    aged = (step for step in steps if isinstance(step, ControlCall) and step.arguments.get("min_age_seconds"))
    if any(aged):
        notes.append("an age that an invalidation or a pin names (older_than) counts from the time of the replay")
    silent = names - history.regions
    if silent:
        notes.append(f"the log has no lookup of {', '.join(repr(name) for name, _ in sorted(silent))}")
    return notes
