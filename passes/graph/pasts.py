"""Pasts: inputs that hold what earlier calls of a sequence left (``past_key_values``).

An exporter puts them in front of what the call itself computes. The first call of a sequence hands in empty ones.
"""

from __future__ import annotations

import onnx

from actcache.passes.graph.op_facts import canonical_domain

#: Types of what a model computes at positions.
NUMBERS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
#: A Concat of one tensor, too: exporters write it.
_HAND_ON = frozenset({"Concat", "Identity", "Cast"})


def past_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the graph inputs that look like pasts, each with the axis of their positions. Nothing is proven by that.

    They are numbers with three axes or more, of which one is of variable size. Along that a ``Concat`` puts them in
    front of what is no input, perhaps behind operators that hand them on.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value.type.tensor_type for value in model.graph.input if value.name not in known}
    origin = {name: name for name in inputs}  # of tensors that are inputs, handed on
    found = {}
    for node in model.graph.node:
        if node.op_type not in _HAND_ON or canonical_domain(node.domain) or node.input[0] not in origin:
            continue
        past, rest = origin[node.input[0]], node.input[1:]
        dims = inputs[past].shape.dim
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if not rest:
            origin[node.output[0]] = past
        elif inputs[past].elem_type not in NUMBERS or len(dims) < 3 or not -len(dims) <= axis < len(dims):
            continue
        elif dims[axis].dim_value <= 0 and origin.keys().isdisjoint(rest):
            found[past] = axis % len(dims)
    return found
