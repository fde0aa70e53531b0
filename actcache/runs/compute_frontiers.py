"""Computing what calls put at frontiers, in the process that runs models (see ``worker``)."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime as ort

from actcache.errors import InvalidModel
from actcache.model.feed_file import grouped, read_entries, save_sample
from actcache.model.model_inputs import model_inputs
from actcache.passes.cuts.feeds import Feed
from actcache.runs.requests import ComputeFrontiers
from actcache.runs.sessions import open_session, refused_call, session_options, short
from actcache.serve import runtime


def compute_frontiers(request: ComputeFrontiers, _: Path) -> None:
    """Run parts of a compiled model on calls, one after the other, and keep what they compute."""
    calls = [read_entries(call.feed) for call in request.calls]
    found: list[Feed] = [{} for _ in calls]
    for part in request.parts:
        session = _part(part, request)
        inputs = model_inputs(onnx.load_model(part, load_external_data=False))
        names = [value.name for value in session.get_outputs()]
        taken = {value.name for value in session.get_inputs() + session.get_overridable_initializers()}
        for call, feed, values in zip(request.calls, calls, found, strict=True):
            wanted = {name: array for name, array in grouped(feed, inputs).items() if name in taken}
            try:
                values |= zip(names, session.run(names, wanted), strict=True)
            except Exception as error:
                raise refused_call(error, call.name) from error
    for call, values in zip(request.calls, found, strict=True):
        save_sample(call.values, values)


def _part(path: Path, request: ComputeFrontiers) -> ort.InferenceSession:
    """Load a part of a compiled model, which may have regions of its own."""
    options = session_options(request.libraries)
    runtime.register(options)
    try:
        return open_session(path, options)
    except Exception as error:
        problem = f"onnxruntime {ort.__version__} cannot load what comes before its regions ({short(error)})"
        hint = "give --custom-op-library if it has operators of its own"
        raise InvalidModel(problem, file=request.source, hint=hint) from error
