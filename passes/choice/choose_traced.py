"""Choosing regions by what recorded calls would have found in them.

Every cone has several candidates: by rows and by whole calls, for several prices of a byte that is kept, beginning at
the inputs or behind cheap nodes where those make different inputs equal. Cones are taken from the smallest to the
whole model; a candidate joins the plan if that lowers the predicted time of the recorded calls. At the end every
region is left out once: one that the others have made superfluous goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.prediction import Prediction, Predictor, RegionUse
from actcache.passes.choice.region_starts import Start
from actcache.passes.choice.search import SHARE_PER_BYTE, Cone, Search
from actcache.passes.choice.trace_keys import Place
from actcache.passes.refusal import Refusal

#: Prices of a byte that candidates are cut at.
SHARES = (0.0, 0.1 * SHARE_PER_BYTE, SHARE_PER_BYTE, 10 * SHARE_PER_BYTE)
#: What a region has to take off the predicted time, relative to the original's.
MIN_GAIN = 0.01
#: A cone has to hold this share of the model's time to be looked at.
MIN_CONE_SHARE = 0.02


@dataclass(frozen=True)
class Considered:
    """One candidate, what the recorded calls say of it, and what came of it.

    Attributes:
        candidate: The candidate.
        use: What it would have done to the recorded calls; None: there are none.
        ratio: Predicted time with it and the regions chosen before it, relative to the original's; None likewise.
        verdict: ``chosen``, or why not.
    """

    candidate: Candidate
    use: RegionUse | None
    ratio: float | None
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as it stands in ``--json`` output."""
        candidate = self.candidate
        return {
            "region": candidate.region.id,
            "granularity": candidate.region.granularity,
            "cone": list(candidate.cone),
            "frontier": list(candidate.region.frontier),
            "live_outs": list(candidate.region.live_outs),
            "time_share": round(candidate.time_share, 4),
            "entry_bytes": round(candidate.entry_bytes),
            "reuse": round(self.use.reuse, 4) if self.use else None,
            "reuse_within_calls": round(self.use.within / max(self.use.lookups, 1), 4) if self.use else None,
            "predicted": None if self.ratio is None else round(self.ratio, 4),
            "verdict": self.verdict,
        }


