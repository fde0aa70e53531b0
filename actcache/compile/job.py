"""What the steps of a compilation are given. No step changes it; each returns what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import onnx

from actcache.compile.cost_profile import CostProfile, measurement_key, model_digest
from actcache.compile.options import Options, Progress
from actcache.model.model_file import LoadedModel
from actcache.model.trace import Trace
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.dynamic_batch import DynamicBatch
from actcache.passes.rewrite.last_in_branches import read_last_anywhere
from actcache.passes.rewrite.local_functions import LocalFunctions
from actcache.runs.client import OtherProcess
from actcache.runs.requests import AskTypes, FixedBatch, Originals, Request

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One compilation.

    Attributes:
        loaded: The model.
        options: What the user asks for.
        trace: Recorded calls, if there are any.
        profile: Measurements of earlier compilations; new ones are added to it.
        step: Told what is being done.
        other: The process that runs the model.
    """

    loaded: LoadedModel
    options: Options
    trace: Trace | None
    profile: CostProfile
    step: Progress
    other: OtherProcess

    def ask(self, request: Request[T], progress: Callable[[str], object] | None = None) -> T:
        """Have the other process carry out a request, in the working folder (:meth:`OtherProcess.ask`)."""
        return self.other.ask(request, self.loaded.directory, progress)


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


def typed_view(job: Job) -> GraphView:
    """Look at the model as it is (see :func:`_typed`)."""
    return _typed(job, job.loaded.functions, _originals(job))


def _originals(job: Job) -> Originals:
    loaded = job.loaded
    return Originals(str(loaded.source), str(loaded.runnable), str(loaded.base), job.options.libraries)


def _typed(job: Job, functions: LocalFunctions, originals: Originals) -> GraphView:
    """Look at a model, once another process has done so and asked for the types that onnx cannot infer.

    If that process crashes, onnx is left out: what onnxruntime tells is then all that is known.
    """
    job.step("inferring types")
    told = job.ask(AskTypes(originals))
    return GraphView(functions.inlined, told.types, infers=told.infers)


def _reading_last(job: Job, view: GraphView, originals: Originals) -> tuple[LocalFunctions, Originals]:
    """Have the model compute only the last position of the outputs that are read so."""
    model = onnx.ModelProto()
    model.CopyFrom(view.model)
    axes = read_last_anywhere(view.of(model), job.options.read_last, job.loaded.read)
    functions = LocalFunctions(model)
    base = job.loaded.directory / "last.onnx"
    base.write_bytes(functions.inlined.SerializeToString())
    signature = originals.signature or originals.base
    return functions, replace(originals, base=str(base), signature=signature, reads=axes)


def prepare(job: Job, dynamic: DynamicBatch | None) -> Subject:
    """Lay the model out for the runs, and learn from onnxruntime what onnx cannot infer of it."""
    loaded = job.loaded
    functions, originals = loaded.functions, _originals(job)
    if dynamic is not None:
        functions = LocalFunctions(dynamic.model)
        base = loaded.directory / "dynamic.onnx"
        base.write_bytes(functions.inlined.SerializeToString())
        fixed = FixedBatch(dynamic.size, dynamic.inputs, dynamic.outputs)
        originals = replace(originals, base=str(base), signature=str(loaded.base), fixed=fixed)
    view = _typed(job, functions, originals)
    if job.options.read_last:
        functions, originals = _reading_last(job, view, originals)
        view = _typed(job, functions, originals)
    digest = model_digest(Path(originals.base), loaded.weights.digest)
    return Subject(functions, view, originals, dynamic, digest)
