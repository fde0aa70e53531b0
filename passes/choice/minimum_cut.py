"""Selection: the set of nodes that saves most time for the bytes that it makes the cache keep.

A region that starts at the graph inputs is closed: with a node it contains whatever the node reads. Every closed set
saves the time of its nodes on a hit, and pays for each of its live-outs: bytes to copy and to keep. The best closed set
is a minimum cut (the project-selection problem of Picard 1976): a node is on the source side when it is in the region;

* source → node, capacity = the node's time: lost when the node is left outside;
* node → the producers of what it reads, infinite: closure;
* producer → tensor, capacity = the tensor's price, and tensor → its readers, infinite: the price is paid once, when
  the producer is inside and any reader is not;
* node → sink, infinite, when the node must stay outside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

# scipy's maximum flow works on 32-bit capacities: times are scaled so that they add up to _TOTAL.
_TOTAL = 200_000_000
_INFINITE = 2**31 - 1 - 2 * _TOTAL


class Network(Protocol):
    """What the minimum cut asks of a model: a :class:`~actcache.passes.graph.view.GraphView`, or one without nodes."""

    @property
    def reads(self) -> Sequence[Sequence[str]]:
        """Per node the tensors that it reads."""

    @property
    def writes(self) -> Sequence[Sequence[str]]:
        """Per node the tensors that it writes."""

    @property
    def producer(self) -> Mapping[str, int]:
        """Tensor name to the index of the node that writes it."""

    @property
    def consumers(self) -> Mapping[str, Sequence[int]]:
        """Tensor name to the indices of the nodes that read it."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the graph inputs."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the graph outputs."""

    @property
    def constants(self) -> frozenset[str]:
        """Names of the tensors that no input can change."""


@dataclass(frozen=True)
class Prices:
    """What the minimum cut weighs.

    Attributes:
        seconds: Per node, seconds saved per hit by having it in the region (any unit, if `keep` has the same).
        keep: Tensor name to the seconds that it costs per hit as a live-out; absent: it cannot be a live-out.
    """

    seconds: Sequence[float]
    keep: Mapping[str, float]


def best_closed_set(
    view: Network,
    prices: Prices,
    outside: Collection[int],
    given: Collection[str],
    atoms: Sequence[Collection[int]] = (),
) -> frozenset[int]:
    """Return the closed set of nodes with the most seconds saved after the price of its live-outs.

    Args:
        view: The model.
        prices: Seconds and prices.
        outside: Nodes that must stay out of the region.
        given: Tensors that the region may read although something outside computes them (its frontier may start
            there); constants and graph inputs always may.
        atoms: Sets of nodes that are inside as a whole or not at all.

    Returns:
        Node indices; empty when nothing is worth it. Constant nodes are not among them.
    """
    free = set(given) | set(view.inputs) | view.constants
    nodes = [i for i, writes in enumerate(view.writes) if writes and not view.constants.issuperset(writes)]
    edges = _Edges(len(view.writes), prices)
    for index in nodes:
        edges.add(edges.source, index, edges.scaled(prices.seconds[index], at_least=1))
        if index in outside:
            edges.add(index, edges.sink, _INFINITE)
        for name in view.reads[index]:
            if name not in free:
                edges.add(index, view.producer[name], _INFINITE)
        for name in view.writes[index]:
            _add_tensor(view, edges, prices, index, name)
    for atom in atoms:
        ring = [i for i in atom if not view.constants.issuperset(view.writes[i])]
        for one, next_one in zip(ring, [*ring[1:], *ring[:1]], strict=True):
            edges.add(one, next_one, _INFINITE)
    return frozenset(i for i in edges.source_side() if i < len(view.writes))


def _add_tensor(view: Network, edges: _Edges, prices: Prices, index: int, name: str) -> None:
    price = edges.scaled(prices.keep[name]) if name in prices.keep else _INFINITE
    if name in view.outputs:
        edges.add(index, edges.sink, price)
        return
    readers = view.consumers.get(name, ())
    if readers and price:
        tensor = edges.new()
        edges.add(index, tensor, price)
        for reader in readers:
            edges.add(tensor, reader, _INFINITE)


class _Edges:
    """Edge list of the flow network: one vertex per node of the model, a source, a sink, and tensors as they come."""

    def __init__(self, nodes: int, prices: Prices) -> None:
        self.source, self.sink = nodes, nodes + 1
        self.count = nodes + 2
        self._unit = _TOTAL / max(sum(prices.seconds), 1e-12)
        self._edges: dict[tuple[int, int], int] = {}

    def scaled(self, seconds: float, at_least: int = 0) -> int:
        return int(min(max(round(seconds * self._unit), at_least), _TOTAL))

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def add(self, start: int, end: int, capacity: int) -> None:
        if start != end and capacity:
            total = self._edges.get((start, end), 0) + capacity
            self._edges[start, end] = min(total, _INFINITE)

    def source_side(self) -> list[int]:
        """Return the vertices on the source side of the smallest minimum cut."""
        ends = np.array(list(self._edges), dtype=np.int32).reshape(-1, 2)
        capacities = np.fromiter(self._edges.values(), dtype=np.int32, count=len(self._edges))
        graph = csr_array((capacities, (ends[:, 0], ends[:, 1])), shape=(self.count, self.count), dtype=np.int32)
        flow = maximum_flow(graph, self.source, self.sink).flow
        residual = graph - flow
        residual.data = np.maximum(residual.data, 0)
        residual.eliminate_zeros()
        reached = breadth_first_order(csr_array(residual), self.source, return_predecessors=False)
        return [int(v) for v in reached if v not in (self.source, self.sink)]
