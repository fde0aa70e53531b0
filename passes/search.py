"""The best region for one cone: which nodes, by rows or by whole calls."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from actcache.passes.candidate import COPY_SECONDS_PER_BYTE, Candidate, can_be_hashed, can_be_kept, describe
from actcache.passes.cones import cones
from actcache.passes.cost import Costs
from actcache.passes.graph import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.region import live_outs
from actcache.passes.rows import RowProof, prove_rows, row_hypotheses
from actcache.passes.selection import Prices, best_closed_set

#: Share of the model's time that keeping one byte per entry is taken to cost, beside its copies: a megabyte has to save
#: a tenth. It stands for the entries that it pushes out of the budget, and does not move with the load of the machine.
SHARE_PER_BYTE = 0.1 / 2**20
#: Where that leaves nothing, a region is still taken if one entry is no larger than this.
LARGEST_ENTRY = 16 << 20

Cone = frozenset[str]


class Search:
    """Searches regions of one model.

    Args:
        view: The model.
        costs: Time per node and shapes, on one sample.
        impure: Nodes that no region may contain.
        everything: Take whatever is safe, whatever it saves.
    """

    def __init__(self, view: GraphView, costs: Costs, impure: Mapping[int, Refusal], *, everything: bool) -> None:
        self.view, self.costs, self.everything = view, costs, everything
        unknown = {n for n in view.inputs if not can_be_hashed(view, n)}
        unread = {i for i, reads in enumerate(view.reads) if unknown.intersection(reads)}
        self._impure = {**{i: _unknown_type(view, i) for i in unread}, **impure}
        self._cones = cones(view)
        self._proofs: dict[tuple[tuple[str, int], ...], RowProof] = {}

    # -- granularities -------------------------------------------------------------------------------

    def by_rows(self, cone: Cone, name: str, inside: Sequence[Candidate], refusals: list[Refusal]) -> Candidate | None:
        """Return the best row region over all hypotheses about which axis of which input is the batch.

        Args:
            cone: Graph inputs; the region's nodes depend on no others.
            name: Id of the region.
            inside: Regions already chosen; each is inside this one as a whole, or not at all.
            refusals: Reasons against rows are added here.
        """
        best: Candidate | None = None
        reasons: list[Refusal] = []
        hypotheses = row_hypotheses(self.view, cone)
        for hypothesis in hypotheses:
            proof = self._proof(hypothesis)
            if best is None:
                reasons += self._why_not_rows(proof, cone)
            best = _better(best, self._rows(proof, self._outside(cone), (), name, inside))
        if self._impure and cone == frozenset(self.view.inputs):
            outside, given = self._after_impure()
            tensors = {tensor: 0 for tensor in given if self.view.shape(tensor)}
            proof = prove_rows(self.view, {}, row_tensors=tensors)
            best = _better(best, self._rows(proof, outside, given, name, inside))
        if not hypotheses:
            reason = f"none of the inputs {', '.join(sorted(cone))} has an axis of variable size that could be a batch"
            reasons.append(Refusal("rows-no-batch", reason))
        refusals += [r for r in dict.fromkeys(reasons) if r not in refusals]
        return best

    def _rows(
        self,
        proof: RowProof,
        outside: Collection[int],
        given: Collection[str],
        name: str,
        inside: Sequence[Candidate],
    ) -> Candidate | None:
        mixed = {i for i, names in enumerate(self.view.writes) if any(proof.refusal(n) for n in names)}
        found = self._cut(proof, {*outside, *mixed}, given, inside)
        if not found:
            return None
        candidate = describe(self.view, self.costs, found, "row", proof, name, _covered(inside))
        return candidate if candidate.region.row_frontier() else None

    def by_tensor(self, cone: Cone, name: str, inside: Sequence[Candidate]) -> Candidate | None:
        """Return the best region of granularity ``tensor``; arguments as :meth:`by_rows`."""
        sets = [self._cut(None, self._outside(cone), (), inside)]
        if self._impure and cone == frozenset(self.view.inputs):
            sets.append(self._cut(None, *self._after_impure(), inside))
        covered = _covered(inside)
        found = [describe(self.view, self.costs, nodes, "tensor", None, name, covered) for nodes in sets if nodes]
        return max(found, key=lambda c: c.saving, default=None)

    # -- the cut -------------------------------------------------------------------------------------

    def _cut(
        self, proof: RowProof | None, outside: Collection[int], given: Collection[str], inside: Sequence[Candidate]
    ) -> frozenset[int]:
        """Best set of nodes; if keeping it is too dear by the price of bytes, the best one by its copies alone."""
        atoms = [candidate.region.nodes for candidate in inside]
        for share in (0.0,) if self.everything else (SHARE_PER_BYTE, 0.0):
            nodes = best_closed_set(self.view, self._prices(proof, share, _covered(inside)), outside, given, atoms)
            if not live_outs(self.view, nodes):  # nothing reads what these nodes write: there is nothing to keep
                continue
            if self.everything or share or self._entry_bytes(nodes, proof) <= LARGEST_ENTRY:
                return nodes
        return frozenset()

    def _prices(self, proof: RowProof | None, share_per_byte: float, covered: Collection[int]) -> Prices:
        """Prices of one call: what may be kept (rows only, given a proof) and what that costs."""
        keep: dict[str, float] = {}
        for name in (n for names in self.view.writes for n in names):
            size = self.costs.bytes(self.view, name)
            axis = proof.row_axis(name) if proof else None
            if size is None or not can_be_kept(self.view, name) or (proof is not None and axis is None):
                continue
            rows = 1 if axis is None else max(self.costs.shapes[name][axis], 1)
            per_byte = COPY_SECONDS_PER_BYTE + self.costs.total * share_per_byte / rows
            keep[name] = size * (1e-15 if self.everything else per_byte)
        seconds = [0.0 if i in covered else s for i, s in enumerate(self.costs.seconds)]
        return Prices(seconds, keep)

    def _entry_bytes(self, nodes: frozenset[int], proof: RowProof | None) -> int:
        region = describe(self.view, self.costs, nodes, "row" if proof else "tensor", proof, "").region
        total = 0
        for name in region.live_outs:
            axis = region.live_out_axes[name]
            rows = 1 if axis is None else max(self.costs.shapes[name][axis], 1)
            total += (self.costs.bytes(self.view, name) or 0) // rows
        return total

    # -- where it may lie ----------------------------------------------------------------------------

    def _outside(self, cone: Cone) -> set[int]:
        """Nodes that are impure or depend on other inputs."""
        other = {
            i for i, names in enumerate(self.view.writes) if any(not self._cones.get(n, cone) <= cone for n in names)
        }
        return {*self._impure, *other}

    def _after_impure(self) -> tuple[set[int], set[str]]:
        """For a region behind the impure nodes: what stays outside, and what the region may read from there."""
        random = self._downstream(i for i, refusal in self._impure.items() if refusal.rule == "impure-random")
        before = self._upstream(self._impure)
        given = {n for i in before - random for n in self.view.writes[i] if can_be_hashed(self.view, n)}
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

    def _proof(self, hypothesis: Mapping[str, int]) -> RowProof:
        key = tuple(sorted(hypothesis.items()))
        if key not in self._proofs:
            self._proofs[key] = prove_rows(self.view, hypothesis)
        return self._proofs[key]

    def _why_not_rows(self, proof: RowProof, cone: Cone) -> list[Refusal]:
        names = (n for names in self.view.writes for n in names if self._cones.get(n, cone) <= cone)
        return [refusal for refusal in map(proof.refusal, names) if refusal is not None]


def _unknown_type(view: GraphView, index: int) -> Refusal:
    return Refusal("input-type", "it reads a graph input of a type that cannot be a key", view.label(index))


def _covered(inside: Sequence[Candidate]) -> set[int]:
    return {index for candidate in inside for index in candidate.region.nodes}


def _better(one: Candidate | None, two: Candidate | None) -> Candidate | None:
    if one is None or two is None:
        return one or two
    return two if two.saving > one.saving else one
