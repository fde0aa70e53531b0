"""What can be said of nodes and tensors one by one, without a view of their graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.op_facts import ONNX_DOMAINS, canonical_domain

#: Constants up to this size keep their values in the skeleton: shapes, axes, scales, bounds.
INLINE_BYTES = 4096


#: Domain, name and overload of a function, or of what a node calls.
FunctionId = tuple[str, str, str]


def constant_value(tensor: onnx.TensorProto | None, node: onnx.NodeProto | None) -> npt.NDArray[np.generic] | None:
    """Return the value of a small constant, given as an initializer or as the node that makes it; None: not known."""
    if tensor is None:
        if node is None or not is_constant_node(node):
            return None
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is None:
            return _scalar_constant(node)
    if tensor_bytes(tensor) > INLINE_BYTES or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    return onnx.numpy_helper.to_array(tensor)


def is_constant_node(node: onnx.NodeProto) -> bool:
    """Return whether a node is one that states a value."""
    return node.op_type == "Constant" and node.domain in ONNX_DOMAINS


def node_attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    """Return the attribute `name` of a node, or None."""
    return next((a for a in node.attribute if a.name == name), None)


def node_label(node: onnx.NodeProto) -> str:
    """Return how messages name a node: its name, or its operator and first output."""
    if node.name:
        return f"{node.op_type} '{node.name}'"
    return f"{node.op_type} → {next((name for name in node.output if name), '?')}"


def node_reads(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the distinct tensors a node reads, those that its bodies capture included."""
    return tuple(dict.fromkeys(_reads(node)))


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the bodies that a node carries (``If``, ``Loop``, ``Scan``, ...)."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes and, at any depth, those of the bodies that they carry."""
    for node in nodes:
        yield node
        for body in subgraphs(node):
            yield from all_nodes(body.node)


def callee(node: onnx.NodeProto) -> FunctionId:
    """Return the id of the function that a node calls, if there is such a function."""
    return canonical_domain(node.domain), node.op_type, getattr(node, "overload", "")


def function_id(function: onnx.FunctionProto) -> FunctionId:
    """Return the id of a local function."""
    return canonical_domain(function.domain), function.name, getattr(function, "overload", "")


def captured(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the tensors that a body reads from the scopes around it (with repeats)."""
    local = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    local |= {t.values.name for t in graph.sparse_initializer}
    for node in graph.node:
        for name in _reads(node):
            if name not in local:
                yield name
        local.update(node.output)
    for value in graph.output:
        if value.name not in local:
            yield value.name


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Return how many bytes the elements of an initializer take (strings: their encoded lengths)."""
    if tensor.data_type == onnx.TensorProto.STRING:
        return sum(len(s) for s in tensor.string_data)
    count = 1
    for size in tensor.dims:
        count *= size
    return (count * element_bits(tensor.data_type) + 7) // 8


def element_bits(data_type: int) -> int:
    """Return the width in bits of an element of an ONNX type (0 for strings and undefined)."""
    return _BITS.get(data_type, 0)


def type_name(data_type: int | None) -> str | None:
    """Return an ONNX type as messages call it, ``float`` for instance; None: undefined, or not known."""
    return _NAMES.get(data_type, f"type {data_type}") if data_type else None


def _bits_by_type() -> dict[int, int]:
    t = onnx.TensorProto
    table = {t.BOOL: 8, t.INT8: 8, t.UINT8: 8, t.INT16: 16, t.UINT16: 16, t.FLOAT16: 16, t.BFLOAT16: 16}
    table |= {t.INT32: 32, t.UINT32: 32, t.FLOAT: 32, t.INT64: 64, t.UINT64: 64, t.DOUBLE: 64}
    table |= {t.COMPLEX64: 64, t.COMPLEX128: 128}
    for name, value in t.DataType.items():
        if name.startswith("FLOAT8"):
            table[value] = 8
        elif name in ("INT4", "UINT4") or name.startswith("FLOAT4"):
            table[value] = 4
        elif name.startswith("FLOAT6"):
            table[value] = 6
        elif name in ("INT2", "UINT2"):
            table[value] = 2
    return {int(k): v for k, v in table.items()}


_BITS = _bits_by_type()
_NAMES = {value: name.lower() for name, value in onnx.TensorProto.DataType.items()}


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from (name for name in node.input if name)
    for body in subgraphs(node):
        yield from captured(body)


def _scalar_constant(node: onnx.NodeProto) -> npt.NDArray[np.generic] | None:
    """Return the value of a ``Constant`` that holds ints or floats in an attribute of its own."""
    for attribute in node.attribute:
        if attribute.name in ("value_int", "value_ints"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), np.int64)
        if attribute.name in ("value_float", "value_floats"):
            return np.asarray(onnx.helper.get_attribute_value(attribute), np.float32)
    return None
