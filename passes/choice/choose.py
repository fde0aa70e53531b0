"""Choosing regions: for every cone the best region, from the smallest cone to the whole model.

A region of a small cone hits whenever *its* inputs repeat, whatever the others do, so it comes first; a region of a
larger cone may contain it, and then has to be worth its own lookup by what it saves beyond it. The result is a short
list of plans, best first. The driver takes the first that verification accepts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from actcache.passes.choice.bits import BitRules
from actcache.passes.choice.candidate import Candidate, can_be_kept, needed_saving, worth
from actcache.passes.choice.choose_prefix import PrefixChoice, choose_prefix
from actcache.passes.choice.choose_traced import MIN_CONE_SHARE, Considered, TracedChoice, predicted
from actcache.passes.choice.prediction import Predictor
from actcache.passes.choice.search import Cone, Search
from actcache.passes.choice.trace_keys import Place
from actcache.passes.choice.traced_prefix import judge
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.cones import content_cones
from actcache.passes.graph.constant_values import ReadTensor
from actcache.passes.graph.view import GraphView
from actcache.passes.purity import impure_nodes
from actcache.passes.refusal import Refusal
from actcache.passes.rows import row_hypotheses

#: Share of the model's time that a region of some of the inputs has to hold beyond the regions inside it, to be worth a
#: lookup of its own: inputs of one shape describe the same thing and repeat together (the projections of an encoder
#: that do not see the mask hold a seventh of a small one); others, as a query and its candidates, go their own ways.
MIN_SHARE_TOGETHER, MIN_SHARE_ALONE = 0.2, 0.05
#: Any other region has to hold this share: what is saved below it does not show.
MIN_SHARE = 0.01

#: A measurement that is this near to its limit, relative to that, may come out on the other side the next time.
CLOSE = 0.15

#: Regions that are cached together; a region inside another comes before it.
Plan = tuple[Candidate, ...]


@dataclass
class Choice:
    """What could be done.

    Attributes:
        plans: Regions to cache, the best plan first.
        refusals: Everything that was refused on the way.
        considered: Every candidate that was looked at.
        causal: Why a region of prefixes is one, in sentences.
        close: Decisions that a slightly different measurement would turn around, each as a sentence.
    """

    plans: list[Plan] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    considered: list[Considered] = field(default_factory=list)
    close: list[str] = field(default_factory=list)
    causal: list[str] = field(default_factory=list)


def choose(
    view: GraphView,
    costs: Costs,
    *,
    granularity: str = "auto",
    min_saving: float | None = None,
    pure_ops: Collection[str] = (),
    name: str = "model",
    predictor: Predictor | None = None,
    bits: BitRules | None = None,
    budget: int = 256 << 20,
    read: ReadTensor | None = None,
) -> Choice:
    """Find the regions worth caching.

    Args:
        view: The model.
        costs: Time per node and shapes, on one sample.
        granularity: ``auto``, ``row``, ``prefix`` or ``tensor``.
        min_saving: Seconds that a hit has to save; None: several times what its lookup costs; 0: anything safe.
        pure_ops: ``domain:Op`` that the user vouches for.
        name: Becomes the id of the region; regions of some of the inputs have those appended.
        predictor: What recorded calls say; None: there are none.
        bits: Where regions may lie so that no bit changes; None: anywhere.
        budget: Bytes of the store. It decides what is kept of a sequence, and how large other entries may be.
        read: Reads constants that are stored outside the model.
    """
    impure = impure_nodes(view, pure_ops)
    if granularity == "prefix":
        choice = Choice(refusals=[*impure.values(), *_outputs_not_kept(view)])
    else:
        choice = _by_rows_or_calls(view, costs, impure, granularity, min_saving, name, predictor, bits, budget)
    if granularity in ("auto", "prefix"):
        beside = choice.plans[0] if choice.plans else ()
        everything = min_saving == 0
        found = choose_prefix(
            view, costs, impure, budget=budget, name=name, everything=everything, read=read, beside=beside
        )
        _add_prefix(choice, found, min_saving, predictor, asked=granularity == "prefix")
    return choice


def _add_prefix(
    choice: Choice, found: PrefixChoice, min_saving: float | None, predictor: Predictor | None, *, asked: bool
) -> None:
    """Add a region of prefixes to the plans, if callers go on from positions, or if it is `asked` for: as the first.
    Where calls were recorded, they decide whether it is worth it, and whether it comes first.
    """
    candidate = found.candidate
    problem = None if candidate is None else worth(candidate, min_saving)
    if asked or found.steps:
        choice.refusals += [*found.refusals, *filter(None, [problem])]
    if candidate is None or problem is not None or not (asked or found.steps):
        return
    choice.causal += found.reasons
    others = choice.plans[0] if choice.plans else ()
    beside = [c for c in others if c.region.nodes.isdisjoint(candidate.region.nodes)]
    traced = judge(candidate, beside, others, predictor) if predictor is not None else None
    if traced is not None and traced.refusal is not None and min_saving is None:
        choice.refusals.append(traced.refusal)
        choice.considered.append(traced.considered)
        return
    first = predictor is None if traced is None else traced.first
    choice.plans.insert(0 if first else len(choice.plans), (*beside, candidate))
    prediction = (traced.considered.use, traced.considered.ratio) if traced is not None else (None, None)
    choice.considered.append(Considered(candidate, *prediction, "chosen"))


def _by_rows_or_calls(
    view: GraphView,
    costs: Costs,
    impure: Mapping[int, Refusal],
    granularity: str,
    min_saving: float | None,
    name: str,
    predictor: Predictor | None,
    bits: BitRules | None,
    budget: int,
) -> Choice:
    """Find regions by rows and by whole calls; arguments as :func:`choose`."""
    choice = Choice()
    choice.refusals += [*impure.values(), *_outputs_not_kept(view)]
    search = Search(view, costs, impure, everything=min_saving == 0, bits=bits, budget=budget)
    if predictor is not None and min_saving is None:
        traced = TracedChoice(search, predictor, granularity, choice.refusals)
        traced.run(_named_cones(view, costs, name, MIN_CONE_SHARE))
        choice.plans = traced.plans()
        choice.considered, choice.close = traced.considered, traced.close
        if granularity == "auto" and any(c.region.granularity == "row" for c in traced.plan):
            calls = TracedChoice(search, predictor, "tensor", [])
            calls.run(_named_cones(view, costs, name, MIN_CONE_SHARE))
            choice.plans += calls.plans()
        return choice
    plan = _plan(search, granularity, min_saving, name, choice)
    choice.plans = [plan] if plan else []
    if granularity == "auto" and any(c.region.granularity == "row" for c in plan):
        # What verification falls back on if the rows turn out not to be independent after all.
        fallback = _plan(search, "tensor", min_saving, name, Choice())
        choice.plans += [fallback] if fallback else []
    if predictor is not None:
        choice.considered = [*predicted(plan, predictor), *(c for c in choice.considered if c.verdict != "chosen")]
    return choice


def _plan(
    search: Search,
    granularity: str,
    min_saving: float | None,
    name: str,
    choice: Choice,
) -> tuple[Candidate, ...]:
    """Go through the cones; in each, a region of rows comes first, and one of whole calls may go around it.

    What was looked at, what was refused and what was decided by little is added to `choice`.
    """
    plan: list[Candidate] = []

    def consider(candidate: Candidate | None, *, small: bool) -> None:
        if candidate is None:
            return
        needed = 0.0 if min_saving is not None else MIN_SHARE
        if small:
            needed = MIN_SHARE_ALONE if _goes_its_own_way(search.view, candidate.cone) else MIN_SHARE_TOGETHER
        if min_saving is None and any(set(other.cone) <= set(candidate.cone) for other in plan):
            # That one finds most of what repeats anyway, and what is large is copied also where nothing does.
            needed = max(needed, min(search.shares(frozenset(candidate.cone))) * candidate.entry_bytes)
        share = _share_beyond(candidate, search.costs, plan)
        problem = _again(candidate, plan) or worth(candidate, min_saving) or _too_little(candidate, share, needed)
        choice.close += _close(candidate, share, needed, needed_saving(candidate, min_saving))
        choice.considered.append(Considered(candidate, None, None, problem.reason if problem else "chosen"))
        if problem is None:
            plan.append(candidate)
        else:
            choice.refusals.append(problem)

    for cone, cone_name in _named_cones(search.view, search.costs, name, MIN_SHARE_ALONE):
        whole = cone == frozenset(search.view.inputs)
        if granularity != "tensor":
            consider(search.by_rows(cone, cone_name, plan, choice.refusals), small=not whole)
        if granularity != "row":
            taken = any(c.region.id == cone_name for c in plan)
            call_name = f"{cone_name}.call" if taken else cone_name
            consider(search.by_tensor(cone, call_name, plan), small=not whole or taken)
    return tuple(plan)


def _outputs_not_kept(view: GraphView) -> list[Refusal]:
    """Return why outputs of the model that are no numbers cannot be in an entry."""
    names = [name for name in view.outputs if name in view.producer and not can_be_kept(view, name)]
    reason = "results of this type are not cached (strings, elements below a byte, sequences, maps, unknown types)"
    return [Refusal("output-type", reason, view.label(view.producer[name])) for name in names]


def wanted_places(view: GraphView, costs: Costs, pure_ops: Collection[str] = ()) -> set[Place]:
    """Return the places where recorded calls have to be hashed, so that regions can be chosen by what repeats there."""
    search = Search(view, costs, impure_nodes(view, pure_ops), everything=False)
    return {place for cone, _ in _named_cones(view, costs, "", MIN_CONE_SHARE) for place in search.places(cone)}


def sequences(
    view: GraphView, costs: Costs, *, budget: int, pure_ops: Collection[str] = (), read: ReadTensor | None = None
) -> list[Candidate]:
    """Return the regions of prefixes that :func:`choose` may come to; arguments as there."""
    impure = impure_nodes(view, pure_ops)

    def found(beside: Plan) -> Candidate | None:
        return choose_prefix(view, costs, impure, budget=budget, name="", read=read, beside=beside).candidate

    alone = found(())
    if alone is None or set(alone.cone) <= alone.region.positions.keys() | alone.region.pasts.keys():
        return [] if alone is None else [alone]
    plans = _by_rows_or_calls(view, costs, impure, "auto", None, "", None, None, budget).plans
    with_others = found(plans[0]) if plans else None
    return [alone] if with_others is None else [alone, with_others]


def likely_batches(view: GraphView, costs: Costs) -> list[dict[str, int]]:
    """Return the likeliest rows of every cone: graph input to axis."""
    found: list[dict[str, int]] = []
    for cone, _ in _named_cones(view, costs, "", MIN_CONE_SHARE):
        found += [axes for axes in row_hypotheses(view, cone)[:1] if axes not in found]
    return found


def _named_cones(view: GraphView, costs: Costs, name: str, share: float) -> list[tuple[Cone, str]]:
    """Return the cones that hold this share of the time or more, the smallest first, all inputs last; with the name
    of their regions.
    """
    by_tensor = content_cones(view)
    everything = frozenset(view.inputs)
    of_node = [frozenset().union(*(by_tensor[n] for n in names)) for names in view.writes]
    found = []
    for cone in set(of_node) - {frozenset(), everything}:
        seconds = sum(s for own, s in zip(of_node, costs.seconds, strict=True) if own and own <= cone)
        if seconds >= share * costs.total:
            found.append((len(cone), -seconds, sorted(cone), cone))
    parts = [cone for *_, cone in sorted(found, key=lambda entry: entry[:3])]
    return [*((cone, ".".join([name, *sorted(cone)])) for cone in parts), (everything, name)]


def parts(view: GraphView, costs: Costs) -> list[Cone]:
    """Return the sets of some of the inputs that a region of their own may be worth it for, the smallest first."""
    found = [cone for cone, _ in _named_cones(view, costs, "", MIN_SHARE_ALONE) if cone != frozenset(view.inputs)]
    together = {cone for cone, _ in _named_cones(view, costs, "", MIN_SHARE_TOGETHER)}
    return [cone for cone in found if cone in together or _goes_its_own_way(view, cone)]


def _goes_its_own_way(view: GraphView, cone: Collection[str]) -> bool:
    """Whether no input outside the cone has the shape of one inside."""
    return not {view.shape(n) for n in cone}.intersection(view.shape(n) for n in view.inputs if n not in cone)


def _share_beyond(candidate: Candidate, costs: Costs, plan: Collection[Candidate]) -> float:
    """Share of the model's time that a candidate holds beyond the regions inside it."""
    inside = {i for other in plan for i in other.region.nodes} & candidate.region.nodes
    return candidate.time_share - sum(costs.seconds[i] for i in inside) / max(costs.total, 1e-12)


