"""Choosing a region of prefixes: of what positions of a sequence are proven to have from earlier positions alone.

The region begins at the graph inputs. Where it ends is a minimum cut, as for rows: a position saves the time of its
nodes, and each tensor handed on has to be kept for all positions. A sequence is in use as a whole, so its bytes are
weighed against the store: keeping what takes a tenth of that has to save more than a tenth of the time.

What does not hold data of positions (sizes, position numbers, masks, what is the same for all of them) is computed on
both sides of the cut where both need it: :attr:`~actcache.passes.region.Region.shared`. No entry holds it. Where it
takes time and depends on no sequence, such as keys and values of an encoder's states, a region of its own may keep it:
the region of prefixes then reads what that one hands on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from actcache.passes.causal import Causal, CausalProof, prove_causal
from actcache.passes.causal.hypotheses import mask_hypotheses, position_hypotheses, time_first_hypotheses
from actcache.passes.choice.candidate import Candidate, can_be_hashed, can_be_kept, sized
from actcache.passes.choice.lookup_cost import at_its_price, copy_seconds_per_byte
from actcache.passes.choice.minimum_cut import Prices, best_closed_set
from actcache.passes.choice.skipping import Skipping
from actcache.passes.costs.cost import Costs
from actcache.passes.cuts import PrefixCut
from actcache.passes.graph.cones import cones, slices_without_elements
from actcache.passes.graph.constant_values import ReadTensor
from actcache.passes.graph.pasts import past_axes
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_frontier
from actcache.passes.refusal import Refusal
from actcache.passes.region import Region, with_private_constants
from actcache.passes.rewrite.suffix_past import Pasts
from actcache.passes.rewrite.suffix_plan import plan_states
from actcache.passes.rows import RowFree, RowProof, prove_rows, row_hypotheses

#: A less likely guess at the positions has to be better by this share of the time.
_MORE = 0.01


@dataclass(frozen=True)
class PrefixChoice:
    """What could be cached by prefixes.

    Attributes:
        candidate: The region; None: there is none.
        steps: Whether positions read earlier ones, and callers are handed results of positions, or those of the last
            one: they go on from there.
        refusals: What stands against it, or against a larger one.
        reasons: Why the model is causal, in sentences.
    """

    candidate: Candidate | None = None
    steps: bool = False
    refusals: tuple[Refusal, ...] = ()
    reasons: tuple[str, ...] = ()


def choose_prefix(
    view: GraphView,
    costs: Costs,
    impure: Mapping[int, Refusal],
    *,
    budget: int,
    name: str,
    everything: bool = False,
    read: ReadTensor | None = None,
    beside: Sequence[Candidate] = (),
) -> PrefixChoice:
    """Find the region of prefixes that saves most.

    Args:
        view: The model.
        costs: Time per node and shapes, on one sample.
        impure: Nodes that no region may contain.
        budget: Bytes of the store.
        name: Id of the region.
        everything: Take whatever is safe, whatever it saves.
        read: Reads constants that are stored outside the model.
        beside: Other regions that there could be. The nodes of those that read no sequence are left to them, and so are
            those that read the sizes of inputs for them.
    """
    refusals: dict[Refusal, None] = {}
    ahead: list[Refusal] = []
    best: PrefixChoice | None = None
    pasts = past_axes(view.model)
    for positions, ones, likely in _guesses(view, pasts):
        if ones and not ahead:
            continue  # the proof needs no mask to be open
        proof = prove_causal(view, positions, pasts=pasts, ones=ones, binary_masks=True, read=read)
        sequences = positions.keys() | pasts.keys()
        left = frozenset(i for other in beside if sequences.isdisjoint(other.cone) for i in other.region.moved)
        left |= frozenset(slices_without_elements(view).values())
        search = _Search(view, costs, impure, proof, positions, pasts, budget, everything, left)
        found = search.candidate(name)
        if not likely and (isinstance(found, Refusal) or not search.reads_earlier):
            continue
        if not ones:
            ahead = list(search.refusals())
        if isinstance(found, Refusal):
            refusals |= dict.fromkeys([] if ones else [found, *ahead])
        elif best is None or best.candidate is None or found.time_share > best.candidate.time_share + _MORE:
            best = PrefixChoice(
                found, search.steps(found.region), tuple(search.refusals()), (search.reason(found.region),)
            )
    if best is not None:
        return best
    if not refusals:
        reason = (
            "no input is a sequence of variable length: tokens [.., positions], or frames [batch, positions, values]"
        )
        refusals[Refusal("prefix-no-sequence", reason)] = None
    return PrefixChoice(refusals=tuple(refusals))


def _guesses(view: GraphView, pasts: Collection[str]) -> Iterator[tuple[dict[str, int], tuple[str, ...], bool]]:
    """Yield inputs with positions, those that may be masks (first each time none of them), and whether it is likely."""
    usual = position_hypotheses(view, pasts)
    for positions in usual:
        yield from ((positions, ones, True) for ones in mask_hypotheses(view, positions))
    yield from ((positions, (), False) for positions in time_first_hypotheses(view, pasts) if positions not in usual)


def _takes_last(view: GraphView, index: int, axis: int | None) -> bool:
    """Whether a node takes positions counted from the end."""
    node = view.model.graph.node[index]
    if node.op_type == "Gather":
        along = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    elif node.op_type == "Slice" and len(node.input) > 3:
        axes = view.value(node.input[3])
        along = int(axes[0]) if axes is not None and axes.size == 1 else -1
    else:
        return False
    first = view.value(node.input[1])
    return along == axis and first is not None and first.size == 1 and int(first.reshape(-1)[0]) < 0


def _listed(names: Sequence[str]) -> str:
    """Write ``2 tensors ('k', 'v')``; nothing, if there are none."""
    quoted = ", ".join(f"'{name}'" for name in names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{len(names)} tensors ({quoted})" if names else ""


class _Search:
    """Searches a region for one guess at the positions."""

    def __init__(
        self,
        view: GraphView,
        costs: Costs,
        impure: Mapping[int, Refusal],
        proof: CausalProof,
        positions: Mapping[str, int],
        pasts: Mapping[str, int],
        budget: int,
        everything: bool,
        left: frozenset[int],
    ) -> None:
        self.view, self.costs, self.impure, self.proof = view, costs, impure, proof
        self.positions, self.pasts, self.budget, self.everything = positions, pasts, budget, everything
        without_data = frozenset(self._without_data())
        self.free = Skipping(view, without_data)
        self.copied = Skipping(view, without_data - left)
        self.left = Skipping(view, without_data & left)
        self.cones = cones(view)
        self.reads_earlier = False  # the region that was found: positions read what others have

    def candidate(self, name: str) -> Candidate | Refusal:
        """Return the region that saves most, or why there is none."""
        outside = self._outside()
        seen: dict[frozenset[int], Candidate | Refusal] = {}

        def best(entry_bytes: float) -> Candidate | Refusal:
            inside = best_closed_set(self.free, self._prices(entry_bytes), outside, ())
            if inside not in seen:
                seen[inside] = self._candidate(name, inside)
            return seen[inside]

        return at_its_price(best, lambda found: 0.0 if isinstance(found, Refusal) else found.entry_bytes)

    def _candidate(self, name: str, inside: frozenset[int]) -> Candidate | Refusal:
        """Return a region of these nodes, or why there is none."""
        region = self._region(name, inside)
        if isinstance(region, Refusal):
            return region
        rows = {name: axis for name, axis in region.frontier_axes.items() if axis is not None}
        cone = sorted(self._cone(region.frontier))
        given = {name: axis for name, axis in rows.items() if name in cone}
        return sized(self.view, self.costs, region, self._entries(rows), cone, given)

    def refusals(self) -> Iterator[Refusal]:
        """Yield where the model looks ahead, each place once."""
        found = (self.proof.refusal(name) for names in self.view.writes for name in filter(self._looks_ahead, names))
        yield from dict.fromkeys(refusal for refusal in found if refusal is not None)

    def steps(self, region: Region) -> bool:
        """Whether positions read others, and results of positions are handed out, or those of the last one."""
        if not (self.reads_earlier or region.pasts):
            return False
        if any(self.proof.position_axis(name) is not None for name in self.view.outputs):
            return True
        axes = {name: self.proof.position_axis(name) for name in region.live_outs}
        return any(_takes_last(self.view, i, axes[n]) for n in axes for i in self.view.consumers.get(n, ()))

    def reason(self, region: Region) -> str:
        """Say why the region is causal."""
        where = ", ".join(f"axis {axis} of '{name}'" for name, axis in region.positions.items())
        kept = _listed([state for state in region.states if state not in region.ends]) or "nothing beside results"
        if region.ends:
            kept += (
                f"; at the end of each call: {_listed(list(region.ends))}, so calls go on where an earlier call ended"
            )
        apart = any(axis is not None for axis in region.frontier_axes.values())
        rows = "each row of the batch by itself" if apart else "the batch as a whole"
        said = f"region '{region.id}' is causal along {where}, {rows}; kept of earlier positions for later ones: {kept}"
        if region.ones:
            said += f"; calls in which '{region.ones[0]}' is not 1 everywhere are not cached"
        if not region.pasts:
            return said
        axis = region.pasts[first := next(iter(region.pasts))]
        return f"{said}; calls that go on from others (axis {axis} of '{first}' is not empty) are not cached"

    # -- the cut ---------------------------------------------------------------------------------------

    def _without_data(self) -> Iterator[int]:
        """Yield the nodes whose results hold no data of positions, and that anyone may compute for himself."""
        impure_reads: set[str] = set()
        for index, names in enumerate(self.view.writes):
            if index in self.impure or impure_reads.intersection(self.view.reads[index]):
                impure_reads.update(names)
            elif names and not self.view.constants.issuperset(names) and all(map(self._is_without_data, names)):
                yield index

    def _is_without_data(self, name: str) -> bool:
        return not isinstance(self.proof.state(name), Causal) and self.proof.refusal(name) is None

    def _outside(self) -> set[int]:
        """The nodes that the region cannot have."""
        unknown = {n for n in self.view.inputs if not can_be_hashed(self.view, n)}
        found = {i for i, names in enumerate(self.free.reads) if unknown.intersection(names)}
        ahead = {i for i, names in enumerate(self.view.writes) if any(map(self._looks_ahead, names))}
        return {*self.impure, *ahead, *found}

    def _looks_ahead(self, name: str) -> bool:
        """Whether a tensor that somebody reads keeps its node out of the region."""
        read = bool(self.view.consumers.get(name)) or name in self.view.outputs
        return read and self.proof.refusal(name) is not None and self.proof.last(name) is None

    def _prices(self, entry_bytes: float) -> Prices:
        per_byte = copy_seconds_per_byte(entry_bytes) + self.costs.total / self.budget
        keep: dict[str, float] = {}
        for name in (name for names in self.free.writes for name in names):
            size = self.costs.bytes(self.view, name)
            if self.proof.last(name) is not None:
                keep[name] = 0.0  # of one position in a call
            if size is None or self.proof.position_axis(name) is None or not can_be_kept(self.view, name):
                continue
            keep[name] = size * (1e-15 if self.everything else per_byte)
        return Prices(self.costs.seconds, keep)

    # -- the region ------------------------------------------------------------------------------------

    def _region(self, name: str, inside: frozenset[int]) -> Region | Refusal:
        """Complete a set of nodes: with what holds no data, frontier, live-outs, states and axes."""
        reads = {read for index in inside for read in self.view.reads[index]}
        copied = self.copied.needed(reads)
        others = [n for i, names in enumerate(self.view.reads) if i not in inside and i not in copied for n in names]
        around = self.copied.needed([*others, *self.view.outputs])
        read = {*self.view.outputs, *others, *(n for i in around for n in self.view.reads[i])}
        given = [n for i in sorted(inside) for n in self.view.writes[i] if n in read]
        if not given:
            return Refusal("not-worth", "keeping results of positions would cost more than it saves", name)
        outs, finals = self._apart(given)
        shared = frozenset(copied & around)
        nodes = with_private_constants(self.view, frozenset(inside | copied) - shared) | shared
        pasts = Pasts(self.view, self.proof, nodes)
        outs.sort(key=lambda out: pasts.is_read_whole(out))  # the branch hands on the last of them itself
        behind = self._behind(nodes, [*outs, *finals])
        frontier = self._telling(canonical_frontier(self.view, nodes | behind, [*outs, *finals]))
        states = plan_states(self.view, nodes, frontier, [*outs, *finals], self.proof)
        if isinstance(states, Refusal):
            return states
        if not self.proof.is_told_by(frontier):
            return Refusal("prefix-untold", "what the region reads does not tell whether the proof holds", name)
        self.reads_earlier = states.are_read
        own = [state for state in states.earlier if state not in outs]
        like = [*own, *(end.like for end in states.ends.values())]
        unkept = [state for state in like if not can_be_kept(self.view, state)]
        if unkept:
            return Refusal("output-type", f"results of the type of '{unkept[0]}' are not cached", name)
        handed = {n for i in nodes for n in self.view.reads[i] if self.view.producer.get(n) in behind}
        rows = self._rows(frontier, [*outs, *like], handed)
        ends = list(states.ends.values())
        cut = PrefixCut.proven(self.proof, rows, frontier, [*outs, *own], len(own), self.positions, ends)
        if not states.ends.keys().isdisjoint(states.finals.values()):
            cut = replace(cut, ends_handed_on=True)
        return Region(
            name,
            nodes,
            tuple(frontier),
            tuple(outs),
            cut,
            states=(*own, *states.ends),
            ends=states.ends,
            finals=states.finals,
            shared=shared,
            behind=behind,
            positions=self.positions,
            pasts={past: axis for past, axis in self.pasts.items() if past in frontier},
            ones=self.proof.ones_inputs,
            told=self.proof.told,
        )

    def _behind(self, nodes: frozenset[int], given: Sequence[str]) -> frozenset[int]:
        """Return what is left to other regions of what computes the frontier, if hashing what that reads takes less:
        an encoder's states, say, and not the keys and values that are made of them for each layer.
        """
        near = canonical_frontier(self.view, nodes, given)
        behind = frozenset(self.left.needed(near))
        far = canonical_frontier(self.view, nodes | behind, given)
        return (
            behind if self._bytes(set(far).difference(near)) < self._bytes(set(near).difference(far)) else frozenset()
        )

    def _bytes(self, names: Collection[str]) -> int:
        return sum(self.costs.bytes(self.view, name) or 0 for name in names)

    def _apart(self, given: Sequence[str]) -> tuple[list[str], list[str]]:
        """Tell what has positions from what is remembered behind the last one. The operators need something that has
        positions, and those of what no end is equal to.
        """
        last = {name: found for name in given if (found := self.proof.last(name)) is not None}
        outs = [name for name in given if name not in last]
        needed = [found.of for found in last.values() if not found.what]
        needed += [found.of for found in last.values()][: 0 if outs or needed else 1]
        return list(dict.fromkeys([*outs, *needed])), list(last)

    def _telling(self, frontier: Sequence[str]) -> tuple[str, ...]:
        """Return a frontier that tells whether the proof holds, with graph inputs for that alone where need be."""
        if self.proof.is_told_by(frontier):
            return tuple(frontier)
        return (*frontier, *sorted(self._cone(frontier).difference(frontier)))

    def _rows(self, frontier: Collection[str], kept: Collection[str], handed: Collection[str] = ()) -> RowProof | None:
        """Return what proves that rows of the batch have beginnings of their own, if that is so.

        Args:
            frontier: What their keys are made of.
            kept: What their entries hold.
            handed: What the region reads besides.
        """
        for axes in row_hypotheses(self.view, self._cone(frontier)):
            if any(self.positions.get(name) == axis for name, axis in axes.items()):
                continue
            unread = frozenset(self.view.inputs).difference(frontier)
            proof = prove_rows(self.view, axes, positions=self.positions, pasts=self.pasts, unread=unread)
            read = (*frontier, *handed)
            told = all(proof.row_axis(n) is not None or isinstance(proof.state(n), RowFree) for n in read)
            if told and proof.is_told_by(frontier) and all(proof.row_axis(name) is not None for name in kept):
                return proof
        return None

    def _cone(self, names: Collection[str]) -> frozenset[str]:
        """Return the graph inputs that tensors depend on."""
        return frozenset().union(*(self.cones.get(name, frozenset()) for name in names))

    def _entries(self, rows: Mapping[str, int]) -> int:
        """Return how many positions the sample had, those of all rows together."""
        count = 1
        for axes in (self.positions, rows):
            sizes = [self.costs.shapes[name][axis] for name, axis in axes.items() if name in self.costs.shapes]
            count *= max([1, *sizes])
        return count
