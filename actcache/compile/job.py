"""What the steps of a compilation are given. No step changes it; each returns what it found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from actcache.compile.cost_profile import CostProfile, measurement_key, model_digest
from actcache.compile.options import Options, Progress
from actcache.model.model_file import LoadedModel
from actcache.model.trace import Trace
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.dynamic_batch import DynamicBatch
from actcache.passes.rewrite.last_in_branches import read_last_anywhere
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.runs.client import ask
from actcache.runs.requests import AskTypes, FixedBatch, Originals


@dataclass(frozen=True)
class Job:
    """One compilation.

    Attributes:
        loaded: The model.
        options: What the user asks for.
        trace: Recorded calls, if there are any.
        profile: Measurements of earlier compilations; new ones are added to it.
        step: Told what is being done.
    """

    loaded: LoadedModel
    options: Options
    trace: Trace | None
    profile: CostProfile
    step: Progress


@dataclass(frozen=True)
class Subject:
    """The form of the model that is compiled: as it is, or with its batch made variable.

    Attributes:
        functions: The model with its local functions.
        view: What the analyses see.
        originals: What the compiled model is compared with.
        dynamic: The model with a variable batch, if that is what is compiled.
        digest: Digest of the model and its weights.
    """

    functions: LocalFunctions
    view: GraphView
    originals: Originals
    dynamic: DynamicBatch | None
    digest: str

    def key(self, task: str, **asked: Any) -> str:
        """Return the key of a measurement of this model (:func:`~actcache.compile.cost_profile.measurement_key`)."""
        return measurement_key(task, self.digest, **asked)


def _typed_view(job: Job, functions: LocalFunctions, originals: Originals) -> GraphView:
    """Look at the model, once another process has done so and asked for the types that onnx cannot infer.

    A model may crash onnx as well as onnxruntime.
    """
    job.step("inferring types")
    return GraphView(functions.inlined, ask(AskTypes(originals), job.loaded.directory))


def _reading_last(job: Job, view: GraphView, originals: Originals) -> tuple[LocalFunctions, Originals]:
    """Have the model compute only the last position of the outputs that are read so."""
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    axes = read_last_anywhere(GraphView(model, view.told), job.options.read_last, job.loaded.read)
    functions = LocalFunctions(model)
    base = job.loaded.directory / "last.onnx"
    base.write_bytes(functions.inlined.SerializeToString())
    signature = originals.signature or originals.base
    return functions, replace(originals, base=str(base), signature=signature, reads=axes)


def prepare(job: Job, dynamic: DynamicBatch | None) -> Subject:
    """Lay the model out for the runs, and learn from onnxruntime what onnx cannot infer of it."""
    loaded = job.loaded
    originals = Originals(str(loaded.source), str(loaded.runnable), str(loaded.base), job.options.libraries)
    functions = loaded.functions
    if dynamic is not None:
        functions = LocalFunctions(dynamic.model)
        base = loaded.directory / "dynamic.onnx"
        base.write_bytes(functions.inlined.SerializeToString())
        fixed = FixedBatch(dynamic.size, dynamic.inputs, dynamic.outputs)
        originals = replace(originals, base=str(base), signature=str(loaded.base), fixed=fixed)
    view = _typed_view(job, functions, originals)
    if job.options.read_last:
        functions, originals = _reading_last(job, view, originals)
        view = _typed_view(job, functions, originals)
    digest = model_digest(Path(originals.base), loaded.weights.digest)
    return Subject(functions, view, originals, dynamic, digest)
