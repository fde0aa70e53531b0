"""The driver: a model in, a model with cached regions out.

load → measure → analyse and choose → outline → verify → emit. A region that verification rejects is dropped with its
reason, and the next candidate is tried. With a trace, its first half decides what is chosen, and the compiled model is
measured on the second.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actcache.base.per_call import PerCall
from actcache.base.region_spec import RegionSpec
from actcache.compile.accepting import Accepted, first_accepted
from actcache.compile.branches import Part, compile_branches
from actcache.compile.choosing import choose_regions
from actcache.compile.cost_profile import CostProfile
from actcache.compile.explain import explain
from actcache.compile.job import Job, Subject, prepare, typed_view
from actcache.compile.measuring import Measured, measure
from actcache.compile.notes import choice_notes, model_notes, types_note, unknown_operators
from actcache.compile.options import Options, Progress, Sample
from actcache.compile.own_sizes import telling_sizes_apart
from actcache.compile.result import CompileResult
from actcache.errors import InvalidOption, NothingToCache
from actcache.model.emit import emit, working_folder
from actcache.model.manifest import Original, Policy, add_manifest
from actcache.model.model_file import LoadedModel, check_is_file, load_model, not_in_utf8
from actcache.model.trace import load_trace
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.dynamic_batch import DynamicBatch, fixed_batches, make_dynamic
from actcache.passes.rewrite.per_call import check_names
from actcache.runs.client import OtherProcess
from actcache.serve.byte_size import default_budget


def compile_model(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    samples: Sequence[Sample] = (),
    trace: Sequence[str | os.PathLike[str]] = (),
    budget_bytes: int | None = None,
    granularity: str = "auto",
    regions: Sequence[RegionSpec] | None = None,
    min_saving: float | None = None,
    tolerance: float | None = None,
    exact: str | None = None,
    dynamic_batch: bool = False,
    verify: bool = True,
    pure_ops: Collection[str] = (),
    custom_op_libraries: Sequence[str | os.PathLike[str]] = (),
    single_file: bool = False,
    outputs: Sequence[str] = (),
    reads: Sequence[str] = (),
    profile: str | os.PathLike[str] | None = None,
    namespace_input: str | None = None,
    control_input: str | None = None,
    account_output: str | None = None,
    progress: Progress | None = None,
) -> CompileResult:
    """Write a model that caches what is worth it.

    Args:
        model: An ONNX file.
        output: The file to write; default: `model` with the suffix ``.cached.onnx``.
        samples: Inputs for single calls, each a ``.npz`` file or a mapping from input name to array; the first one is
            what costs are measured on. Without any, they are taken from the trace, or made up.
        trace: Recorded calls (:mod:`actcache.model.trace`): regions are chosen by what they would have reused.
        budget_bytes: Bytes that the store will hold where the model runs; None: what it holds by default on a machine
            with enough memory. It decides with a trace, and what is kept of sequences.
        granularity: ``auto``, ``row``, ``prefix`` or ``tensor``.
        regions: Regions to cache instead of the one that the compiler would choose.
        min_saving: Milliseconds that a hit has to save for a region to be worth it; None: several times what its
            lookup costs; 0: whatever is safe.
        tolerance: Largest accepted difference to the original, relative to the largest magnitude in an output; None: by
            the output's type, or by the original's own spread (:mod:`actcache.base.tolerance`).
        exact: ``bits``: cache only what gives the original's results in every bit, cold and warm; None: within the
            tolerance.
        dynamic_batch: The model takes batches of one size: make it take any
            (:mod:`actcache.passes.rewrite.dynamic_batch`). If
            that cannot be done, the model is compiled as it is; the refusals tell why.
        verify: Whether to run original and compiled model against each other.
        pure_ops: Operators, each ``domain:Op``, that the user vouches for.
        custom_op_libraries: Libraries with operators that the model itself needs.
        single_file: Keep the weights inside the model.
        outputs: The outputs that callers read; the compiled model has no others. Empty: all.
        reads: What callers read of an output, each ``OUTPUT:last``: its last position. The compiled model hands out NaN
            for the others (:mod:`actcache.passes.rewrite.last_position`). Empty: everything.
        profile: A file for what is measured: costs that it holds are used, others are measured and added
            (:mod:`actcache.compile.cost_profile`). Compiled twice with one profile, a model becomes the same bytes.
        namespace_input: Name of an input of the compiled model, to be fed in every call: a string scalar, the call's
            namespace (see :class:`actcache.base.per_call.PerCall`); None: it has none.
        control_input: Name of an input that says ``use`` (its default), ``bypass`` or ``refresh`` in a call; or None.
        account_output: Name of an output that tells what was reused in a call; or None.
        progress: Called with the name of each step as it begins.

    Raises:
        NothingToCache: Nothing is safe and worth caching; nothing is written.
        InvalidModel, InvalidSamples, InvalidRegion, InvalidOption, OutputError, LibraryError: As they say.
    """
    options = Options(
        budget_bytes=default_budget() if budget_bytes is None else budget_bytes,
        samples=samples,
        granularity=granularity,
        regions=regions,
        min_saving=min_saving,
        tolerance=tolerance,
        exact=exact,
        dynamic_batch=dynamic_batch,
        verify=verify,
        pure_ops=pure_ops,
        custom_op_libraries=custom_op_libraries,
        single_file=single_file,
        outputs=outputs,
        reads=reads,
        per_call=PerCall(namespace_input, control_input, account_output),
    )
    source = Path(model)
    target = _target(source, output)
    step = progress or (lambda _: None)
    with working_folder(target) as folder, OtherProcess() as other, _readable_names(source):
        step("reading the model")
        loaded = load_model(source, folder, single_file=single_file, outputs=outputs)
        original = Original.of(source, loaded.weights.digest if loaded.weights.size else None)
        _check_fit(loaded, target, options.per_call)
        recorded = load_trace(trace) if trace else None
        kept = CostProfile(Path(profile) if profile is not None else None)
        job = Job(loaded, options, recorded, kept, step, other)
        form = _first_accepted_form(job)
        step("writing the compiled model")
        result = _result(job, form, target)
        add_manifest(
            form.accepted.built.model,
            result,
            original=original,
            policy=_policy(job, form.subject),
            costs=form.measured.costs,
            runtime_version=form.measured.runtime_version,
        )
        kept.save()
        result.files = emit(form.accepted.built.model, loaded.weights, target, single_file=single_file)
    return result


@contextmanager
def _readable_names(source: Path) -> Iterator[None]:
    """Tell of names in other encodings: onnxruntime may take them, but Python's protobuf fails where one is read."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise not_in_utf8(source) from error


