"""Playing recorded calls through the original and the compiled model, in the process that runs models (``worker``)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from actcache.runs.paired_times import PairedTimes
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
    return _played(original, compiled, Calls(proto, request.calls), request)


def _played(original: Run, compiled: Run, calls: Calls, request: PlayTrace) -> Played:
    """Play calls through both models in turn, from an empty store, until all are played, or enough are, or the time is
    up.
    """
    times, report = PairedTimes(), verify.Verification()
    varying: frozenset[int] = frozenset()
    before: Mapping[str, RowCounts] = {}
    deadline = time.monotonic() + _SECONDS
    for feed in calls:
        if not times:
            varying = verify.varying_outputs(original, feed)
            compiled(feed)
            runtime.invalidate()
            before = _computed()
        elif time.monotonic() > deadline or (request.until_clear and times.are_clear(len(calls))):
            break
        answers, seconds = [list[Any](), list[Any]()], [0.0, 0.0]
        for which in (0, 1) if len(times) % 2 else (1, 0):
            start = time.perf_counter()
            answers[which] = (original, compiled)[which](feed)
            seconds[which] = time.perf_counter() - start
        times.add(*seconds)
        name = f"call {len(times)} of the trace"
        failure = verify.differences(name, answers[1], answers[0], request.tolerance, varying, report)
        if failure is not None:
            report.failure = failure
            break
    none = RowCounts(0, 0)
    regions = {name: after - before.get(name, none) for name, after in _computed().items()}
    return Played(len(times), times.original, times.compiled, regions, report.max_abs_error, report.failure)


def _computed() -> dict[str, RowCounts]:
    """Return what every region was asked for up to now."""
    regions: Mapping[str, Mapping[str, int]] = runtime.stats()["regions"]
    return {
        name: RowCounts(counts["lookups"], counts["misses"] + counts["bypassed"]) for name, counts in regions.items()
    }
