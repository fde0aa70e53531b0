"""Keeping only the outputs that the caller asks for: what nothing reads need not be computed, and not be kept."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from actcache.errors import InvalidOption
from actcache.passes.graph.entries import keep
from actcache.passes.graph.nodes import node_reads


def keep_outputs(model: onnx.ModelProto, wanted: Collection[str]) -> None:
    """Remove every other output of `model`, in place, and the nodes and weights that only those needed.

    The outputs stay in the model's order.

    Raises:
        InvalidOption: The model has no output of a name, or a name is given twice.
    """
    graph = model.graph
    known = [value.name for value in graph.output]
    for name in wanted:
        if name not in known:
            raise InvalidOption(f"the model has no output '{name}'", hint=f"its outputs are {', '.join(known)}")
    if len(set(wanted)) < len(wanted):
        raise InvalidOption("an output is named twice", hint="name each one once")
    kept = [value for value in graph.output if value.name in wanted]
    del graph.output[:]
    graph.output.extend(kept)
    _remove_unread(graph)


def _remove_unread(graph: onnx.GraphProto) -> None:
    """Remove the nodes that no output depends on, and the weights and notes that only those used."""
    alive = _needed_nodes(graph)
    kept = [node for index, node in enumerate(graph.node) if index in alive]
    gone = [node for index, node in enumerate(graph.node) if index not in alive]
    used = {name for node in kept for name in (*node_reads(node), *node.output)}
    used |= {value.name for value in (*graph.output, *graph.input)}
    unused = {name for node in gone for name in (*node_reads(node), *node.output)} - used
    for index in sorted(set(range(len(graph.node))) - alive, reverse=True):
        del graph.node[index]
    keep(graph.initializer, lambda tensor: tensor.name not in unused)
    keep(graph.sparse_initializer, lambda sparse: sparse.values.name not in unused)
    keep(graph.value_info, lambda value: value.name not in unused)
    keep(graph.quantization_annotation, lambda annotation: annotation.tensor_name not in unused)


def _needed_nodes(graph: onnx.GraphProto) -> set[int]:
    producer = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    found: set[int] = set()
    waiting = [value.name for value in graph.output]
    while waiting:
        index = producer.get(waiting.pop())
        if index is not None and index not in found:
            found.add(index)
            waiting += node_reads(graph.node[index])
    return found