def _again(candidate: Candidate, plan: Collection[Candidate]) -> Refusal | None:
    """Refuse a region between the same tensors as one that is chosen: it would hit when that one does."""
    region = candidate.region
    for other in (c.region for c in plan):
        if set(other.live_outs) == set(region.live_outs) and set(other.frontier) == set(region.frontier):
            return Refusal("not-worth", f"it computes what '{other.id}' computes, from the same tensors", region.id)
    return None


def _too_little(candidate: Candidate, share: float, needed: float) -> Refusal | None:
    if share >= needed:
        return None
    reason = f"it holds {share:.1%} of the model's time beyond the regions inside it, too little for one of its own"
    return Refusal("not-worth", reason, candidate.region.id)


def _close(candidate: Candidate, share: float, needed_share: float, needed_seconds: float) -> list[str]:
    """Say why the decision about a candidate is close: what decides is near its limit."""
    limits = [
        (share, needed_share, f"{share:.1%} of the model's time, and {needed_share:.1%} are needed"),
        (
            candidate.saving,
            needed_seconds,
            f"{candidate.saving * 1e3:.3f} ms saved by a hit, and {needed_seconds * 1e3:.3f} ms are needed",
        ),
    ]
    decisive = [limit for limit in limits if limit[1] > 0]
    if any(value < needed * (1 - CLOSE) for value, needed, _ in decisive):
        return []
    near = [text for value, needed, text in decisive if value < needed * (1 + CLOSE)]
    return [f"region '{candidate.region.id}' is a close choice: {text}" for text in near]
