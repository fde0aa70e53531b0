"""Measuring: what nodes cost on a sample, and what repeats in recorded calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from actcache.compile.cost_profile import file_digest
from actcache.compile.job import Job, Subject
from actcache.errors import ActcacheError, InvalidModel
from actcache.model.samples import check_sample, load_sample, model_inputs, save_sample
from actcache.model.trace import Trace, typical_calls
from actcache.passes.choice.prediction import Predictor
from actcache.passes.choice.trace_keys import Place
from actcache.passes.costs.cost import Costs, estimate_costs, least_costs
from actcache.passes.costs.time_model import FewRows, TimeModel
from actcache.runs.requests import HashTrace, Measure
from actcache.runs.trace_key_file import load_keys


@dataclass(frozen=True)
class Measured:
    """What was found by running the model.

    Attributes:
        samples: Files of inputs for single calls; none if nothing could be run.
        costs: What the nodes cost on the first.
        runtime_version: The onnxruntime that ran them; empty if nothing could be run.
        key: Under which the costs are kept in a profile.
        fresh: Whether the costs were measured just now.
    """

    samples: Sequence[Path]
    costs: Costs
    runtime_version: str
    key: str
    fresh: bool


@dataclass(frozen=True)
class TraceTimes:
    """What a profile keeps of a trace: seconds of every call, and costs of the sample with fewer rows."""

    seconds: list[float]
    fewer: list[FewRows]


def measure(job: Job, subject: Subject) -> Measured:
    """Take or make samples and measure costs on the first; estimate them where nothing may be run."""
    given = _given_samples(job)
    key = subject.key("costs", samples=[file_digest(path) for path in given])
    known: Costs | None = job.profile.find(key, Costs)
    job.step("running the model on samples" if known else "measuring what each node costs")
    try:
        found = job.ask(Measure(subject.originals, given, timed=known is None))
    except ActcacheError as error:
        if job.options.verify or given or isinstance(error, InvalidModel):
            raise
        return Measured((), estimate_costs(subject.view), "", key, False)
    costs = known or found.costs
    assert costs is not None
    return Measured(found.samples, costs, found.onnxruntime, key, known is None)


def _given_samples(job: Job) -> list[Path]:
    """Write the user's samples, or typical calls of the trace, into the working folder."""
    inputs = model_inputs(job.loaded.proto)
    given = []
    for index, sample in enumerate(job.options.samples or (typical_calls(job.trace, inputs) if job.trace else ())):
        if isinstance(sample, Mapping):
            feed = check_sample(sample, inputs, f"samples[{index}]")
        else:
            feed = load_sample(sample, inputs)
        given.append(save_sample(job.loaded.directory / f"{job.loaded.base.stem}.given{index}.npz", feed))
    return given


def measure_again(job: Job, subject: Subject, measured: Measured) -> Measured:
    """Measure twice more, because one measurement decides by too little, and take the least times."""
    job.step("measuring again, because the choice is close")
    request = Measure(subject.originals, measured.samples, timed=True)
    again = [job.ask(request).costs for _ in range(2)]
    return replace(measured, costs=least_costs([measured.costs, *filter(None, again)]))


def carried_over(job: Job, subject: Subject, measured: Measured, costs: Costs) -> Measured:
    """Return what was measured of a model as that of another form of it, unless the profile knows better.

    Args:
        job: The compilation.
        subject: The other form.
        measured: What was measured.
        costs: Its costs, for the nodes of the other form.
    """
    keep_costs(job, measured)
    key = subject.key("costs", of=measured.key)
    known: Costs | None = job.profile.find(key, Costs)
    return replace(measured, costs=known or costs, key=key)


def keep_costs(job: Job, measured: Measured) -> None:
    """Add new costs to the profile."""
    if measured.fresh:
        job.profile.add(measured.key, measured.costs)


def read_trace(
    job: Job,
    subject: Subject,
    measured: Measured,
    trace: Trace,
    wanted: Collection[Place],
    batches: Sequence[Mapping[str, int]],
) -> Predictor:
    """Take from the trace what predictions need.

    Args:
        job: The compilation.
        subject: The model.
        measured: Its costs.
        trace: The recorded calls.
        wanted: Where to take hashes.
        batches: Graph input to the axis of its rows, for every batch that the model may have.
    """
    calls = trace.chosen_by
    job.step(f"looking for what repeats in {len(calls)} recorded calls")
    places = sorted(wanted, key=str)
    batches = largest(batches)
    request = HashTrace(
        subject.originals, calls, measured.samples[0], places, batches, job.loaded.directory / "keys.npz"
    )
    fewer = job.ask(request)
    keys = load_keys(request.keys, places)
    key = subject.key("trace", calls=[file_digest(path) for path in calls], batches=[dict(axes) for axes in batches])
    known: TraceTimes | None = job.profile.find(key, TraceTimes)
    if known is None:
        job.profile.add(key, TraceTimes(keys.seconds.tolist(), fewer))
    else:
        keys, fewer = replace(keys, seconds=np.array(known.seconds)), known.fewer
    return Predictor(TimeModel(measured.costs, fewer), keys, job.options.budget_bytes)


def largest(batches: Sequence[Mapping[str, int]]) -> list[Mapping[str, int]]:
    """Leave out batches that are a part of another one: that tells of their nodes, too."""
    return [
        batch
        for number, batch in enumerate(batches)
        if batch not in batches[:number] and not any(batch.items() < other.items() for other in batches)
    ]
