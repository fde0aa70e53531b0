"""What a region of prefixes keeps, and the branch that computes a suffix from that: it is built by
:mod:`~actcache.passes.rewrite.suffix`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from actcache.passes.causal import CausalProof
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.suffix import Builder
from actcache.passes.rewrite.suffix_branch import SuffixBranch, SuffixNames
from actcache.passes.rewrite.suffix_states import NoSuffix, States


def plan_states(
    view: GraphView, nodes: Collection[int], frontier: Sequence[str], live_outs: Sequence[str], proof: CausalProof
) -> States | Refusal:
    """Return what a region keeps beside its live-outs. A refusal says what cannot be computed for a suffix."""
    names = SuffixNames({name: f"{name}.compact" for name in frontier}, {}, ".suffix")
    try:
        builder = Builder(view, nodes, frontier, live_outs, proof, names)
        builder.run()
    except NoSuffix as problem:
        return problem.refusal
    return builder.found()


def build_suffix(
    view: GraphView,
    nodes: Collection[int],
    frontier: Sequence[str],
    live_outs: Sequence[str],
    states: States,
    proof: CausalProof,
    names: SuffixNames,
) -> SuffixBranch:
    """Build the branch of a region whose states are those of :func:`plan_states`.

    Raises:
        ValueError: :func:`plan_states` refuses the region, or says otherwise.
    """
    try:
        builder = Builder(view, nodes, frontier, live_outs, proof, names)
        computed = builder.run()
    except NoSuffix as problem:
        raise ValueError(str(problem.refusal)) from problem
    if states != builder.found():
        raise ValueError(f"the region's states are {builder.found()}, not {states}")
    finals = {name: builder.ends.final(name) for name in states.finals}
    return SuffixBranch(builder.nodes, builder.sizes.initializers, computed, builder.complete(), finals)
