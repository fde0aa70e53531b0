"""Which nodes of the file became which nodes of onnxruntime's optimised model.

The optimiser fuses, folds and renames nodes, but what a fused node writes keeps the name that it had in the file (or
has none there: between the blocked layouts of convolutions, say). So a node of the optimised model stands for the nodes
of the file that lie between the tensors it writes and the next tensors upstream which the optimised model still has. A
node that writes only tensors of its own is part of what its reader stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from actcache.passes.graph.nodes import node_reads
from actcache.passes.graph.view import GraphView


def attribute(
    view: GraphView, optimised: onnx.GraphProto, seconds: Mapping[str, float], weights: Sequence[float]
) -> list[float]:
    """Share out the time of an optimised model's nodes to the nodes of the file.

    Args:
        view: The model as it is in the file.
        optimised: The optimised model's graph.
        seconds: Name of a node of `optimised` to its time.
        weights: Per node of the file, what its share of a fused node's time is proportional to.

    Returns:
        Seconds per node of the file; what onnxruntime folds away takes none.
    """
    kept = {value.name for value in optimised.input} | {o for node in optimised.node for o in node.output if o}
    kept |= set(view.inputs)
    found = [0.0] * len(view.writes)
    for nodes, time in _groups(view, optimised, seconds, kept):
        total = sum(weights[i] for i in nodes)
        for index in nodes:
            found[index] += time * (weights[index] / total if total > 0 else 1 / len(nodes))
    return found


def _groups(
    view: GraphView, optimised: onnx.GraphProto, seconds: Mapping[str, float], kept: set[str]
) -> list[tuple[list[int], float]]:
    """Return the nodes of the file that each node of the optimised model stands for, with its time."""
    groups: list[tuple[list[int], float]] = []
    pending: dict[str, float] = {}  # tensor of the optimiser's own to time that its readers are to take
    readers: dict[str, int] = {}
    for node in optimised.node:
        for name in node_reads(node):
            readers[name] = readers.get(name, 0) + 1
    for node in optimised.node:
        time = seconds.get(node.name, 0.0)
        time += sum(pending.get(name, 0.0) / readers[name] for name in node_reads(node))
        own = [name for name in node.output if name in view.producer]
        nodes = _between(view, own, kept)
        if nodes:
            groups.append((nodes, time))
        else:
            written = [name for name in node.output if name]
            for name in written:
                pending[name] = time / len(written)
    return groups


def _between(view: GraphView, names: Sequence[str], kept: set[str]) -> list[int]:
    """The nodes that compute `names` from other tensors that the optimised model has."""
    found: set[int] = set()
    stack = [view.producer[name] for name in names]
    while stack:
        index = stack.pop()
        if index in found:
            continue
        found.add(index)
        for name in view.reads[index]:
            if name in view.producer and name not in kept and name not in view.constants:
                stack.append(view.producer[name])
    return sorted(found)
