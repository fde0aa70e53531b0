"""Sessions of originals and of compiled models, in the process that runs models (see ``worker``)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from actcache.errors import ActcacheError, InvalidModel, InvalidSamples
from actcache.passes.cuts.feeds import Feed
from actcache.runs.requests import Compiled, Originals
from actcache.serve import runtime
from actcache.verification.cases import Run
from actcache.verification.only_last import only_last

#: Element types of outputs, as onnxruntime names them, that become numpy arrays.
_HANDED_OUT = frozenset(
    "float double float16 float8e4m3fn int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool string".split()
)


def session_options(libraries: Sequence[str], *, spinning: bool = False) -> ort.SessionOptions:
    """Options of a session. Its pool spins only where calls are timed as users make them: after a call, a pool that
    spins takes cores from the next session, and from the rest of the machine.

    If this process is kept to some cores (``taskset``, ``--learn-on``), so is the pool: onnxruntime's own choice is a
    thread for each core of the machine, tied to that core.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if (cores := len(os.sched_getaffinity(0))) < (os.cpu_count() or 1):
        options.intra_op_num_threads = cores
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for library in libraries:
        try:
            options.register_custom_ops_library(library)
        except Exception as error:
            raise InvalidModel(f"cannot be used as a custom-op library ({short(error)})", file=library) from error
    return options


def unoptimised(libraries: Sequence[str]) -> ort.SessionOptions:
    """Options of a session that runs the model as it stands in the file."""
    options = session_options(libraries)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def open_session(path: str | Path, options: ort.SessionOptions) -> ort.InferenceSession:
    """Load a model for the processor."""
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def open_original(
    originals: Originals, options: ort.SessionOptions | None = None, *, spinning: bool = False
) -> ort.InferenceSession:
    """Load the original.

    Raises:
        InvalidModel: onnxruntime refuses it.
    """
    options = options or session_options(originals.libraries, spinning=spinning)
    try:
        return open_session(originals.model, options)
    except ActcacheError:
        raise
    except Exception as error:
        hint = "export it for an older opset, or give --custom-op-library if it has operators of its own"
        raise refused_model(error, originals.source, hint) from error


def check_outputs(session: ort.InferenceSession, originals: Originals) -> None:
    """Raise InvalidSamples if an output is of a type that onnxruntime's Python API does not hand out of every model."""
    for value in session.get_outputs():
        found = re.search(r"tensor\((\w+)\)", value.type)
        if found and found[1] not in _HANDED_OUT:
            raise InvalidSamples(
                f"onnxruntime's Python API cannot hand out this output ({found[1]})",
                file=originals.source,
                node=f"'{value.name}'",
                hint="cast it to float32 in the model, or leave it out (--outputs)",
            )


def run_of(session: ort.InferenceSession, originals: Originals) -> Run:
    """Return what runs an original as its callers read it."""
    names = [value.name for value in session.get_outputs()]
    axes = {names.index(name): axis for name, axis in originals.reads.items()}
    return only_last(lambda feed: list(session.run(None, feed)), axes)


def run_of_compiled(compiled: Compiled, libraries: Sequence[str]) -> Run:
    """Load the compiled model and return what runs it as the original: with the inputs and outputs of that."""
    options = session_options(libraries)
    runtime.register(options)
    session = open_session(compiled.path, options)
    per_call = compiled.per_call
    added = {} if per_call.namespace_input is None else {per_call.namespace_input: np.array("")}
    outputs = [value.name for value in session.get_outputs() if value.name != per_call.account_output]
    return lambda feed: list(session.run(outputs, {**feed, **added}))


def run_sample(session: ort.InferenceSession, sample: Feed, path: Path) -> None:
    """Run a sample.

    Raises:
        InvalidSamples: The model refuses it.
    """
    try:
        session.run(None, sample)
    except Exception as error:
        hint = "every sample must be a valid call of the model"
        raise InvalidSamples(f"the model refuses this sample ({short(error)})", file=path, hint=hint) from error


def refused_model(error: Exception, path: Path | str, hint: str | None = None) -> InvalidModel:
    """Return what to raise where onnxruntime refuses to load a model."""
    return InvalidModel(f"onnxruntime {ort.__version__} cannot load it ({short(error)})", file=path, hint=hint)


def refused_call(error: Exception, path: Path | str) -> InvalidSamples:
    """Return what to raise where a model refuses a recorded call."""
    hint = "give calls that were recorded with this model, or with the one that it was compiled from"
    return InvalidSamples(f"the model refuses this call ({short(error)})", file=path, hint=hint)


def short(error: Exception) -> str:
    """Return what onnxruntime says, in one line of no more than 300 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
