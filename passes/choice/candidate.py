"""A candidate: a region that could be cached, with what it would save and cost."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import onnx

from actcache.passes.choice.lookup_cost import HASH_SECONDS_PER_BYTE, LOOKUP_SECONDS, copy_seconds_per_byte
from actcache.passes.costs.cost import Costs
from actcache.passes.cuts import RowCut, WholeCut
from actcache.passes.graph.cones import content_cones
from actcache.passes.graph.nodes import element_bits
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_frontier
from actcache.passes.refusal import Refusal
from actcache.passes.region import Region, live_outs, with_private_constants
from actcache.passes.rows import RowProof

#: A region has to save this many times what its lookup costs.
WORTH = 3.0


@dataclass(frozen=True)
class Candidate:
    """A region that could be cached.

    Attributes:
        region: The region.
        saving: Seconds saved per hit, before the cost of the lookup; what the regions inside it save does not count.
        time_share: Share of the model's time that lies in the region.
        rows: How many entries the sample was: its rows, the positions of all of them for ``prefix``, 1 for ``tensor``.
        read_bytes: Bytes of the frontier, per entry.
        entry_bytes: Bytes of the live-outs and states, per entry.
        cone: Graph inputs whose contents its frontier depends on.
        row_axes: Graph input to its row axis, for granularities ``row`` and ``prefix``.
        kept_bytes: Bytes of each live-out and state, per entry; those of unknown size are not in it. Of ends, of which
            the last entry of a call has one, the mean over all entries of the sample.
    """

    region: Region
    saving: float
    time_share: float
    rows: int
    read_bytes: float
    entry_bytes: float
    cone: tuple[str, ...]
    row_axes: Mapping[str, int] = field(default_factory=dict)
    kept_bytes: Mapping[str, float] = field(default_factory=dict)

    @property
    def overhead(self) -> float:
        """Seconds that the lookup of one entry costs in a call like the sample."""
        return LOOKUP_SECONDS / self.rows + self.entry_overhead

    @property
    def entry_overhead(self) -> float:
        """Seconds that each further entry adds to a lookup: its hash and its copies."""
        copies = self.entry_bytes * copy_seconds_per_byte(self.entry_bytes)
        return self.read_bytes * HASH_SECONDS_PER_BYTE + copies

    @property
    def break_even(self) -> float:
        """Share of entries that have to be found for the region to save more time than its lookups cost."""
        return self.overhead / self.saving if self.saving > 0 else math.inf


def describe(
    view: GraphView,
    costs: Costs,
    nodes: frozenset[int],
    proof: RowProof | None,
    name: str,
    covered: Collection[int] = (),
) -> Candidate:
    """Complete a set of nodes to a candidate: frontier, live-outs, axes, saving and sizes.

    Args:
        view: The model.
        costs: Costs on the sample.
        nodes: Indices of the region's nodes.
        proof: What proves the rows; None for ``tensor``.
        name: Id of the region.
        covered: Nodes of regions inside this one, whose time does not count as saved by it.
    """
    nodes = with_private_constants(view, nodes)
    outs = live_outs(view, nodes)
    frontier = canonical_frontier(view, nodes, outs)
    cut = RowCut.proven(proof, frontier, outs) if proof else WholeCut.of(len(frontier), len(outs))
    region = Region(name, nodes, tuple(frontier), tuple(outs), cut)
    by_tensor = content_cones(view)
    cone = sorted(set().union(*(by_tensor.get(n, frozenset()) for n in frontier)))
    inputs = ((n, proof.row_axis(n)) for n in cone) if proof else ()
    row_axes = {n: axis for n, axis in inputs if axis is not None}
    return sized(view, costs, region, row_count(costs, region), cone, row_axes, covered)


def sized(
    view: GraphView,
    costs: Costs,
    region: Region,
    entries: int,
    cone: Collection[str],
    row_axes: Mapping[str, int],
    covered: Collection[int] = (),
) -> Candidate:
    """Return a region as a candidate: with what it saves and costs.

    Args:
        view: The model.
        costs: Costs on the sample.
        region: The region.
        entries: How many entries the sample was.
        cone: Graph inputs that its frontier depends on.
        row_axes: Those of them that have rows, with their axes.
        covered: Nodes of regions inside this one, whose time does not count as saved by it.
    """
    seconds = sum(costs.seconds[i] for i in region.moved)
    saved = seconds - sum(costs.seconds[i] for i in covered if i in region.nodes)
    read = sum(costs.bytes(view, n) or 0 for n in region.frontier) / entries
    kept = {n: size for n in region.kept if (size := _entry_bytes(view, costs, region, n, entries)) is not None}
    share = seconds / max(costs.total, 1e-12)
    kept_bytes = sum(kept.values())
    return Candidate(region, saved / entries, share, entries, read, kept_bytes, tuple(cone), row_axes, kept)


def _entry_bytes(view: GraphView, costs: Costs, region: Region, name: str, entries: int) -> float | None:
    """Return what an entry has of a live-out or state: of an end, which one entry of a call has, its share in that."""
    size, end = costs.bytes(view, region.like(name)), region.ends.get(name)
    if size is None or end is None or end.stacked:
        return None if size is None else size / entries
    positions = [costs.shapes[read][axis] for read, axis in region.positions.items() if read in costs.shapes]
    return size / entries / max([1, *positions])


def needed_saving(candidate: Candidate, min_saving: float | None) -> float:
    """Return the seconds that a hit has to save; arguments as :func:`worth`."""
    return WORTH * candidate.overhead if min_saving is None else min_saving


def worth(candidate: Candidate, min_saving: float | None) -> Refusal | None:
    """Return why a candidate does not pay for its lookup, or None if it does.

    Args:
        candidate: The candidate.
        min_saving: Seconds that a hit has to save; None: :data:`WORTH` times what its lookup costs.
    """
    needed = needed_saving(candidate, min_saving)
    if candidate.saving >= needed:
        return None
    reason = (
        f"a hit would save {candidate.saving * 1e3:.3f} ms, less than the {needed * 1e3:.3f} ms that make a region of "
        f"granularity '{candidate.region.granularity}' worth its lookup (--min-saving)"
    )
    return Refusal("not-worth", reason, candidate.region.id)


def row_count(costs: Costs, region: Region) -> int:
    """Return how many rows the sample had, 1 for granularity ``tensor``."""
    for name, axis in region.compact_axes().items():
        shape = costs.shapes.get(name)
        if shape is not None and region.granularity == "row":
            return max(shape[axis], 1)
    return 1


def can_be_kept(view: GraphView, name: str) -> bool:
    """Whether a tensor can be a live-out: of a known fixed-size type whose elements are whole bytes."""
    dtype = view.dtype(name)
    return dtype is not None and element_bits(dtype) >= 8


def can_be_hashed(view: GraphView, name: str) -> bool:
    """Whether a tensor can be in a frontier: of a type that the operators know (up to int4, and strings)."""
    dtype = view.dtype(name)
    return dtype is not None and dtype <= onnx.TensorProto.INT4
