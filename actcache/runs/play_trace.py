"""Playing recorded calls through the original and the compiled model, in the process that runs models (``worker``)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from actcache.runs.requests import Played, PlayTrace, RowCounts
from actcache.runs.sessions import open_original, run_of, run_of_compiled
from actcache.runs.trace_calls import Calls
from actcache.serve import knobs, runtime
from actcache.verification import verify
from actcache.verification.cases import Run

#: How long playing takes at most; calls beyond that are left out.
_SECONDS = 40.0


def play_trace(request: PlayTrace, _: Path) -> Played:
    """Play the calls of a trace through both models in turn, with a store of the size asked for."""
    originals = request.originals
    proto = onnx.load_model(originals.base, load_external_data=False)
    knobs.configure(budget_bytes=request.budget)
    original = run_of(open_original(originals), originals)
    compiled = run_of_compiled(request.compiled, originals.libraries)
    return _played(original, compiled, Calls(proto, request.calls), request.tolerance)


def _played(original: Run, compiled: Run, calls: Calls, tolerance: float | None) -> Played:
    """Play calls through both models in turn, from an empty store, until all are played or the time is up."""
    played, seconds, report = 0, [0.0, 0.0], verify.Verification()
    varying: frozenset[int] = frozenset()
    before: Mapping[str, RowCounts] = {}
    deadline = time.monotonic() + _SECONDS
    for feed in calls:
        if played == 0:
            varying = verify.varying_outputs(original, feed)
            compiled(feed)
            runtime.invalidate()
            before = _computed()
        elif time.monotonic() > deadline:
            break
        answers: list[Any] = [None, None]
        for which in (0, 1) if played % 2 else (1, 0):
            start = time.perf_counter()
            answers[which] = (original, compiled)[which](feed)
            seconds[which] += time.perf_counter() - start
        played += 1
        failure = verify.differences(f"call {played} of the trace", answers[1], answers[0], tolerance, varying, report)
        if failure is not None:
            report.failure = failure
            break
    none = RowCounts(0, 0)
    regions = {name: after - before.get(name, none) for name, after in _computed().items()}
    return Played(played, seconds[0], seconds[1], regions, report.max_abs_error, report.failure)


def _computed() -> dict[str, RowCounts]:
    """Return what every region was asked for up to now."""
    regions: Mapping[str, Mapping[str, int]] = runtime.stats()["regions"]
    return {
        name: RowCounts(counts["lookups"], counts["misses"] + counts["bypassed"]) for name, counts in regions.items()
    }
