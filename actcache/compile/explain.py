"""``--explain``: for every costly node, why it is cached or what stopped it."""

from __future__ import annotations

from collections.abc import Sequence

from actcache.passes.choice.candidate import Candidate
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal

#: Nodes below this share of the time are not worth a line.
_COSTLY = 0.01


def explain(
    view: GraphView,
    costs: Costs,
    candidates: Sequence[Candidate],
    refusals: Sequence[Refusal],
    causal: Sequence[str] = (),
) -> list[str]:
    """Return one line per costly node, costliest first, then why regions are causal.

    `refusals`: what stands against nodes.
    """
    region_of = {i: c.region.id for c in candidates for i in c.region.nodes}
    reasons = {refusal.node: refusal for refusal in refusals}
    lines = []
    order = sorted(range(len(costs.seconds)), key=lambda i: costs.seconds[i], reverse=True)
    for index in order:
        share = costs.seconds[index] / max(costs.total, 1e-12)
        if share < _COSTLY:
            break
        label = view.label(index)
        if index in region_of:
            verdict = f"in region '{region_of[index]}'"
        elif label in reasons:
            verdict = f"not cached: {reasons[label].reason}"
        else:
            verdict = "not cached: keeping its results, or what it reads from, would cost more than it saves"
        lines.append(f"{share:6.1%}  {label}  {verdict}")
    return [*lines, *causal]
