"""``--exact bits``: other places for regions whose results depend on the batch, and which regions keep every bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from actcache.compile.building import Built, build_and_verify, verified_batches
from actcache.compile.choosing import Chosen
from actcache.compile.job import Job, Subject
from actcache.compile.result import CompiledRegion
from actcache.errors import InternalError, InvalidModel
from actcache.passes.choice.bits import filled_up, known_barriers, measured_rules, never_alone
from actcache.passes.choice.choose import Plan
from actcache.runs.requests import BatchBits, FindBatchBits
from actcache.verification.verify import Verification


class BitSearch:
    """How a compilation gets at every bit of the original. Without ``--exact bits`` it takes plans as they are.

    Args:
        job: The compilation.
        subject: The model.
        chosen: What that rests on.
    """

    def __init__(self, job: Job, subject: Subject, chosen: Chosen) -> None:
        self._job, self._subject, self._chosen = job, subject, chosen

    def plans(self) -> Iterator[tuple[Plan, bool]]:
        """Yield the plans, each with whether it may be taken in part. Where bits count, other places for the same
        regions come before parts of the best plan, and before whole calls.
        """
        plans = self._chosen.choice.plans
        if not (self._job.options.bits and self._chosen.within and plans):
            yield from ((plan, True) for plan in plans)
            return
        best = plans[0]
        yield best, False
        yield from ((plan, False) for plan in self._placed() if plan not in plans)
        yield from ((plan, True) for plan in plans if len(plan) > 1 or plan is not best)

    def verified(self, plan: Plan) -> tuple[Built, Verification]:
        """Compile and verify a plan; where bits differ, also so that what gives a single row other bits never computes
        one row of a larger call: some nodes, or if that does not do, whole regions.
        """
        built, report = self._attempt(plan)
        if not (self._job.options.bits and report.different):
            return built, report
        view = self._subject.view
        other = filled_up(view, plan, self._seen.dependent)
        if other != plan:
            built, report = self._attempt(other)
        if report.failure and (other := never_alone(plan)) != plan:
            built, report = self._attempt(other)
        return built, report

    def _attempt(self, plan: Plan) -> tuple[Built, Verification]:
        return build_and_verify(self._job, self._subject, self._chosen, plan)

    @cached_property
    def _seen(self) -> BatchBits:
        """Which operators and which edges change bits, in the model as onnxruntime runs it."""
        self._job.step("looking for operators whose results depend on the batch")
        sample = self._chosen.measured.samples[0]
        batches = verified_batches(self._subject, self._chosen.choice.plans[0])
        try:
            return self._job.ask(FindBatchBits(self._subject.originals, sample, batches))
        except (InvalidModel, InternalError):  # no memory for so many values, say
            return BatchBits()

    def _placed(self) -> Sequence[Plan]:
        """Choose again, by what was seen."""
        if self._chosen.within is None:
            return ()
        view = self._subject.view
        rules = measured_rules(view, known_barriers(view), self._seen.dependent, self._seen.kept)
        refusals = self._chosen.choice.refusals
        refusals += [refusal for refusal in rules.barriers.values() if refusal not in refusals]
        return self._chosen.within(rules).plans


def region_bits(
    job: Job, subject: Subject, chosen: Chosen, regions: Sequence[CompiledRegion], report: Verification
) -> dict[str, bool]:
    """Return per region whether the model with it alone is the original bit for bit.

    Args:
        job: The compilation.
        subject: The model.
        chosen: What that rests on.
        regions: The regions of the accepted model.
        report: What verification found of all of them together.
    """
    plan = tuple(c.candidate for c in regions)
    if report.bit_exact or len(plan) == 1:
        return {c.region.id: report.bit_exact for c in plan}
    reports = [(c.region.id, build_and_verify(job, subject, chosen, (c,), plan)[1]) for c in plan]
    return {name: alone.bit_exact and alone.failure is None for name, alone in reports}
