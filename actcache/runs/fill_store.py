"""Filling a disk store with what calls of an audit log compute, in the process that runs models (see ``worker``)."""

from __future__ import annotations

from pathlib import Path

import onnx

from actcache.runs.replay_log import LoggedSessions, refused_by
from actcache.runs.requests import FillStore
from actcache.runs.sessions import refused_call
from actcache.runs.trace_calls import Calls
from actcache.serve import knobs, runtime

#: Knobs that say what keys are; with others the replay would not find what this process stores.
_OF_KEYS = ("hash", "portable")
#: Nothing may leave this store. It is never so large.
_BUDGET = 1 << 42
#: Seconds that writing what was computed may take.
_PATIENCE = 600.0


def fill_store(request: FillStore, _: Path) -> None:
    """Make the calls, which compute and store whatever their rows are."""
    proto = onnx.load_model(request.originals.base, load_external_data=False)
    with refused_by(request.audit):
        knobs.configure(**{name: value for name, value in request.config.items() if name in _OF_KEYS})
    knobs.configure(disk_path=str(request.store), disk_budget_bytes=_BUDGET)
    sessions = LoggedSessions(request.compiled, request.originals.libraries)
    steps = zip(request.steps, request.calls, Calls(proto, request.calls), strict=True)
    for step, path, feed in steps:
        try:
            sessions.run(step, feed)
        except Exception as error:
            raise refused_call(error, path) from error
    runtime.flush(_PATIENCE)
