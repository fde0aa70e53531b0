"""The driver: a model in, a model with cached regions out.

load → measure → analyse and choose → outline → verify → emit. A region that verification rejects is dropped with its
reason, and the next candidate is tried. With a trace, its first half decides what is chosen, and the compiled model is
measured on the second.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from actcache.base.per_call import PerCall
from actcache.base.region_spec import RegionSpec
from actcache.compile.compilation import Compilation, Progress, Sample
from actcache.compile.cost_profile import CostProfile
from actcache.compile.explain import explain
from actcache.compile.notes import choice_notes, model_notes, unknown_operators
from actcache.compile.result import CompileResult
from actcache.errors import InvalidModel, InvalidOption, NothingToCache
from actcache.model.emit import emit, working_folder
from actcache.model.manifest import Original, Policy, add_manifest
from actcache.model.model_file import LoadedModel, load_model
from actcache.model.trace import load_trace
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.dynamic_batch import DynamicBatch, fixed_batches, make_dynamic
from actcache.passes.rewrite.per_call import check_names
from actcache.serve.byte_size import DEFAULT_BUDGET

GRANULARITIES = ("auto", "row", "tensor")


def compile_model(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    samples: Sequence[Sample] = (),
    trace: Sequence[str | os.PathLike[str]] = (),
    budget_bytes: int = DEFAULT_BUDGET,
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
        budget_bytes: Bytes that the store will hold where the model runs; only a trace asks for it.
        granularity: ``auto``, ``row`` or ``tensor``.
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
    _check_options(granularity, min_saving, tolerance, pure_ops, budget_bytes)
    _check_exact(exact, verify)
    per_call = PerCall(namespace_input, control_input, account_output)
    source = Path(model)
    target = Path(output) if output is not None else source.with_suffix(".cached.onnx")
    if not source.exists():
        raise InvalidModel("no such file", file=source)
    if target.exists() and source.resolve() == target.resolve() and source.suffix:
        raise InvalidOption(f"the output '{target}' is the model itself", hint="choose another file with -o")
    step = progress or (lambda _: None)
    with working_folder(target) as folder:
        step("reading the model")
        loaded = load_model(source, folder, single_file=single_file, outputs=outputs)
        original = Original.of(source, loaded.weights.digest if loaded.weights.size else None)
        check_names(loaded.functions.model, per_call)
        check_names(loaded.proto, per_call)
        if target.resolve() in loaded.weights.sources:
            problem = f"the output '{target}' holds weights of the model"
            raise InvalidOption(problem, hint="choose another file with -o")
        recorded = load_trace(trace) if trace else None
        measured = CostProfile(Path(profile) if profile is not None else None)
        libraries = tuple(str(p) for p in custom_op_libraries)
        refusals: list[Refusal] = []
        for dynamic in _batches(loaded, dynamic_batch, refusals):
            compilation = Compilation(
                loaded, libraries, tolerance, verify, step, dynamic, per_call, measured, exact=exact == "bits"
            )
            compilation.measure(samples, recorded)
            choice = compilation.choose(granularity, regions, min_saving, pure_ops, budget_bytes)
            if not dynamic_batch and granularity != "tensor":
                refusals += _fixed_batch(compilation.view)
            choice.refusals[:0] = refusals
            try:
                compiled, report = compilation.first_accepted(choice)
                break
            except NothingToCache as error:
                if dynamic is None:
                    raise
                refusals += error.refusals
        notes = model_notes(loaded, single_file, compilation.dynamic, per_call)
        notes += unknown_operators(loaded, pure_ops)
        notes += choice_notes(compilation.view, compilation.costs, choice, compiled, measured)
        step("writing the compiled model")
        view, costs = compilation.view, compilation.costs
        lines = explain(view, costs, [c.candidate for c in compiled], choice.refusals)
        played = compilation.played
        result = CompileResult(
            source,
            target,
            [],
            compiled,
            choice.refusals,
            report,
            notes,
            lines,
            choice.considered,
            played,
            per_call,
            budget_bytes,
        )
        chosen_by = "names" if regions else "trace" if recorded and min_saving is None else "costs"
        add_manifest(
            compilation.result,
            result,
            original=original,
            policy=Policy(
                chosen_by=chosen_by,
                granularity=granularity,
                min_saving_ms=min_saving,
                budget_bytes=budget_bytes if recorded else None,
                tolerance=tolerance,
                exact=exact,
                dynamic_batch=compilation.dynamic is not None,
                pure_ops=sorted(pure_ops),
                outputs=list(outputs) or None,
            ),
            costs=costs,
            runtime_version=compilation.runtime_version,
        )
        measured.save()
        result.files = emit(compilation.result, loaded.weights, target, single_file=single_file)
    return result


def _check_options(
    granularity: str, min_saving: float | None, tolerance: float | None, pure_ops: Collection[str], budget_bytes: int
) -> None:
    if granularity not in GRANULARITIES:
        raise InvalidOption(f"granularity '{granularity}' is unknown", hint=f"choose one of {', '.join(GRANULARITIES)}")
    if min_saving is not None and not (np.isfinite(min_saving) and min_saving >= 0):
        raise InvalidOption(f"min_saving cannot be {min_saving}", hint="give milliseconds, 0 or more")
    if tolerance is not None and not (np.isfinite(tolerance) and tolerance >= 0):
        raise InvalidOption(f"tolerance cannot be {tolerance}", hint="give a number, 0 or more")
    if budget_bytes < 1:
        raise InvalidOption(
            f"the budget cannot be {budget_bytes} bytes", hint="give the size of the store in bytes, 1 or more"
        )
    for name in pure_ops:
        if ":" not in name:
            raise InvalidOption(f"'{name}' does not name an operator", hint="write --pure-op domain:Op")


def _check_exact(exact: str | None, verify: bool) -> None:
    if exact not in (None, "bits"):
        raise InvalidOption(f"exact '{exact}' is unknown", hint="write 'bits', or leave it out")
    if exact and not verify:
        raise InvalidOption("--exact bits needs verification", hint="leave out --no-verify")


def _fixed_batch(view: GraphView) -> list[Refusal]:
    """Return why there are no rows, for a batch of constant size."""
    guess = next(iter(fixed_batches(view)), None)
    if guess is None or guess.size == 1:
        return []
    where = ", ".join(f"axis {axis} of '{name}'" for name, axis in guess.axes.items())
    reason = f"the batch is a constant {guess.size} ({where}): rows need a variable one, see --dynamic-batch"
    return [Refusal("fixed-batch", reason)]


def _batches(loaded: LoadedModel, dynamic_batch: bool, refusals: list[Refusal]) -> Iterator[DynamicBatch | None]:
    """Yield what to compile: the model with its batch made variable, if that is asked for; then the model as it is.

    What stands against a variable batch is added to `refusals`.
    """
    if dynamic_batch:
        made = make_dynamic(loaded.proto, loaded.read)
        if isinstance(made, DynamicBatch):
            del made.model.functions[:]  # those that nothing calls any more are kept, too
            made.model.functions.extend(loaded.functions.model.functions)
            yield made
        else:
            refusals.append(made)
    yield None
