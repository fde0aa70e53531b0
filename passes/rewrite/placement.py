"""Where a region's weights stand: small ones in its branch, large ones in the main graph.

onnxruntime looks for weights that a session replaces, and accepts weight files that are links, in the main graph only.
A branch reads such a weight from outside, and most operators make the same of it: matrices are packed, patterns are
fused. Some fusions look into their own graph alone (:func:`wanted_inside`). What they need gets there through a node
that onnxruntime computes when it loads the model::

    main graph: w ─► branch: Reshape(w, its own shape) ─► w@<region> ─► Conv

A session may replace ``w`` after that; a sample tells (:mod:`actcache.passes.rewrite.weight_samples`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import onnx

from actcache.passes.graph.nodes import INLINE_BYTES, element_bits, tensor_bytes
from actcache.passes.graph.op_facts import ONNX_DOMAINS
from actcache.passes.graph.tensor_data import is_external
from actcache.passes.rewrite.weight_samples import can_be_sampled, is_of_sample, sample_node
from actcache.passes.rewrite.weights import has_a_place


def stays_outside(tensor: onnx.TensorProto) -> bool:
    """Return whether a weight stays in the main graph.

    Those of less than a byte an element do not: onnxruntime fuses them in their own graph only, and has no kernel that
    would bring them there.
    """
    large = is_external(tensor) or has_a_place(tensor) or tensor_bytes(tensor) > INLINE_BYTES
    return large and (tensor.data_type == onnx.TensorProto.STRING or element_bits(tensor.data_type) >= 8)


def wanted_inside(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """Return the tensors that onnxruntime's fusions of these nodes look for in the nodes' own graph, in order.

    They are the weights and bias of ``Conv``, for the blocked layout, and what ``DequantizeLinear`` unpacks, for
    matrices that stay packed (``MatMulNBits``): there an outer one can even be an error.
    """
    found: dict[str, None] = {}
    for node in nodes:
        if node.domain in ONNX_DOMAINS:
            first = {"Conv": 1, "DequantizeLinear": 0}.get(node.op_type, len(node.input))
            found |= dict.fromkeys(name for name in node.input[first:] if name)
    return list(found)


def unpacked_by(nodes: Sequence[onnx.NodeProto], initializers: Collection[str]) -> set[str]:
    """Return weights that are unpacked for a ``MatMul``, with their scales and zero points.

    onnxruntime keeps such a matrix packed only if nothing but its ``DequantizeLinear`` reads them.
    """
    multiplied = {name for node in nodes if node.op_type == "MatMul" for name in node.input}
    return {
        name
        for node in nodes
        if node.op_type == "DequantizeLinear" and node.domain in ONNX_DOMAINS
        if node.input[0] in initializers and node.output[0] in multiplied
        for name in node.input
        if name in initializers
    }


def can_be_brought_in(tensor: onnx.TensorProto, opset: int) -> bool:
    """Return whether it would show that a session has other values for a weight than its branch computes with."""
    return is_compared_whole(tensor) or can_be_sampled(tensor, opset)


def is_compared_whole(tensor: onnx.TensorProto) -> bool:
    """Return whether ``CacheStore`` takes all of a weight that is brought in, as it is small, and not a sample."""
    return tensor_bytes(tensor) <= INLINE_BYTES


@dataclass
class BroughtIn:
    """Weights of the main graph that a branch computes anew, with what it needs for that."""

    initializers: list[onnx.TensorProto] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)


def bring_in(
    whole: Iterable[onnx.TensorProto], sampled: Sequence[onnx.TensorProto], mark: str, opset: int
) -> BroughtIn:
    """Return what gives each tensor to a branch under its name with `mark` appended, and takes samples of some.

    `opset`: the version of the ONNX operators in the model.
    """
    result = BroughtIn()
    for tensor in (*whole, *sampled):
        shape = onnx.helper.make_tensor(
            _shape_name(tensor.name, mark), onnx.TensorProto.INT64, [len(tensor.dims)], tensor.dims
        )
        result.initializers.append(shape)
        node = onnx.helper.make_node("Reshape", [tensor.name, shape.name], [tensor.name + mark], f"{tensor.name}{mark}")
        result.nodes.append(node)
    for tensor in sampled:
        node, constants = sample_node(tensor, mark, opset)
        result.nodes.append(node)
        result.initializers += constants
    return result


def brings_in(node: onnx.NodeProto, mark: str) -> bool:
    """Return whether a node of a branch is one of those that :func:`bring_in` makes."""
    return is_of_sample(node.output[0], mark) or (
        node.op_type == "Reshape"
        and len(node.input) == 2
        and node.input[1].endswith(f"{mark}.shape")
        and node.output[0].endswith(mark)
    )


def shapes_brought_in(nodes: Iterable[onnx.NodeProto], mark: str) -> Collection[str]:
    """Return the constants that only those nodes need."""
    return {name for node in nodes if brings_in(node, mark) for name in node.input[1:]}


def _shape_name(name: str, mark: str) -> str:
    return f"{name}{mark}.shape"
