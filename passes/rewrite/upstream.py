"""The part of a model that computes some of its values."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from actcache.passes.graph.nodes import node_reads


def upstream_model(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Return the part of the model that computes `names`, with those as its outputs."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    needed, kept = set(names), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node_reads(node))
    graph = result.graph
    del graph.node[:], graph.output[:]
    graph.node.extend(reversed(kept))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    read = [value for value in model.graph.input if value.name in needed]
    del graph.input[:]
    graph.input.extend(read)
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    return result
