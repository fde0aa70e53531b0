"""Where a region may begin: at the graph inputs, behind what must stay outside, or behind what is cheap.

A region that begins further down is keyed by what is computed before it. That is needed behind an operator that no
region may contain, and it finds more reuse where cheap nodes make different inputs equal: a slice that drops what
differs, a mask, a rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from actcache.passes.choice.candidate import can_be_hashed
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal

#: Nodes count as cheap while a path to them takes no more than this share of the model's time.
CHEAP_SHARES = (0.003, 0.03)


@dataclass(frozen=True)
class Start:
    """Where regions of one cone may begin.

    Attributes:
        outside: Nodes that stay outside.
        given: Tensors that a region may read although nodes outside compute them.
    """

    outside: frozenset[int]
    given: frozenset[str] = frozenset()


def behind_impure(view: GraphView, impure: Mapping[int, Refusal]) -> Start:
    """Return the start of regions behind the impure nodes: nothing random is read."""
    random = _downstream(view, (i for i, refusal in impure.items() if refusal.rule == "impure-random"))
    before = _upstream(view, impure)
    given = {n for i in before - random for n in view.writes[i] if can_be_hashed(view, n)}
    return Start(frozenset(before | random), frozenset(given))


def behind_cheap(view: GraphView, costs: Costs, outside: Collection[int]) -> list[Start]:
    """Return starts behind the first, cheap nodes of those that are not `outside`.

    Args:
        view: The model.
        costs: Time per node.
        outside: Nodes that no region of the cone may contain. What they feed cannot be cheap.
    """
    starts: list[Start] = []
    until = _path_seconds(view, costs, outside)
    for share in CHEAP_SHARES:
        cheap = {i for i, seconds in enumerate(until) if seconds <= share * costs.total}
        cheap = {i for i in cheap if not view.constants.issuperset(view.writes[i])}
        border = {
            name
            for i in cheap
            for name in view.writes[i]
            if any(c not in cheap and c not in outside for c in view.consumers.get(name, ()))
        }
        border -= view.constants
        start = Start(frozenset(cheap | set(outside)), frozenset(border))
        if border and start not in starts and all(can_be_hashed(view, name) for name in border):
            starts.append(start)
    return starts


def _path_seconds(view: GraphView, costs: Costs, outside: Collection[int]) -> list[float]:
    """Per node: seconds of the longest path that ends with it; infinite behind what is outside."""
    found: list[float] = []
    for index, reads in enumerate(view.reads):
        before = (found[view.producer[name]] for name in reads if name in view.producer)
        own = float("inf") if index in outside else costs.seconds[index]
        found.append(0.0 if view.constants.issuperset(view.writes[index]) else max(before, default=0.0) + own)
    return found


def _downstream(view: GraphView, start: Iterable[int]) -> set[int]:
    found = set(start)
    for index, reads in enumerate(view.reads):
        if any(view.producer.get(name) in found for name in reads):
            found.add(index)
    return found


def _upstream(view: GraphView, start: Iterable[int]) -> set[int]:
    found = set(start)
    for index in range(len(view.writes) - 1, -1, -1):
        if any(c in found for name in view.writes[index] for c in view.consumers.get(name, ())):
            found.add(index)
    return found
