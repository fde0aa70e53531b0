"""Pasts: inputs that hold what earlier calls of a sequence left (``past_key_values``).

An exporter puts them in front of what the call itself computes. The first call of a sequence hands in empty ones.
"""

from __future__ import annotations

import onnx

from actcache.passes.graph.op_facts import canonical_domain

#: Types of what a model computes at positions.
NUMBERS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)


def past_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the graph inputs that look like pasts, each with the axis of their positions. Nothing is proven by that.

    They are numbers with three axes or more, of which one is of variable size. Along that a ``Concat`` puts them in
    front of what is no input.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value.type.tensor_type for value in model.graph.input if value.name not in known}
    found = {}
    for node in model.graph.node:
        if node.op_type != "Concat" or canonical_domain(node.domain) or len(node.input) < 2:
            continue
        first, *rest = node.input
        if first not in inputs or inputs[first].elem_type not in NUMBERS or not inputs.keys().isdisjoint(rest):
            continue
        dims = inputs[first].shape.dim
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if len(dims) >= 3 and -len(dims) <= axis < len(dims) and dims[axis].dim_value <= 0:
            found[first] = axis % len(dims)
    return found
