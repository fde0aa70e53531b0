"""A region: the convex set of nodes that a cache hit skips, with what it reads and what it hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from actcache.passes.cuts import Cut, End, Granularity
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows import RowFree, RowProof


@dataclass(frozen=True)
class Region:
    """What the outliner moves behind a lookup.

    Attributes:
        id: Name of the region in the manifest, the statistics and the operators.
        nodes: Indices of its nodes in the main graph; constant nodes come along only when nobody else reads them.
        frontier: Tensors that it reads and that are not constants, in canonical order.
        live_outs: Tensors that it writes and that the rest of the model, or the host, reads.
        cut: How its calls are divided into what entries hold.
        filled: The nodes to which :attr:`~actcache.passes.cuts.Cut.min_units` applies, where not all have to compute
            more rows: by the first tensor that each writes, the tensors with rows that it reads and writes, with
            their axes (:mod:`actcache.passes.rewrite.fill_up`). Empty: it applies to all.
        inner_axes: Tensors that are written and read inside, each with the axis that holds exactly the rows, or None if
            it has none; of others it is not known.
        states: For prefixes: tensors inside that later positions read of earlier ones. Entries hold them, too.
        ends: The last of the states, which are none of the model's tensors: what is known behind the last position of a
            call alone, each with what it is like.
        finals: For prefixes: what it writes, besides live-outs, of what is known behind the last position of a call
            alone, and others read: each with the end that is equal to it, or the live-out that is at its last position.
        shared: Those of its nodes that the rest of the model needs, too. They stay; the branch has copies.
        behind: For prefixes: nodes that it does not have, but whose results it reads. The frontier has what they are
            computed from in place of their results, which may be large: so its keys cover these nodes, too.
        positions: For prefixes: frontier tensors with positions, each with their axis; what it is causal along.
        pasts: For prefixes: frontier tensors with positions of earlier calls, each with their axis. Calls that have any
            are computed without the cache.
        ones: For prefixes: masks with positions. Calls in which they are not 1 everywhere are computed without it, too.
        told: For prefixes: :attr:`~actcache.passes.causal.analysis.CausalProof.told`. Sessions in which these constants
            have other values compute it without the cache.
    """

    id: str
    nodes: frozenset[int]
    frontier: tuple[str, ...]
    live_outs: tuple[str, ...]
    cut: Cut
    filled: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    inner_axes: Mapping[str, int | None] = field(default_factory=dict)
    states: tuple[str, ...] = ()
    ends: Mapping[str, End] = field(default_factory=dict)
    finals: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[int] = frozenset()
    behind: frozenset[int] = frozenset()
    positions: Mapping[str, int] = field(default_factory=dict)
    pasts: Mapping[str, int] = field(default_factory=dict)
    ones: tuple[str, ...] = ()
    told: frozenset[str] = frozenset()

    @property
    def granularity(self) -> Granularity:
        """What one entry covers."""
        return self.cut.granularity

    @property
    def frontier_axes(self) -> Mapping[str, int | None]:
        """Per frontier tensor the row axis, or None: it enters every row's key."""
        return dict(zip(self.frontier, self.cut.frontier_axes, strict=True))

    @property
    def live_out_axes(self) -> Mapping[str, int | None]:
        """Per live-out and state the row axis (None for granularity ``tensor``)."""
        return dict(zip(self.kept, self.cut.live_out_axes, strict=True))

    @property
    def moved(self) -> frozenset[int]:
        """Its nodes that only the branch has."""
        return self.nodes - self.shared

    @property
    def keyed(self) -> frozenset[int]:
        """The nodes between its frontier and its results, which its keys cover."""
        return self.nodes | self.behind

    @property
    def kept(self) -> tuple[str, ...]:
        """What an entry holds: live-outs, then states."""
        return (*self.live_outs, *self.states)

    @property
    def handed_on(self) -> tuple[str, ...]:
        """What the rest of the model, or the host, reads: live-outs, then finals."""
        return (*self.live_outs, *self.finals)

    def like(self, name: str) -> str:
        """Return the model's tensor whose type something kept has: itself, but for ends."""
        return self.ends[name].like if name in self.ends else name

    def compact_axes(self) -> dict[str, int]:
        """Return the frontier tensors that the lookup hands on without what was found, each with the axis of that."""
        axes = zip(self.frontier, self.cut.compact_axes, strict=True)
        return {name: axis for name, axis in axes if axis is not None}


def live_outs(view: GraphView, nodes: frozenset[int]) -> list[str]:
    """Return what `nodes` write and others, or the host, read; in the order of the graph."""
    outputs = set(view.outputs)
    found = []
    for index in sorted(nodes):
        for name in view.writes[index]:
            if name in outputs or any(c not in nodes for c in view.consumers.get(name, ())):
                found.append(name)
    return found


def inner_axes(view: GraphView, region: Region, proof: RowProof) -> dict[str, int | None]:
    """Return where a region's own tensors have their rows (:attr:`Region.inner_axes`)."""
    written = {name for index in region.nodes for name in view.writes[index]} - set(region.live_outs)
    axes = {name: proof.row_axis(name) for name in written}
    return {name: a for name, a in axes.items() if a is not None or isinstance(proof.state(name), RowFree)}


def with_private_constants(view: GraphView, nodes: frozenset[int]) -> frozenset[int]:
    """Add the constant nodes that only `nodes` read, and take away those that others read too."""
    result = {i for i in nodes if not _is_constant(view, i)}
    outputs = set(view.outputs)
    for index in range(len(view.writes) - 1, -1, -1):
        if not _is_constant(view, index) or any(name in outputs for name in view.writes[index]):
            continue
        readers = [c for name in view.writes[index] for c in view.consumers.get(name, ())]
        if readers and result.issuperset(readers):
            result.add(index)
    return frozenset(result)


def convexity(view: GraphView, nodes: frozenset[int]) -> Refusal | None:
    """Return why `nodes` are not convex: a value leaves them and comes back through another node; else None."""
    outside: set[str] = set()
    for index, (reads, writes) in enumerate(zip(view.reads, view.writes, strict=True)):
        back = next((name for name in reads if name in outside), None)
        if index in nodes:
            if back is not None:
                reason = f"it reads '{back}', which is computed outside the region from the region's own results"
                return Refusal("not-convex", reason, view.label(index))
        elif back is not None or any(view.producer.get(name) in nodes for name in reads):
            outside.update(writes)
    return None


def _is_constant(view: GraphView, index: int) -> bool:
    return bool(view.writes[index]) and view.constants.issuperset(view.writes[index])
