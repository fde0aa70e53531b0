"""Topological order of nodes."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import onnx

from actcache.passes.graph.nodes import node_reads


def topological(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return `nodes` sorted so that each comes after what it reads, and else in the order given."""
    producer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    sources = [{producer[name] for name in node_reads(node) if name in producer} for node in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for index, found in enumerate(sources):
        for source in found:
            readers[source].append(index)
    waiting = [len(found) for found in sources]
    ready = [i for i, count in enumerate(waiting) if count == 0]
    order: list[onnx.NodeProto] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    return order
