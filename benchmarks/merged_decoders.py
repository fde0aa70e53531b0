"""Merged decoders: the form for first calls and that with a past, behind one ``If``, as optimum makes them.

``use_cache_branch`` decides. Weights that both forms have stand in the graph around, once.
"""

from __future__ import annotations

from dataclasses import replace

import onnx
from onnx import TensorProto, helper

from benchmarks.decoders import Decoder

CONDITION = "use_cache_branch"


def merged_decoder(sizes: Decoder, seed: int = 0) -> onnx.ModelProto:
    """Return both forms of a decoder in one model; `sizes` is the form with a past."""
    first = replace(sizes, past=False, presents=True).model(seed)
    return merged(first, replace(sizes, past=True).model(seed))


def merged(first: onnx.ModelProto, later: onnx.ModelProto) -> onnx.ModelProto:
    """Return two models with the same outputs as the branches of an If: `later` where the condition is true."""
    known = {tensor.name: tensor for tensor in first.graph.initializer}
    shared = [tensor for tensor in later.graph.initializer if known.get(tensor.name) == tensor]
    names = {tensor.name for tensor in shared}
    then, other = (_branch(model, names) for model in (later, first))
    outputs = [value.name for value in later.graph.output]
    node = helper.make_node("If", [CONDITION], outputs, "forms", then_branch=then, else_branch=other)
    condition = helper.make_tensor_value_info(CONDITION, TensorProto.BOOL, [1])
    graph = helper.make_graph([node], "merged", [*later.graph.input, condition], later.graph.output, shared)
    return helper.make_model(graph, opset_imports=later.opset_import, ir_version=later.ir_version)


def _branch(model: onnx.ModelProto, outside: set[str]) -> onnx.GraphProto:
    own = [tensor for tensor in model.graph.initializer if tensor.name not in outside]
    return helper.make_graph(model.graph.node, model.graph.name, [], model.graph.output, own)
