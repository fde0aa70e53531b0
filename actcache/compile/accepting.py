"""Accepting: of several plans the first that passes verification and pays, with regions left out that fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from actcache.base.tolerance import accepted_by_spread, type_tolerance
from actcache.compile.bit_plans import BitSearch, region_bits
from actcache.compile.building import Built, build, on_disk
from actcache.compile.choosing import Chosen
from actcache.compile.cost_profile import file_digest
from actcache.compile.job import Job, Subject
from actcache.errors import NothingToCache
from actcache.model.trace import TraceOutcome
from actcache.passes.choice.choose import Plan
from actcache.passes.choice.prediction import Predictor
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.store_tolerance import state_tolerances
from actcache.runs.requests import Played, PlayTrace
from actcache.verification.verify import Verification


@dataclass(frozen=True)
class Accepted:
    """A compiled model that may be written.

    Attributes:
        built: The model.
        report: What verification found; None: it was turned off.
        played: What a trace predicted and measured; None: there is none.
    """

    built: Built
    report: Verification | None
    played: TraceOutcome | None = None


@dataclass(frozen=True)
class Attempt:
    """What came of a plan: a model, or only reasons why there is none."""

    accepted: Accepted | None
    refusals: tuple[Refusal, ...] = ()


def first_accepted(job: Job, subject: Subject, chosen: Chosen) -> Accepted:
    """Compile plans, best first, until one passes verification. Reasons against plans are added to the choice.

    Raises:
        NothingToCache: None does, or there is none.
    """
    refusals = chosen.choice.refusals
    search = BitSearch(job, subject, chosen)
    for plan, in_part in search.plans():
        if subject.dynamic and all(candidate.region.granularity != "row" for candidate in plan):
            continue  # without rows, the model as it is does as well
        attempt = _sound(job, subject, chosen, search, plan, in_part=in_part)
        refusals += attempt.refusals
        if attempt.accepted is None:
            continue
        attempt = paying(job, subject, attempt.accepted, chosen.predictor)
        refusals += attempt.refusals
        if attempt.accepted is not None:
            return _completed(job, subject, chosen, attempt.accepted)
    must_pay = job.options.regions is None and job.options.min_saving is None
    hint = "--explain lists every reason" + ("; --min-saving 0 caches whatever is safe" if must_pay else "")
    raise NothingToCache(refusals, file=job.loaded.source, hint=hint)


def _sound(
    job: Job, subject: Subject, chosen: Chosen, search: BitSearch, plan: Plan, *, in_part: bool = True
) -> Attempt:
    """Compile and verify a plan. If it fails, find the regions that fail alone and do without them, if it may be taken
    in part.
    """
    if not job.options.verify:
        return Attempt(Accepted(build(job, subject, chosen, plan), None))
    built, report = search.verified(plan)
    if report.failure is None:
        return Attempt(Accepted(built, report))
    if len(plan) == 1:
        return Attempt(None, (Refusal("verification", report.failure, plan[0].region.id),))
    if not in_part:
        return Attempt(None)
    alone = [(candidate, _sound(job, subject, chosen, search, (candidate,))) for candidate in plan]
    refusals = tuple(refusal for _, attempt in alone for refusal in attempt.refusals)
    sound = tuple(candidate for candidate, attempt in alone if attempt.accepted is not None)
    if not sound:
        return Attempt(None, refusals)
    if len(sound) == len(plan):
        refusals += (Refusal("verification", f"together, its regions fail: {report.failure}"),)
        # By rows first: a call that repeats is found by its rows, too.
        sound = (max(sound, key=lambda c: (c.region.granularity == "row", c.saving)),)
    rest = _sound(job, subject, chosen, search, sound)
    return Attempt(rest.accepted, refusals + rest.refusals)


def paying(job: Job, subject: Subject, accepted: Accepted, predictor: Predictor | None = None) -> Attempt:
    """Measure a compiled model on the other half of the trace; refuse it if it is wrong there, or saves nothing.

    Args:
        job: The compilation.
        subject: The model.
        accepted: What it was compiled to.
        predictor: What the first half of the trace says; None: nothing is predicted.
    """
    if job.trace is None:
        return Attempt(accepted)
    calls, budget, names = job.trace.measured_on, job.options.budget_bytes, accepted.built.names
    job.step(f"measuring the result on {len(calls)} recorded calls")
    tolerance = _accepted_difference(job, accepted.report)
    request = PlayTrace(subject.originals, on_disk(job, accepted.built), calls, tolerance, budget, until_clear=True)
    played = job.ask(request)
    if played.failure is not None:
        return Attempt(None, (Refusal("verification", played.failure, names),))
    regions = accepted.built.regions
    cached = [[c.fingerprint, c.candidate.region.granularity] for c in regions]
    key = subject.key("replay", calls=[file_digest(path) for path in calls], regions=cached, budget=budget)
    known: Played | None = job.profile.find(key, Played)
    if known is None:
        job.profile.add(key, played)
    played = known or played
    plan = [c.candidate for c in regions]
    predictable = predictor is not None and all(map(predictor.can_predict, plan))
    report = TraceOutcome(
        calls=len(job.trace.chosen_by),
        played=played.calls,
        predicted=predictor.predict(plan).ratio if predictor is not None and predictable else None,
        measured=played.compiled / max(played.original, 1e-12),
        reuse={name: found.reuse for name, found in played.regions.items() if found.lookups},
        max_abs_error=played.max_abs_error,
    )
    if job.options.regions is None and job.options.min_saving is None and report.measured >= 1:
        reason = f"measured on the other half of the trace it takes {report.measured:.3f} of the original's time"
        return Attempt(None, (Refusal("not-worth", reason, names),))
    return Attempt(replace(accepted, played=report))


def _completed(job: Job, subject: Subject, chosen: Chosen, accepted: Accepted) -> Accepted:
    """Say of an accepted model which regions are equal bit for bit, and how far apart its results may be."""
    built, report = accepted.built, accepted.report
    if report is not None:
        bits = region_bits(job, subject, chosen, built.regions, report)
        report = replace(report, region_bits=bits)
    state_tolerances(built.model, _region_tolerances(job, subject, built, report))
    return replace(accepted, report=report)


def _accepted_difference(job: Job, report: Verification | None) -> float | None:
    """Return the one relative difference that judges the model from now on; None: the types of outputs do."""
    return accepted_by_spread(report.outputs if report else (), job.options.tolerance)


def _region_tolerances(job: Job, subject: Subject, built: Built, report: Verification | None) -> dict[str, float]:
    """Return per region the accepted difference of its live-outs."""
    stated = _accepted_difference(job, report) or 0.0
    found = {}
    for region in (c.candidate.region for c in built.regions):
        types: Sequence[int] = [subject.view.dtype(name) or TensorProto.FLOAT for name in region.live_outs]
        by_type = max(type_tolerance(tensor_dtype_to_np_dtype(dtype)) for dtype in types)
        found[region.id] = max(by_type if job.options.tolerance is None else job.options.tolerance, stated)
    return found
