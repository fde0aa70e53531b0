"""``--exact bits``: other places for regions whose results depend on the batch, and which regions keep every bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actcache.compile.building import build_and_verify, verified_batches
from actcache.compile.choosing import Chosen
from actcache.compile.job import Job, Subject
from actcache.compile.result import CompiledRegion
from actcache.errors import InternalError, InvalidModel
from actcache.passes.choice.bits import known_barriers, measured_rules
from actcache.passes.choice.choose import Plan
from actcache.runs.client import ask
from actcache.runs.requests import BatchBits, FindBatchBits
from actcache.verification.verify import VerifyReport


def plans_in_order(job: Job, subject: Subject, chosen: Chosen) -> Iterator[tuple[Plan, bool]]:
    """Yield the plans, each with whether it may be taken in part. Where bits count, other places for the same regions
    come before parts of the best plan, and before whole calls.
    """
    plans = chosen.choice.plans
    if not (job.options.bits and chosen.within and plans):
        yield from ((plan, True) for plan in plans)
        return
    best = plans[0]
    yield best, False
    yield from ((plan, False) for plan in _placed_for_bits(job, subject, chosen, best) if plan not in plans)
    yield from ((plan, True) for plan in plans if len(plan) > 1 or plan is not best)


def _placed_for_bits(job: Job, subject: Subject, chosen: Chosen, best: Plan) -> Sequence[Plan]:
    """Choose again, by what onnxruntime makes of the model: which operators and which edges change bits."""
    if chosen.within is None:
        return ()
    job.step("looking for operators whose results depend on the batch")
    sample, batches = chosen.measured.samples[0], verified_batches(subject, best)
    try:
        seen = ask(FindBatchBits(subject.originals, sample, batches), job.loaded.directory)
    except (InvalidModel, InternalError):  # no memory for so many values, say
        seen = BatchBits()
    rules = measured_rules(subject.view, known_barriers(subject.view), seen.dependent, seen.kept)
    refusals = chosen.choice.refusals
    refusals += [refusal for refusal in rules.barriers.values() if refusal not in refusals]
    return chosen.within(rules).plans


def region_bits(
    job: Job, subject: Subject, chosen: Chosen, regions: Sequence[CompiledRegion], report: VerifyReport
) -> dict[str, bool]:
    """Return per region whether the model with it alone is the original bit for bit.

    Args:
        job: The compilation.
        subject: The model.
        chosen: What that rests on.
        regions: The regions of the accepted model.
        report: What verification found of all of them together.
    """
    plan = [c.candidate for c in regions]
    if report.bit_exact or len(plan) == 1:
        return {c.region.id: report.bit_exact for c in plan}
    reports = [(c.region.id, build_and_verify(job, subject, chosen, (c,))[1]) for c in plan]
    return {name: alone.bit_exact and alone.failure is None for name, alone in reports}
