"""Choosing: the regions that the user names, or by what repeats in the trace, or by what a hit saves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actcache.base.region_spec import RegionSpec
from actcache.compile.job import Job, Subject
from actcache.compile.measuring import Measured, keep_costs, measure_again, read_trace
from actcache.passes.choice.bits import BitRules, known_barriers
from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.choose import Choice, choose, likely_batches, sequences, wanted_places
from actcache.passes.choice.choose_traced import predicted
from actcache.passes.choice.named_region import choose_named
from actcache.passes.choice.prediction import Predictor
from actcache.passes.choice.trace_keys import places


@dataclass(frozen=True)
class Chosen:
    """What a compilation may do, and what that rests on.

    Attributes:
        choice: Plans, best first, and all that was refused.
        measured: The costs that decided.
        predictor: What recorded calls say; None: there are none.
        within: Chooses again, with rules for bits; None: the user named the regions.
    """

    choice: Choice
    measured: Measured
    predictor: Predictor | None
    within: Callable[[BitRules | None], Choice] | None


def model_name(job: Job) -> str:
    """Return what names of regions begin with."""
    return re.sub(r"[^\w.-]", "_", job.loaded.source.name.removesuffix(".onnx").removesuffix(".cached"))


def choose_regions(job: Job, subject: Subject, measured: Measured) -> Chosen:
    """Find the regions to cache."""
    if job.options.regions:
        return _named(job, subject, measured, job.options.regions)
    predictor = None
    if job.trace:
        wanted = wanted_places(subject.view, measured.costs, job.options.pure_ops)
        batches = likely_batches(subject.view, measured.costs)
        if job.options.granularity in ("auto", "prefix"):
            for candidate in _sequences(job, subject, measured):
                wanted.update(places(candidate.region))
                batches.append(dict(candidate.region.positions))
        predictor = read_trace(job, subject, measured, job.trace, wanted, batches)
    job.step("choosing regions")
    bits = known_barriers(subject.view) if job.options.bits else None
    choice = _within(job, subject, measured, predictor, bits)
    if choice.close and measured.fresh and predictor is None:
        measured = measure_again(job, subject, measured)
        choice = _within(job, subject, measured, predictor, bits)
    if bits:
        choice.refusals += bits.barriers.values()
    keep_costs(job, measured)
    return Chosen(choice, measured, predictor, lambda rules: _within(job, subject, measured, predictor, rules))


def _sequences(job: Job, subject: Subject, measured: Measured) -> list[Candidate]:
    """The regions of prefixes that may come to be chosen."""
    asked = job.options
    return sequences(
        subject.view, measured.costs, budget=asked.budget_bytes, pure_ops=asked.pure_ops, read=job.loaded.read
    )


def _named(job: Job, subject: Subject, measured: Measured, regions: Sequence[RegionSpec]) -> Chosen:
    job.step("looking at the regions given")
    asked = job.options
    choice = choose_named(subject.view, measured.costs, regions, asked.granularity, asked.pure_ops)
    keep_costs(job, measured)
    predictor = None
    if job.trace:
        plan = choice.plans[0]
        wanted = {place for candidate in plan for place in places(candidate.region)}
        predictor = read_trace(job, subject, measured, job.trace, wanted, [c.row_axes for c in plan])
        choice.considered = predicted(plan, predictor)
    return Chosen(choice, measured, predictor, None)


def _within(
    job: Job, subject: Subject, measured: Measured, predictor: Predictor | None, bits: BitRules | None
) -> Choice:
    asked = job.options.min_saving
    return choose(
        subject.view,
        measured.costs,
        granularity=job.options.granularity,
        min_saving=None if asked is None else asked * 1e-3,
        pure_ops=job.options.pure_ops,
        name=".".join(filter(None, [model_name(job), job.loaded.part])),
        predictor=predictor,
        bits=bits,
        budget=job.options.budget_bytes,
        read=job.loaded.read,
    )
