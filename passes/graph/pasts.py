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
#: Operators that take a past themselves: operand to the axis of its positions.
TAKES_PAST: dict[tuple[str, str], dict[int, int]] = {
    ("", "Attention"): {4: 2, 5: 2},
    ("com.microsoft", "Attention"): {4: 3},
    ("com.microsoft", "MultiHeadAttention"): {6: 2, 7: 2},
    ("com.microsoft", "GroupQueryAttention"): {3: 2, 4: 2},
}


def past_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Return the graph inputs that look like pasts, each with the axis of their positions. Nothing is proven by that.

    They are numbers with three axes or more, of which one is of variable size. Along that a ``Concat`` puts them in
    front of what is no input, or an attention takes them for its past, perhaps behind operators that hand them on.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value.type.tensor_type for value in model.graph.input if value.name not in known}
    origin = {name: name for name in inputs}  # of tensors that are inputs, handed on
    found = {}

    def add(past: str, axis: int) -> None:
        dims = inputs[past].shape.dim
        if inputs[past].elem_type in NUMBERS and len(dims) >= 3 and -len(dims) <= axis < len(dims):
            found.update({past: axis % len(dims)} if dims[axis].dim_value <= 0 else {})

    for node in model.graph.node:
        kind = canonical_domain(node.domain), node.op_type
        for slot, axis in TAKES_PAST.get(kind, {}).items():
            if slot < len(node.input) and node.input[slot] in origin:
                add(origin[node.input[slot]], axis)
        if kind[0] or kind[1] not in _HAND_ON or node.input[0] not in origin:
            continue
        past, rest = origin[node.input[0]], node.input[1:]
        if not rest:
            origin[node.output[0]] = past
        elif origin.keys().isdisjoint(rest):
            add(past, next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0))
    return found
