"""Regions for one cone: which nodes, by rows or by whole calls, from which start."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from actcache.passes.choice.bits import BitRules
from actcache.passes.choice.candidate import Candidate, can_be_hashed, can_be_kept, describe
from actcache.passes.choice.lookup_cost import at_its_price, copy_seconds_per_byte
from actcache.passes.choice.minimum_cut import Prices, best_closed_set
from actcache.passes.choice.region_starts import Start, behind_cheap, behind_impure
from actcache.passes.choice.trace_keys import Place
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.cones import content_cones, slices_without_elements
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.region import live_outs
from actcache.passes.rows import RowFree, RowProof, prove_rows, row_hypotheses, with_namesakes
from actcache.passes.rows.sizes import ZERO

#: Share of the model's time that keeping one byte per entry is taken to cost, beside its copies: a megabyte has to save
#: a tenth. It stands for the entries that it pushes out of the budget, and does not move with the load of the machine.
SHARE_PER_BYTE = 0.1 / 2**20
#: A region of some of the inputs is there for those that stay while the others change (an encoded text while a decoder
#: writes, an image under many prompts): few of its entries are in use at a time.
CONE_DISCOUNT = 0.1
#: Where that leaves nothing, a region is still taken if one entry is no larger than this.
LARGEST_ENTRY = 16 << 20
#: Entries of a region of some of the inputs may also be as large as this share of the budget: such as keys and values,
#: for all layers of a decoder, of an encoder's states.
LARGEST_SHARE = 0.25

Cone = frozenset[str]


class _Kept(NamedTuple):
    """A tensor that may be kept: its bytes in a call, and how many entries have them."""

    size: int
    entries: int

    @property
    def entry_bytes(self) -> float:
        return self.size / self.entries


class Search:
    """Searches regions of one model.

    Args:
        view: The model.
        costs: Time per node and shapes, on one sample.
        impure: Nodes that no region may contain.
        everything: Take whatever is safe, whatever it saves.
        bits: Where regions may lie.
        budget: Bytes of the store.
    """

    def __init__(
        self,
        view: GraphView,
        costs: Costs,
        impure: Mapping[int, Refusal],
        *,
        everything: bool,
        bits: BitRules | None = None,
        budget: int = 256 << 20,
    ) -> None:
        self.budget = budget
        self.view, self.costs, self.everything, self._bits = view, costs, everything, bits or BitRules()
        unknown = {n for n in view.inputs if not can_be_hashed(view, n)}
        unread = {i for i, reads in enumerate(view.reads) if unknown.intersection(reads)}
        self._impure = {**{i: _unknown_type(view, i) for i in unread}, **impure}
        self._row_barriers = {**self._bits.barriers, **self._impure}
        self._cones = content_cones(view)
        self._sizes = slices_without_elements(view)
        self._proofs: dict[tuple[object, ...], RowProof] = {}

    # -- granularities -------------------------------------------------------------------------------

    def by_rows(self, cone: Cone, name: str, inside: Sequence[Candidate], refusals: list[Refusal]) -> Candidate | None:
        """Return the row region that saves most per hit; arguments as :meth:`row_candidates`."""
        found = self.row_candidates(cone, name, inside, refusals, self.starts(cone), self.shares(cone))
        return max(found, key=lambda c: c.saving, default=None)

    def by_tensor(self, cone: Cone, name: str, inside: Sequence[Candidate]) -> Candidate | None:
        """Return the region of granularity ``tensor`` that saves most per hit; arguments as :meth:`row_candidates`."""
        found = self.tensor_candidates(cone, name, inside, self.starts(cone), self.shares(cone))
        return max(found, key=lambda c: c.saving, default=None)

    def row_candidates(
        self,
        cone: Cone,
        name: str,
        inside: Sequence[Candidate],
        refusals: list[Refusal],
        starts: Sequence[Start],
        shares: Sequence[float],
    ) -> list[Candidate]:
        """Return row regions, for every hypothesis about which axis of which input is the batch.

        Args:
            cone: Graph inputs; the regions' nodes depend on no others.
            name: Id of the regions.
            inside: Regions already chosen; each is inside as a whole, or not at all.
            refusals: Reasons against rows are added here.
            starts: Where the regions may begin.
            shares: Prices of a byte that is kept (:data:`SHARE_PER_BYTE`): one region for each.
        """
        found: list[Candidate] = []
        reasons: list[Refusal] = []
        hypotheses = row_hypotheses(self.view, cone)
        for hypothesis in hypotheses:
            proof = self._proof(hypothesis)
            for start in starts:
                within = self._behind(start, hypothesis) if start.given else (proof, start)
                found += self._rows(*within, name, inside, shares)
            if self._why_not_rows(proof, cone):  # names of sizes may help, but have to hold in every call
                proof = self._proof(hypothesis, named_sizes=True)
                found += [c for start in starts[:1] for c in self._rows(proof, start, name, inside, shares)]
            if hypothesis == hypotheses[0] or not found:
                reasons += self._why_not_rows(proof, cone)
        if self._row_barriers and cone == frozenset(self.view.inputs):
            start = behind_impure(self.view, self._row_barriers)
            tensors = {tensor: 0 for tensor in start.given if self.view.shape(tensor)}
            proof = prove_rows(self.view, {}, row_tensors=tensors, unread=self._unread(start))
            found += self._rows(proof, start, name, inside, shares)
        if not hypotheses:
            reason = f"none of the inputs {', '.join(sorted(cone))} has an axis of variable size that could be a batch"
            reasons.append(Refusal("rows-no-batch", reason))
        refusals += [r for r in dict.fromkeys(reasons) if r not in refusals]
        return self._fitting(cone, found)

    def tensor_candidates(
        self, cone: Cone, name: str, inside: Sequence[Candidate], starts: Sequence[Start], shares: Sequence[float]
    ) -> list[Candidate]:
        """Return regions of granularity ``tensor``; arguments as :meth:`row_candidates`."""
        every = list(starts)
        if self._impure and cone == frozenset(self.view.inputs):
            every.append(behind_impure(self.view, self._impure))
        covered = _covered(inside)
        sets = [nodes for start in every for nodes in self._cuts(None, start, (), inside, shares)]
        return self._fitting(cone, [describe(self.view, self.costs, nodes, None, name, covered) for nodes in sets])

    def starts(self, cone: Cone) -> list[Start]:
        """Return the start of the regions of a cone that begin at its inputs, and at sizes of others."""
        outside = self._outside(cone)
        return [Start(frozenset(outside), frozenset(name for name, i in self._sizes.items() if i in outside))]

    def cheap_starts(self, cone: Cone) -> list[Start]:
        """Return starts behind the cheap nodes of a cone."""
        return behind_cheap(self.view, self.costs, self._outside(cone))

    def places(self, cone: Cone) -> set[Place]:
        """Return the places where regions of a cone may read: those that a recording needs hashes of."""
        found = {Place(name) for name in cone}
        hypotheses = row_hypotheses(self.view, cone)
        found |= {Place(name, axis) for hypothesis in hypotheses for name, axis in hypothesis.items()}
        given = {name for start in (*self.starts(cone), *self.cheap_starts(cone)) for name in start.given}
        if self._row_barriers and cone == frozenset(self.view.inputs):
            behind = behind_impure(self.view, self._row_barriers).given
            found |= {
                Place(name, axis) for name in behind for axis in ((None, 0) if self.view.shape(name) else (None,))
            }
        for name in given:
            proofs = (self._proof(self._with_sizes(hypothesis, [name])) for hypothesis in hypotheses)
            axes = {proof.row_axis(name) for proof in proofs}
            found |= {Place(name, axis) for axis in (*axes, None)}
        return found

    def _rows(
        self, proof: RowProof, start: Start, name: str, inside: Sequence[Candidate], shares: Sequence[float]
    ) -> list[Candidate]:
        mixed = {i for i, names in enumerate(self.view.writes) if any(proof.refusal(n) for n in names)}
        mixed.update(i for i in self._bits.barriers if any(proof.row_axis(n) is not None for n in self.view.writes[i]))
        covered = _covered(inside)
        sets = self._cuts(proof, start, mixed, inside, shares)
        found = [describe(self.view, self.costs, nodes, proof, name, covered) for nodes in sets]
        return [c for c in found if _holds(proof, c)]

    def _behind(self, start: Start, hypothesis: Mapping[str, int]) -> tuple[RowProof, Start]:
        """Prove rows again, of what is read at a start: the proof must be about the frontier's own rows.

        What is neither rows nor free of them cannot be read there: computed outside for the whole batch, it is not what
        the region would have for the rows that are left.
        """
        hypothesis = self._with_sizes(hypothesis, start.given)
        proof = self._proof(hypothesis)
        readable = frozenset(name for name in start.given if _may_be_read(proof, name))
        axes = {name: proof.row_axis(name) for name in readable}
        tensors = {name: axis for name, axis in axes.items() if axis is not None}
        unread = self._unread(start)
        inputs = {name: axis for name, axis in hypothesis.items() if name not in unread}
        proof = prove_rows(self.view, inputs, row_tensors=tensors, unread=unread)
        return proof, replace(start, given=readable)

    def _with_sizes(self, hypothesis: Mapping[str, int], given: Collection[str]) -> Mapping[str, int]:
        """Add inputs of which sizes are read at a start: as many rows, on axes of the same name, or else the first."""
        sized = self._sizes.keys() & given
        found = dict(with_namesakes(self.view, hypothesis) if sized else hypothesis)
        for name in sorted(sized):
            first = (self._proof({}).shape(name) or (ZERO,))[0]
            if first.value is None:
                found.setdefault(self.view.reads[self._sizes[name]][0], 0)
        return found

    def _unread(self, start: Start) -> frozenset[str]:
        """The graph inputs that no region with this start reads."""
        read = {n for i, names in enumerate(self.view.reads) if i not in start.outside for n in names}
        return frozenset(self.view.inputs) - read

    # -- the cut -------------------------------------------------------------------------------------

    def _cuts(
        self,
        proof: RowProof | None,
        start: Start,
        mixed: Collection[int],
        inside: Sequence[Candidate],
        shares: Sequence[float],
    ) -> list[frozenset[int]]:
        """The best set of nodes for every price of a byte. Where none leaves any, the best one by its copies alone."""
        atoms = [candidate.region.nodes for candidate in inside]
        outside = {*start.outside, *mixed}
        given = {name for name in start.given if self._bits.may_be_edge(name)}
        covered = _covered(inside)
        kept = self._kept(proof)

        def entry_bytes(nodes: frozenset[int]) -> float:
            return sum(kept[name].entry_bytes for name in live_outs(self.view, nodes))

        found: list[frozenset[int]] = []
        for share in shares:

            def best(size: float, share: float = share) -> frozenset[int]:
                return best_closed_set(self.view, self._prices(kept, share, size, covered), outside, given, atoms)

            nodes = at_its_price(best, entry_bytes)
            if nodes not in found and live_outs(self.view, nodes):  # else nothing reads them: there is nothing to keep
                found.append(nodes)
        if not found and 0.0 not in shares:
            found = self._cuts(proof, start, mixed, inside, (0.0,))
        return found

    def _kept(self, proof: RowProof | None) -> dict[str, _Kept]:
        """What may be kept: rows only, given a proof."""
        kept: dict[str, _Kept] = {}
        for name in (n for names in self.view.writes for n in names):
            size = self.costs.bytes(self.view, name)
            axis = proof.row_axis(name) if proof else None
            if size is None or not can_be_kept(self.view, name) or (proof is not None and axis is None):
                continue
            if not self._bits.may_be_edge(name):
                continue
            kept[name] = _Kept(size, 1 if axis is None else max(self.costs.shapes[name][axis], 1))
        return kept

    def _prices(
        self, kept: Mapping[str, _Kept], share_per_byte: float, entry_bytes: float, covered: Collection[int]
    ) -> Prices:
        """Prices of one call whose entries have about so many bytes."""
        copies, share = copy_seconds_per_byte(entry_bytes), self.costs.total * share_per_byte
        keep = {
            name: size * 1e-15 if self.everything else size * (copies + share / entries)
            for name, (size, entries) in kept.items()
        }
        seconds = [0.0 if i in covered else s for i, s in enumerate(self.costs.seconds)]
        return Prices(seconds, keep)

    def _fitting(self, cone: Cone, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Leave out candidates whose entries are too large, or whose region another one has."""
        partly = cone != frozenset(self.view.inputs)
        largest = max(LARGEST_ENTRY, LARGEST_SHARE * self.budget if partly else 0)
        return _distinct([c for c in candidates if self.everything or c.entry_bytes <= largest])

    # -- where it may lie ----------------------------------------------------------------------------

    def shares(self, cone: Cone) -> tuple[float, ...]:
        """Prices of a byte where no trace says what the budget has to hold.

        Of some of the inputs, what takes a tenth of the store also has to save a tenth of the time only: how long the
        others are in the sample, and so how long the model takes, says little about the calls in which these stay.
        """
        if self.everything:
            return (0.0,)
        if cone == frozenset(self.view.inputs):
            return (SHARE_PER_BYTE,)
        discounted = SHARE_PER_BYTE * CONE_DISCOUNT
        return (discounted, min(discounted, 1 / max(1, self.budget)))

    def _outside(self, cone: Cone) -> set[int]:
        """Nodes that are impure or depend on other inputs."""
        other = {
            i for i, names in enumerate(self.view.writes) if any(not self._cones.get(n, cone) <= cone for n in names)
        }
        sizes = {i for i in self._sizes.values() if not cone.issuperset(self.view.reads[i][:1])}
        return {*self._impure, *other, *sizes}

    def _proof(self, hypothesis: Mapping[str, int], *, named_sizes: bool = False) -> RowProof:
        key = (named_sizes, *sorted(hypothesis.items()))
        if key not in self._proofs:
            self._proofs[key] = prove_rows(self.view, hypothesis, named_sizes=named_sizes)
        return self._proofs[key]

    def _why_not_rows(self, proof: RowProof, cone: Cone) -> list[Refusal]:
        names = (n for names in self.view.writes for n in names if self._cones.get(n, cone) <= cone)
        return [refusal for refusal in map(proof.refusal, names) if refusal is not None]


def _unknown_type(view: GraphView, index: int) -> Refusal:
    return Refusal("input-type", "it reads a graph input of a type that cannot be a key", view.label(index))


def _covered(inside: Sequence[Candidate]) -> set[int]:
    return {index for candidate in inside for index in candidate.region.nodes}


def _may_be_read(proof: RowProof, name: str) -> bool:
    return proof.row_axis(name) is not None or isinstance(proof.state(name), RowFree)


def _holds(proof: RowProof, candidate: Candidate) -> bool:
    """Whether the frontier has rows, may be read, and tells whether a call is one that the proof is about."""
    region = candidate.region
    readable = all(_may_be_read(proof, name) for name in region.frontier)
    return bool(region.compact_axes()) and readable and proof.is_told_by(region.frontier)


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Leave out candidates whose region another one has."""
    found: dict[tuple[object, ...], Candidate] = {}
    for candidate in candidates:
        region = candidate.region
        found.setdefault(
            (region.nodes, region.granularity, region.cut.frontier_axes, region.cut.live_out_axes), candidate
        )
    return list(found.values())
