"""Choosing a region: for each granularity the best closed set of nodes, and whether it is worth a lookup.

The result is a short list of plans, best first. The driver takes the first that verification accepts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from actcache.passes.cones import cones
from actcache.passes.cost import Costs
from actcache.passes.fingerprint import canonical_frontier
from actcache.passes.graph import GraphView, element_bits
from actcache.passes.purity import impure_nodes
from actcache.passes.refusal import Refusal
from actcache.passes.region import Granularity, Region, live_outs, with_private_constants
from actcache.passes.rows import RowProof, prove_rows, row_hypotheses
from actcache.passes.selection import Prices, best_closed_set

# What a lookup costs, measured on onnxruntime's CPU provider (benchmarks/overhead.py): a fixed part per call, a keyed
# hash of every frontier byte, and two copies of every byte of a live-out.
LOOKUP_SECONDS = 10e-6
HASH_SECONDS_PER_BYTE = 1 / 3e9
COPY_SECONDS_PER_BYTE = 2 / 8e9
#: Share of the model's time that keeping one byte per entry is taken to cost, beside its copies: a megabyte has to save
#: a tenth. It stands for the entries that it pushes out of the budget, and does not move with the load of the machine.
SHARE_PER_BYTE = 0.1 / 2**20
#: A region has to save this many times what its lookup costs.
WORTH = 3.0
#: Rows hit far more often than whole calls: they win unless they would save less than this share of the latter.
ROW_PREFERENCE = 0.5


@dataclass(frozen=True)
class Candidate:
    """A region that could be cached.

    Attributes:
        region: The region.
        saving: Seconds saved per hit, before the cost of the lookup.
        overhead: Seconds that a lookup of one entry costs.
        time_share: Share of the model's time that lies in the region.
        cone: Graph inputs that its frontier depends on.
        row_axes: Graph input to its row axis, for granularity ``row``.
    """

    region: Region
    saving: float
    overhead: float
    time_share: float
    cone: tuple[str, ...]
    row_axes: Mapping[str, int] = field(default_factory=dict)


#: Regions that are cached together.
Plan = tuple[Candidate, ...]


@dataclass
class Choice:
    """What could be done, best plan first, and everything that was refused on the way."""

    plans: list[Plan] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def choose(
    view: GraphView,
    costs: Costs,
    *,
    granularity: str = "auto",
    min_saving: float | None = None,
    pure_ops: Collection[str] = (),
    name: str = "model",
) -> Choice:
    """Find the regions worth caching.

    Args:
        view: The model.
        costs: Time per node and shapes, on one sample.
        granularity: ``auto``, ``row`` or ``tensor``.
        min_saving: Seconds that a hit has to save; None: :data:`WORTH` times what its lookup costs; 0: anything safe.
        pure_ops: ``domain:Op`` that the user vouches for.
        name: Becomes the id of the region.
    """
    choice = Choice()
    impure = impure_nodes(view, pure_ops)
    choice.refusals += impure.values()
    search = _Search(view, costs, impure, min_saving, name)
    found: list[Candidate] = []
    if granularity in ("auto", "row"):
        found += search.rows(choice.refusals)
    if granularity in ("auto", "tensor"):
        found += search.tensors()
    for candidate in found:
        problem = worth(candidate, min_saving)
        if problem is None:
            choice.plans.append((candidate,))
        else:
            choice.refusals.append(problem)
    choice.plans.sort(key=_preference, reverse=True)
    return choice


def worth(candidate: Candidate, min_saving: float | None) -> Refusal | None:
    """Return why a candidate does not pay for its lookup, or None if it does."""
    needed = WORTH * candidate.overhead if min_saving is None else min_saving
    if candidate.saving >= needed:
        return None
    reason = (
        f"a hit would save {candidate.saving * 1e3:.3f} ms, less than the {needed * 1e3:.3f} ms that make a region of "
        f"granularity '{candidate.region.granularity}' worth its lookup (--min-saving)"
    )
    return Refusal("not-worth", reason, candidate.region.id)


def describe(
    view: GraphView,
    costs: Costs,
    nodes: frozenset[int],
    granularity: Granularity,
    proof: RowProof | None,
    name: str,
) -> Candidate:
    """Complete a set of nodes to a candidate: frontier, live-outs, axes, saving and overhead."""
    nodes = with_private_constants(view, nodes)
    outs = live_outs(view, nodes)
    frontier = canonical_frontier(view, nodes, outs)
    axes = {n: proof.row_axis(n) if proof else None for n in (*frontier, *outs)}
    region = Region(name, nodes, tuple(frontier), tuple(outs), granularity, axes, axes)
    rows = row_count(costs, region)
    seconds = sum(costs.seconds[i] for i in nodes)
    read = sum(costs.bytes(view, n) or 0 for n in frontier)
    kept = sum(costs.bytes(view, n) or 0 for n in outs)
    overhead = (LOOKUP_SECONDS + read * HASH_SECONDS_PER_BYTE + kept * COPY_SECONDS_PER_BYTE) / rows
    by_tensor = cones(view)
    cone = sorted(set().union(*(by_tensor.get(n, frozenset()) for n in frontier)))
    inputs = ((n, proof.row_axis(n)) for n in view.inputs) if proof else ()
    row_axes = {n: axis for n, axis in inputs if axis is not None}
    return Candidate(region, seconds / rows, overhead, seconds / max(costs.total, 1e-12), tuple(cone), row_axes)


def row_count(costs: Costs, region: Region) -> int:
    """Return how many rows the sample had, 1 for granularity ``tensor``."""
    for name in region.row_frontier():
        axis, shape = region.frontier_axes[name], costs.shapes.get(name)
        if axis is not None and shape is not None and region.granularity == "row":
            return max(shape[axis], 1)
    return 1


def cacheable_type(view: GraphView, name: str) -> bool:
    """Whether a tensor can be kept: of a known fixed-size type whose elements are whole bytes."""
    dtype = view.dtype(name)
    return dtype is not None and element_bits(dtype) >= 8


class _Search:
    def __init__(
        self, view: GraphView, costs: Costs, impure: Mapping[int, Refusal], min_saving: float | None, name: str
    ) -> None:
        self.view, self.costs, self.impure, self.name = view, costs, impure, name
        self.safe_is_enough = min_saving == 0

    def rows(self, refusals: list[Refusal]) -> list[Candidate]:
        """Best row region over all hypotheses about which axis of which input is the batch."""
        best: Candidate | None = None
        reasons: list[Refusal] = []
        hypotheses = row_hypotheses(self.view, self.view.inputs)
        for hypothesis in hypotheses:
            proof = prove_rows(self.view, hypothesis)
            if best is None:
                reasons += self._why_not_rows(proof)
            best = _better(best, self._rows(proof, self.impure.keys(), ()))
        if self.impure:
            outside, given = self._after_impure()
            tensors = {name: 0 for name in given if self.view.shape(name)}
            best = _better(best, self._rows(prove_rows(self.view, {}, row_tensors=tensors), outside, given))
        if not hypotheses:
            reasons.append(Refusal("rows-no-batch", "no input has an axis of variable size that could be a batch"))
        refusals += dict.fromkeys(reasons)
        return [best] if best is not None else []

    def tensors(self) -> list[Candidate]:
        prices = self._prices(None)
        sets = [
            best_closed_set(self.view, prices, self.impure.keys(), ()),
            best_closed_set(self.view, prices, *self._after_impure()),
        ]
        found = [describe(self.view, self.costs, nodes, "tensor", None, self.name) for nodes in sets if nodes]
        return sorted(found, key=lambda c: c.saving, reverse=True)[:1]

    def _rows(self, proof: RowProof, outside: Collection[int], given: Collection[str]) -> Candidate | None:
        mixed = {i for i, names in enumerate(self.view.writes) if any(proof.refusal(n) for n in names)}
        nodes = best_closed_set(self.view, self._prices(proof), {*outside, *mixed}, given)
        if not nodes:
            return None
        candidate = describe(self.view, self.costs, nodes, "row", proof, self.name)
        return candidate if candidate.region.row_frontier() else None

    def _prices(self, proof: RowProof | None) -> Prices:
        """Prices of one call: what may be kept (rows only, given a proof) and what that costs."""
        keep: dict[str, float] = {}
        for name in (n for names in self.view.writes for n in names):
            size = self.costs.bytes(self.view, name)
            if size is None or not cacheable_type(self.view, name):
                continue
            axis = proof.row_axis(name) if proof else None
            if proof is None or axis is not None:
                rows = 1 if axis is None else max(self.costs.shapes[name][axis], 1)
                keep[name] = size * self._per_byte(rows)
        return Prices(self.costs.seconds, keep)

    def _per_byte(self, rows: int) -> float:
        """Seconds per call that one byte of a live-out costs, spread over `rows` entries."""
        if self.safe_is_enough:
            return 1e-15
        return COPY_SECONDS_PER_BYTE + self.costs.total * SHARE_PER_BYTE / rows

    def _why_not_rows(self, proof: RowProof) -> list[Refusal]:
        found = (proof.refusal(n) for names in self.view.writes for n in names)
        return [refusal for refusal in found if refusal is not None]

    def _after_impure(self) -> tuple[set[int], set[str]]:
        """For a region behind the impure nodes: what stays outside, and what the region may read from there."""
        random = self._downstream(i for i in self.impure if self.impure[i].rule == "impure-random")
        before = self._upstream(self.impure)
        given = {
            name
            for index in before - random
            for name in self.view.writes[index]
            if self.view.is_tensor(name) and self.view.dtype(name) is not None
        }
        return before | random, given

    def _downstream(self, start: Iterable[int]) -> set[int]:
        found = set(start)
        for index, reads in enumerate(self.view.reads):
            if any(self.view.producer.get(name) in found for name in reads):
                found.add(index)
        return found

    def _upstream(self, start: Iterable[int]) -> set[int]:
        found = set(start)
        for index in range(len(self.view.writes) - 1, -1, -1):
            if any(c in found for name in self.view.writes[index] for c in self.view.consumers.get(name, ())):
                found.add(index)
        return found


def _better(one: Candidate | None, two: Candidate | None) -> Candidate | None:
    if one is None or two is None:
        return one or two
    return two if two.saving > one.saving else one


def _preference(plan: Plan) -> float:
    return sum(c.time_share / (ROW_PREFERENCE if c.region.granularity == "row" else 1.0) for c in plan)