def _target(source: Path, output: str | os.PathLike[str] | None) -> Path:
    """Return the file to write."""
    check_is_file(source)
    target = Path(output) if output is not None else source.with_suffix(".cached.onnx")
    if target.exists() and source.resolve() == target.resolve() and source.suffix:
        raise InvalidOption(f"the output '{target}' is the model itself", hint="choose another file with -o")
    return target


def _check_fit(loaded: LoadedModel, target: Path, per_call: PerCall) -> None:
    """Refuse what would overwrite a part of the model, or a name in it."""
    check_names(loaded.functions.model, per_call)
    check_names(loaded.proto, per_call)
    if target.resolve() in loaded.weights.sources:
        problem = f"the output '{target}' holds weights of the model"
        raise InvalidOption(problem, hint="choose another file with -o")


@dataclass(frozen=True)
class _Form:
    """A form of the model that may be written.

    Attributes:
        subject: The whole model.
        measured: Its costs.
        accepted: What it was compiled to.
        parts: What of it was compiled by itself: all of it, or branches.
        refusals: What is not cached, and why.
    """

    subject: Subject
    measured: Measured
    accepted: Accepted
    parts: Sequence[Part]
    refusals: list[Refusal]


def _first_accepted_form(job: Job) -> _Form:
    """Compile the model with its batch made variable, if that is asked for, or else as it is: its branches, if it has
    large ones with sequences, or else all of it.

    Raises:
        NothingToCache: None of these gives anything to cache.
    """
    refusals: list[Refusal] = []
    for dynamic in _forms(job, refusals):
        subject = prepare(job, dynamic)
        measured = measure(job, subject)
        if dynamic is None:
            branches = compile_branches(job, subject, measured)
            refusals += branches.refusals
            if branches.accepted is not None:
                return _Form(subject, measured, branches.accepted, branches.parts, refusals)
        subject, measured = telling_sizes_apart(job, subject, measured)
        chosen = choose_regions(job, subject, measured)
        if not job.options.dynamic_batch and job.options.granularity != "tensor":
            refusals += _fixed_batch(subject.view)
        chosen.choice.refusals[:0] = refusals
        try:
            accepted = first_accepted(job, subject, chosen)
            part = Part("", subject, chosen, accepted)
            return _Form(subject, chosen.measured, accepted, [part], chosen.choice.refusals)
        except NothingToCache as error:
            if dynamic is None:
                raise
            refusals += error.refusals
    raise AssertionError("the model as it is comes last")


