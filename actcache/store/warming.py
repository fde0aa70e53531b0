"""Filling a store from recorded calls, before the model serves anyone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actcache.errors import ActcacheError, OutputError
from actcache.model.model_file import parse_model
from actcache.model.samples import load_sample, model_inputs
from actcache.model.trace import list_calls
from actcache.runs.sessions import refused_model, run_sample
from actcache.serve.knobs import configure
from actcache.serve.runtime import InferenceSession, flush, stats

#: What is still to be written is waited for so long.
_PATIENCE = 600.0


def warm(model: Path, trace: Path, store: Path, budget_bytes: int | None = None) -> dict[str, Any]:
    """Run a compiled model on recorded calls in this process, so that the store holds their results.

    Returns:
        How many ``calls`` were run, entries ``stored``, and ``entries`` the store has now.

    Raises:
        InvalidModel: onnxruntime refuses the model.
        InvalidSamples: A call does not fit the model, or there is none.
        InvalidOption: The folder of the store will not do.
        OutputError: Not all could be written.
    """
    calls = list_calls([trace])
    inputs = model_inputs(parse_model(model))
    configure(disk_path=store, disk_budget_bytes=budget_bytes, bypass="off")
    try:
        session = _opened(model)
        for call in calls:
            run_sample(session, load_sample(call, inputs), call)
        if not flush(_PATIENCE):
            hint = "warm it again: what was written is there; or choose a folder on a faster disk"
            raise OutputError("the store takes too long to write what was computed", file=store, hint=hint)
        tier = stats()["tiers"]["disk"]
    finally:
        configure(disk_path="")
    return {"calls": len(calls), "stored": tier["stored"], "entries": tier["entries"]}


def _opened(model: Path) -> InferenceSession:
    try:
        return InferenceSession(str(model))
    except ActcacheError:
        raise
    except Exception as error:  # whatever the runtime raises
        raise refused_model(error, model) from error
