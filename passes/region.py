"""A region: the convex set of nodes that a cache hit skips, with what it reads and what it hands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows import SizeEquation

Granularity = Literal["row", "tensor"]


@dataclass(frozen=True)
class Region:
    """What the outliner moves behind a lookup.

    Attributes:
        id: Name of the region in the manifest, the statistics and the operators.
        nodes: Indices of its nodes in the main graph; constant nodes come along only when nobody else reads them.
        frontier: Tensors that it reads and that are not constants, in canonical order.
        live_outs: Tensors that it writes and that the rest of the model, or the host, reads.
        granularity: What one cache entry covers.
        frontier_axes: Per frontier tensor the row axis, or None: it enters every row's key.
        live_out_axes: Per live-out the row axis (None for granularity ``tensor``).
        size_equations: What else has to hold between sizes of the frontier for its rows to be independent; a call in
            which it does not is one entry.
        frontier_ranks: Per frontier tensor the rank that the proof of its rows believed; a call with other ranks is one
            entry.
        min_rows: A call of fewer rows than this shares no entries with others, and no call of more is computed with
            fewer: some kernels give one row other bits than several. Only ``--exact bits`` asks for more than 1.
    """

    id: str
    nodes: frozenset[int]
    frontier: tuple[str, ...]
    live_outs: tuple[str, ...]
    granularity: Granularity
    frontier_axes: Mapping[str, int | None] = field(default_factory=dict)
    live_out_axes: Mapping[str, int | None] = field(default_factory=dict)
    size_equations: tuple[SizeEquation, ...] = ()
    frontier_ranks: Mapping[str, int] = field(default_factory=dict)
    min_rows: int = 1

    def row_frontier(self) -> tuple[str, ...]:
        """Return the frontier tensors that the lookup hands on compacted to the missing rows."""
        return tuple(name for name in self.frontier if self.frontier_axes.get(name) is not None)


def live_outs(view: GraphView, nodes: frozenset[int]) -> list[str]:
    """Return what `nodes` write and others, or the host, read; in the order of the graph."""
    outputs = set(view.outputs)
    found = []
    for index in sorted(nodes):
        for name in view.writes[index]:
            if name in outputs or any(c not in nodes for c in view.consumers.get(name, ())):
                found.append(name)
    return found


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