def _result(job: Job, form: _Form, target: Path) -> CompileResult:
    """Tell what was done; the files are written later."""
    loaded, asked = job.loaded, job.options
    notes = model_notes(loaded, asked.single_file, form.subject.dynamic, asked.per_call, asked.read_last)
    notes += [*types_note(form.subject.view), *unknown_operators(loaded, asked.pure_ops)]
    return CompileResult(
        model=loaded.source,
        output=target,
        files=[],
        regions=list(form.accepted.built.regions),
        refusals=form.refusals,
        verify=form.accepted.report,
        notes=list(dict.fromkeys([*notes, *(note for part in form.parts for note in _notes(job, part))])),
        explain=[
            *(line for part in form.parts for line in _explained(part)),
            *(f"refused ({refusal.rule}): {refusal}" for refusal in form.refusals),
        ],
        considered=[considered for part in form.parts for considered in part.chosen.choice.considered],
        trace=form.accepted.played,
        per_call=asked.per_call,
        budget=asked.budget_bytes,
    )


def _notes(job: Job, part: Part) -> list[str]:
    costs, regions = part.chosen.measured.costs, part.accepted.built.regions
    return choice_notes(part.subject.view, costs, part.chosen.choice, regions, job.profile)


def _explained(part: Part) -> list[str]:
    """Tell of each costly node of a part why it is cached or not."""
    choice, candidates = part.chosen.choice, [region.candidate for region in part.accepted.built.regions]
    lines = explain(part.subject.view, part.chosen.measured.costs, candidates, choice.refusals, choice.causal)
    return [*([f"{part.label}:"] if part.label else []), *lines]


def _policy(job: Job, subject: Subject) -> Policy:
    """Return what the manifest says of how regions were chosen."""
    asked = job.options
    by_trace = job.trace and asked.min_saving is None
    return Policy(
        chosen_by="names" if asked.regions else "trace" if by_trace else "costs",
        granularity=asked.granularity,
        min_saving_ms=asked.min_saving,
        budget_bytes=asked.budget_bytes if job.trace else None,
        tolerance=asked.tolerance,
        exact=asked.exact,
        dynamic_batch=subject.dynamic is not None,
        pure_ops=sorted(asked.pure_ops),
        outputs=list(asked.outputs) or None,
        reads=dict(subject.originals.reads) or None,
    )


def _fixed_batch(view: GraphView) -> list[Refusal]:
    """Return why there are no rows, for a batch of constant size."""
    guess = next(iter(fixed_batches(view)), None)
    if guess is None or guess.size == 1:
        return []
    where = ", ".join(f"axis {axis} of '{name}'" for name, axis in guess.axes.items())
    reason = f"the batch is a constant {guess.size} ({where}): rows need a variable one, see --dynamic-batch"
    return [Refusal("fixed-batch", reason)]


def _forms(job: Job, refusals: list[Refusal]) -> Iterator[DynamicBatch | None]:
    """Yield what to compile: the model with its batch made variable, if that is asked for; then the model as it is.

    What stands against a variable batch is added to `refusals`.
    """
    if job.options.dynamic_batch:
        made = make_dynamic(typed_view(job), job.loaded.read)
        if isinstance(made, DynamicBatch):
            del made.model.functions[:]  # those that nothing calls any more are kept, too
            made.model.functions.extend(job.loaded.functions.model.functions)
            yield made
        else:
            refusals.append(made)
    yield None
