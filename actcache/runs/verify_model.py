"""Verifying a compiled model, in the process that runs models (see ``worker``)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from actcache.base.free_memory import release_memory
from actcache.base.tolerance import Spread
from actcache.errors import ActcacheError
from actcache.model.feed_file import read_feed
from actcache.model.model_inputs import model_inputs
from actcache.passes.cuts.feeds import Feed
from actcache.runs.progress import writes_progress
from actcache.runs.requests import BatchBits, FindBatchBits, Verify
from actcache.runs.sessions import (
    open_original,
    run_of,
    run_of_compiled,
    run_sample,
    session_options,
    short,
    unoptimised,
)
from actcache.serve import runtime
from actcache.verification import verify
from actcache.verification.batch_bits import dependent_nodes, kept_tensors, optimised
from actcache.verification.cases import Run, affordable
from actcache.verification.kept_answers import KeptAnswers, keep, read_kept
from actcache.verification.spread import measure_spread


def verify_model(request: Verify, directory: Path) -> verify.Verification:
    """Ask the original, or read what it answered before; then ask the compiled model."""
    inputs = model_inputs(onnx.load_model(request.originals.base, load_external_data=False))
    samples = [read_feed(path, inputs) for path in request.samples]
    asked = repr((request.originals, request.samples, request.divisions, request.cones))
    path = directory / f"answers-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.npz"
    progress = writes_progress(directory)
    kept = read_kept(path)
    if kept is None:
        kept = _ask_original(request, samples, progress)
        if request.keeps:
            keep(path, kept)
    given = verify.given_cases(samples, request.divisions, request.cones, kept.sequences)
    answers = [list(zip(found, told, strict=True)) for found, told in zip(given, kept.answers, strict=True)]
    try:
        run = run_of_compiled(request.compiled, request.originals.libraries)
    except ActcacheError:
        raise
    except Exception as error:
        return verify.Verification(failure=f"onnxruntime refuses the compiled model ({short(error)})")
    report = verify.compare(
        run,
        runtime.invalidate,
        answers,
        tolerance=request.tolerance,
        exact=request.exact or request.only_bits,
        ignore=kept.varying,
        spread=lambda: _spread(request, samples),
        progress=progress,
    )
    if report.failure is None and not any(r["hits"] for r in runtime.stats()["regions"].values()):
        report.failure = "no lookup ever hit: the results of one call may be larger than the cache can hold"
    return report


def _ask_original(request: Verify, samples: Sequence[Feed], progress: Callable[[str], None]) -> KeptAnswers:
    """Have the original answer every call."""
    session = open_original(request.originals)
    for path, sample in zip(request.samples, samples, strict=True):
        run_sample(session, sample, path)
    run = run_of(session, request.originals)
    varying = verify.varying_outputs(run, samples[0])
    fixed = request.originals.fixed
    if fixed:
        run = verify.in_batches(run, fixed.size, fixed.inputs, fixed.outputs)
    sequences = affordable(run, samples[0], request.divisions) if request.exact else ()
    answered = verify.references(run, samples, request.divisions, request.cones, sequences, progress)
    del session, run  # one model in memory at a time
    release_memory()
    return KeptAnswers(sequences, varying, [[answer for _, answer in found] for found in answered])


def _spread(request: Verify, samples: Sequence[Feed]) -> Spread:
    """Measure how far the original's own results are apart. One that takes one batch size only has no other batches."""
    originals = request.originals

    def opened(optimised: bool, threads: int) -> Run:
        options = session_options(originals.libraries) if optimised else unoptimised(originals.libraries)
        options.intra_op_num_threads = threads
        return run_of(open_original(originals, options), originals)

    return measure_spread(opened, samples, [] if originals.fixed else request.divisions)


def find_batch_bits(request: FindBatchBits, directory: Path) -> BatchBits:
    """Find operators whose results depend on the batch, and the tensors that onnxruntime's optimiser leaves."""
    originals = request.originals
    plain = unoptimised(originals.libraries)
    sample = read_feed(request.sample, model_inputs(onnx.load_model(originals.base, load_external_data=False)))
    try:
        options = session_options(originals.libraries)
        model = optimised(options, Path(originals.base), directory / "optimised.onnx")
        kept = kept_tensors(model)
        found = [
            node
            for axes in request.batches[:1]
            for node in dependent_nodes(model, plain, directory / "values.onnx", sample, axes)
        ]
    except Exception:  # whatever the runtime raises: it does not take the model in this form
        return BatchBits()
    return BatchBits(found, kept)
