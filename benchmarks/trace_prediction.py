"""How well the time predicted from one half of a trace of real inputs is met on the other half."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import actcache
from actcache.model.trace import TraceOutcome
from models.fetch import fetch
from models.workloads import WORKLOADS

#: Workload to the number of calls in its trace and the rows of each.
TRACES = {"table-cells": (40, 8), "strike-remarks": (60, 16), "artwork-media": (60, 16)}


def trace_report(name: str) -> TraceOutcome:
    """Record a workload, compile its model by the trace, and return what was predicted and measured."""
    calls, rows = TRACES[name]
    workload = WORKLOADS[name]
    with tempfile.TemporaryDirectory(prefix="actcache-trace-") as folder:
        trace = Path(folder) / "calls"
        trace.mkdir()
        for number, batch in enumerate(workload.batches(calls, rows)):
            np.savez(trace / f"call-{number:04d}.npz", allow_pickle=False, **batch)
        result = actcache.compile_model(fetch(workload.model), Path(folder) / "cached.onnx", trace=[trace])
    if result.trace is None:
        raise RuntimeError(f"{name}: compiled without its trace")
    return result.trace
