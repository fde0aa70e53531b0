"""A region that the user names by its frontier and its live-outs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from actcache.base.region_spec import RegionSpec
from actcache.errors import InvalidRegion
from actcache.passes.choice.candidate import Candidate, can_be_hashed, can_be_kept, describe
from actcache.passes.choice.choose import Choice
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.view import GraphView
from actcache.passes.purity import impure_nodes
from actcache.passes.refusal import Refusal
from actcache.passes.region import convexity, live_outs, with_private_constants
from actcache.passes.rows import RowFree, RowProof, prove_rows, row_hypotheses


def choose_named(
    view: GraphView, costs: Costs, specs: Sequence[RegionSpec], granularity: str, pure_ops: Collection[str]
) -> Choice:
    """Turn the user's regions into one plan.

    Raises:
        InvalidRegion: As :func:`named_candidate`, or two regions overlap or have the same name.
    """
    choice = Choice()
    plan: list[Candidate] = []
    for spec in specs:
        candidate = named_candidate(view, costs, spec, granularity, pure_ops, choice.refusals)
        for other in plan:
            if other.region.id == spec.name:
                raise InvalidRegion("two regions have this name", node=spec.name)
            shared = sorted(other.region.nodes & candidate.region.nodes)
            if shared:
                problem = f"it overlaps region '{other.region.id}' in {view.label(shared[0])}"
                raise InvalidRegion(problem, node=spec.name, hint="let one end where the other begins")
        plan.append(candidate)
    choice.plans.append(tuple(plan))
    return choice


def named_candidate(
    view: GraphView,
    costs: Costs,
    spec: RegionSpec,
    granularity: str,
    pure_ops: Collection[str],
    refusals: list[Refusal],
) -> Candidate:
    """Turn the user's region into a candidate, by rows where that is proven.

    Args:
        view: The model.
        costs: Costs on the sample.
        spec: The region.
        granularity: ``auto``, ``row`` or ``tensor``.
        pure_ops: ``domain:Op`` that the user vouches for.
        refusals: Reasons against rows are added here.

    Raises:
        InvalidRegion: A tensor does not exist, or the nodes between frontier and live-outs are not closed, not convex,
            not pure, or cannot be kept; or rows are asked for and not proven.
    """
    nodes = _nodes_between(view, spec)
    _check_safe(view, spec, nodes, pure_ops)
    if granularity != "tensor":
        proof, problem = _prove(view, spec, nodes)
        if proof is not None:
            return describe(view, costs, nodes, proof, spec.name)
        if granularity == "row":
            raise InvalidRegion(f"rows are not proven: {problem}", node=spec.name, hint="use --granularity tensor")
        if problem is not None:
            refusals.append(problem)
    return describe(view, costs, nodes, None, spec.name)


def _nodes_between(view: GraphView, spec: RegionSpec) -> frozenset[int]:
    for name in (*spec.frontier, *spec.live_outs):
        if name not in view.producer and name not in view.inputs:
            hint = "names are those of the ONNX graph, as Netron shows them"
            raise InvalidRegion(f"the model has no tensor '{name}'", node=spec.name, hint=hint)
    found: set[int] = set()
    stack = list(spec.live_outs)
    while stack:
        name = stack.pop()
        if name in spec.frontier or name in view.constants:
            continue
        index = view.producer.get(name)
        if index is None:
            hint = f"add '{name}' to the frontier"
            raise InvalidRegion(f"it also depends on the graph input '{name}'", node=spec.name, hint=hint)
        if index not in found:
            found.add(index)
            stack.extend(view.reads[index])
    if not found:
        raise InvalidRegion("there is no node between its frontier and its live-outs", node=spec.name)
    return frozenset(found)


def _check_safe(view: GraphView, spec: RegionSpec, nodes: frozenset[int], pure_ops: Collection[str]) -> None:
    problem = convexity(view, nodes)
    if problem is not None:
        hint = "let the region include what lies between"
        raise InvalidRegion(f"it is not convex: {problem}", node=spec.name, hint=hint)
    impure = impure_nodes(view, pure_ops)
    for index in sorted(nodes):
        if index in impure:
            raise InvalidRegion(f"it is not pure: {impure[index]}", node=spec.name)
    needed = live_outs(view, with_private_constants(view, nodes))
    missing = [name for name in needed if name not in spec.live_outs]
    if missing:
        hint = f"add '{missing[0]}' to the live-outs"
        raise InvalidRegion(f"'{missing[0]}' is also read outside the region", node=spec.name, hint=hint)
    for name in needed:
        if not can_be_kept(view, name):
            raise InvalidRegion(f"live-out '{name}' has a type that cannot be cached", node=spec.name)
    for name in spec.frontier:
        if not can_be_hashed(view, name):
            raise InvalidRegion(f"frontier tensor '{name}' has a type that cannot be part of a key", node=spec.name)


def _prove(view: GraphView, spec: RegionSpec, nodes: frozenset[int]) -> tuple[RowProof | None, Refusal | None]:
    """Prove rows for the region: from the graph inputs, or with its frontier tensors taken as rows themselves."""
    first: Refusal | None = None
    named = (False, True) if set(view.inputs).issuperset(spec.frontier) else (False,)
    attempts: list[tuple[dict[str, int], dict[str, int], bool]] = [
        (hypothesis, {}, names) for names in named for hypothesis in row_hypotheses(view, view.inputs)
    ]
    attempts.append(({}, {name: 0 for name in spec.frontier if view.shape(name)}, False))
    outs = live_outs(view, with_private_constants(view, nodes))
    unread = frozenset(view.inputs).difference(spec.frontier)
    for row_axes, row_tensors, names in attempts:
        proof = prove_rows(view, row_axes, row_tensors=row_tensors, named_sizes=names, unread=unread)
        problem = next((proof.refusal(n) for n in (*spec.frontier, *outs) if proof.refusal(n)), None)
        rows = [name for name in spec.frontier if proof.row_axis(name) is not None]
        # What was computed for N rows, or for their positions, is wrong for the rows that are left to compute.
        fit = all(name in rows or isinstance(proof.state(name), RowFree) for name in spec.frontier)
        fit = fit and proof.is_told_by(spec.frontier)
        if problem is None and rows and fit and all(proof.row_axis(name) is not None for name in outs):
            return proof, None
        first = first or problem
    return None, first or Refusal("rows-unproven", "its live-outs do not keep the rows of the batch", spec.name)