class TracedChoice:
    """Builds one plan.

    Args:
        search: Finds candidates.
        predictor: Predicts plans.
        granularity: ``auto``, ``row`` or ``tensor``.
        refusals: Reasons are added here.

    Attributes:
        plan: The regions chosen so far; one inside another comes before it.
        considered: Every candidate that was looked at.
        close: Decisions that a slightly different measurement would turn around.
    """

    def __init__(self, search: Search, predictor: Predictor, granularity: str, refusals: list[Refusal]) -> None:
        self.search, self.predictor, self.refusals = search, predictor, refusals
        self.granularity = granularity
        self.plan: list[Candidate] = []
        self.considered: list[Considered] = []
        self.close: list[str] = []
        self._ratio = 1.0

    def run(self, cones: Iterable[tuple[Cone, str]]) -> Prediction:
        """Go through the cones, each with the name of its regions, and return what the plan is predicted to do."""
        for cone, name in cones:
            if self._add_best(self._candidates(cone, name, self.granularity)) and self.granularity == "auto":
                last = self.plan[-1].region.granularity
                if last == "row":  # a call seen before as a whole may be cheaper to find than its rows
                    self._add_best(self._candidates(cone, f"{name}.call", "tensor"))
        self._remove_superfluous()
        return self.predictor.predict(self.plan)

    def plans(self) -> list[tuple[Candidate, ...]]:
        """Return the plan, and then its regions one by one, the best first, in case that they do not pay together."""
        if len(self.plan) < 2:
            return [tuple(self.plan)] if self.plan else []
        alone = sorted(self.plan, key=lambda candidate: self.predictor.predict([candidate]).ratio)
        return [tuple(self.plan), *((candidate,) for candidate in alone)]

    def _candidates(self, cone: Cone, name: str, granularity: str) -> list[Candidate]:
        starts = [*self.search.starts(cone), *(s for s in self.search.cheap_starts(cone) if self._merges(s, cone))]
        found: list[Candidate] = []
        if granularity != "tensor":
            found += self.search.row_candidates(cone, name, self.plan, self.refusals, starts, SHARES)
        if granularity != "row":
            found += self.search.tensor_candidates(cone, name, self.plan, starts, SHARES)
        return [candidate for candidate in found if self.predictor.can_predict(candidate)]

    def _merges(self, start: Start, cone: Cone) -> bool:
        """Whether the tensors at a start take fewer different values than the inputs that they come from."""
        trace = self.predictor.trace
        given = [Place(name) for name in sorted(start.given)]
        inputs = [Place(name) for name in sorted(cone)]
        if trace.holds(given) and trace.distinct(given) < trace.distinct(inputs):
            return True
        by_rows = {place for place in trace.hashes if place.rows is not None and place.positions is None}
        rows = sorted(place for place in by_rows if place.tensor in start.given)
        batch = sorted(place for place in by_rows if place.tensor in cone)
        return bool(rows and batch) and trace.distinct(rows) < trace.distinct(batch)

    def _add_best(self, candidates: Sequence[Candidate]) -> bool:
        """Add the candidate with the lowest predicted time, if that gains enough; note them all."""
        tried = [(c, self.predictor.predict([*self.plan, c])) for c in candidates]
        best = min(tried, key=lambda pair: pair[1].ratio + _handicap(pair[0]), default=None)
        gains = best is not None and best[1].ratio <= self._ratio - MIN_GAIN
        if best is not None and MIN_GAIN / 2 < (gain := self._ratio - best[1].ratio) < 2 * MIN_GAIN:
            what = f"it takes {gain:.1%} off the predicted time, and at least {MIN_GAIN:.0%} is needed"
            self.close.append(f"region '{best[0].region.id}' is a close choice: {what}")
        for candidate, prediction in tried:
            use = prediction.regions[-1]
            taken = gains and best is not None and candidate is best[0]
            verdict = "chosen" if taken else self._why_not(use.reuse, prediction.ratio, gains)
            self.considered.append(Considered(candidate, use, prediction.ratio, verdict))
        if best is None:
            return False
        if not gains:
            candidate, prediction = max(tried, key=lambda pair: pair[0].time_share)
            reuse = prediction.regions[-1].reuse
            self.refusals.append(_refused(candidate, reuse, self._ratio, best[1].ratio))
            return False
        self.plan.append(best[0])
        self._ratio = best[1].ratio
        return True

    def _why_not(self, reuse: float, ratio: float, another: bool) -> str:
        if reuse == 0:
            return "never repeats"
        if another and ratio <= self._ratio - MIN_GAIN:
            return "another candidate for these inputs saves more"
        return "saves too little"

    def _remove_superfluous(self) -> None:
        for candidate in list(self.plan):
            without = [c for c in self.plan if c is not candidate]
            ratio = self.predictor.predict(without).ratio if without else 1.0
            if ratio < self._ratio + MIN_GAIN / 2:
                self.plan, self._ratio = without, ratio
                reason = "the other regions of the plan save as much without it"
                self.refusals.append(Refusal("superfluous", reason, candidate.region.id))
                self.considered = [
                    replace(c, verdict="the other regions save as much without it") if c.candidate is candidate else c
                    for c in self.considered
                ]


def predicted(candidates: Sequence[Candidate], predictor: Predictor) -> list[Considered]:
    """Return what recorded calls say of a plan that was not chosen by them."""
    if not all(map(predictor.can_predict, candidates)):
        return [Considered(c, None, None, "chosen") for c in candidates]
    uses = predictor.predict(candidates).regions
    ratios = [predictor.predict(candidates[: i + 1]).ratio for i in range(len(candidates))]
    return [Considered(c, use, ratio, "chosen") for c, use, ratio in zip(candidates, uses, ratios, strict=True)]


def _handicap(candidate: Candidate) -> float:
    """Rows that repeat like whole calls are preferred: they also hit in other company."""
    return MIN_GAIN if candidate.region.granularity == "tensor" else 0.0


def _refused(candidate: Candidate, reuse: float, before: float, after: float) -> Refusal:
    what = "rows" if candidate.region.granularity == "row" else "calls"
    if reuse == 0:
        where = ", ".join(candidate.region.frontier)
        reason = f"in the trace nothing repeats at {where}: every one of its {what} is different"
        return Refusal("never-repeats", reason, candidate.region.id)
    reason = (
        f"{reuse:.1%} of its {what} repeat in the trace, and caching them would change the time from {before:.3f} to "
        f"{after:.3f} of the original's, which is too little"
    )
    return Refusal("not-worth", reason, candidate.region.id)
