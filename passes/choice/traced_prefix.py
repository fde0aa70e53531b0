"""Judging a region of prefixes by what recorded calls would have found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.choose_traced import MIN_GAIN, Considered
from actcache.passes.choice.prediction import Predictor
from actcache.passes.refusal import Refusal


@dataclass(frozen=True)
class TracedPrefix:
    """What recorded calls say of a region of prefixes.

    Attributes:
        considered: The region, with its prediction.
        refusal: Why it is not worth it; None: it is.
        first: Whether the plan with it is predicted to take less time than the one without.
    """

    considered: Considered
    refusal: Refusal | None
    first: bool


def judge(
    candidate: Candidate, beside: Sequence[Candidate], others: Sequence[Candidate], predictor: Predictor
) -> TracedPrefix | None:
    """Predict a region of prefixes.

    Args:
        candidate: The region.
        beside: Regions of rows and calls that go with it.
        others: The plan without it.
        predictor: What the recorded calls say.

    Returns:
        None if they do not say what it would find.
    """
    plan = [*beside, candidate]
    if not all(map(predictor.can_predict, [*plan, *others])):
        return None
    found, without = predictor.predict(plan), predictor.predict(beside).ratio
    use = found.regions[-1]
    refusal = None
    if use.reuse == 0:
        where = ", ".join(candidate.region.positions)
        reason = f"no call of the trace begins as an earlier one does, in {where}"
        refusal = Refusal("never-repeats", reason, candidate.region.id)
    elif without - found.ratio < MIN_GAIN:
        reason = (
            f"{use.reuse:.1%} of its positions were read before in the trace, and caching them would change the time"
            f" from {without:.3f} to {found.ratio:.3f} of the original's, which is too little"
        )
        refusal = Refusal("not-worth", reason, candidate.region.id)
    verdict = "chosen"
    if refusal is not None:
        verdict = "never repeats" if use.reuse == 0 else "saves too little"
    first = found.ratio <= predictor.predict(others).ratio
    return TracedPrefix(Considered(candidate, use, found.ratio, verdict), refusal, first)
