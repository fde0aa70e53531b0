"""Fingerprint: a content hash of a region, independent of every name in the model.

Two regions have the same fingerprint exactly when they apply the same operators (domain, type, opset version,
attributes, bodies) in the same structure to the same constants (type, dims, bytes), reading their frontier in the same
order. A model trained again, or exported with another opset, has another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.tensor_data import tensor_digest
from actcache.passes.graph.view import GraphView

_VERSION = b"actcache-region-1"


def canonical_frontier(view: GraphView, nodes: frozenset[int], live_outs: Sequence[str]) -> list[str]:
    """Return what the region reads and is not constant, in the order a walk from its live-outs meets it."""
    order: list[str] = []
    for name in canonical_walk(view, nodes, live_outs)[0]:
        if name not in view.constants:
            order.append(name)
    return order


def fingerprint(view: GraphView, nodes: frozenset[int], live_outs: Sequence[str], weights: Mapping[int, str]) -> str:
    """Return the fingerprint of a region as 64 hex digits (SHA-256).

    Args:
        view: The model.
        nodes: Indices of the region's nodes.
        live_outs: Its live-outs, in order.
        weights: Digests of the initializers that were moved out of the model (``WeightFile.tensors``).
    """
    leaves, order = canonical_walk(view, nodes, live_outs)
    numbers = {name: f"in{i}" for i, name in enumerate(n for n in leaves if n not in view.constants)}
    state = hashlib.sha256(_VERSION)
    scope = _Scope(view.opsets, weights)
    for name in leaves:
        if name in view.constants:
            numbers[name] = constant_digest(view, name, weights)
        else:
            _add(state, "frontier", numbers[name], str(view.dtype(name)))
    for position, index in enumerate(order):
        node = view.model.graph.node[index]
        for slot, name in enumerate(node.output):
            if name:
                numbers[name] = f"v{position}.{slot}"
        _add_node(state, node, numbers, scope)
    for name in live_outs:
        _add(state, "live-out", numbers[name])
    return state.hexdigest()


def canonical_walk(view: GraphView, nodes: frozenset[int], live_outs: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the region's leaves in order of first meeting, and its nodes in post-order from the live-outs."""
    leaves: dict[str, None] = {}
    order: list[int] = []
    state: dict[int, bool] = {}
    for live_out in live_outs:
        stack = [view.producer[live_out]]
        while stack:
            index = stack[-1]
            if state.get(index):
                stack.pop()
                continue
            waiting = []
            for name in view.reads[index]:
                producer = view.producer.get(name)
                if producer is None or producer not in nodes:
                    leaves.setdefault(name)
                elif producer not in state:
                    waiting.append(producer)
            if index not in state:
                state[index] = False
                stack.extend(reversed(waiting))
            if not waiting:
                state[index] = True
                order.append(stack.pop())
    return list(leaves), order


def attribute_digest(
    view: GraphView, attribute: onnx.AttributeProto, numbers: Mapping[str, str], weights: Mapping[int, str]
) -> str:
    """Return what an attribute adds to a fingerprint, in hex.

    Args:
        view: The model.
        attribute: The attribute of one of its nodes.
        numbers: What stands for the tensors that its bodies capture.
        weights: As for :func:`fingerprint`.
    """
    state = hashlib.sha256()
    _add_attribute(state, attribute, numbers, _Scope(view.opsets, weights))
    return state.hexdigest()


def constant_digest(view: GraphView, name: str, weights: Mapping[int, str]) -> str:
    """Return what a constant that a region reads from outside adds: its own bytes, or how it is computed."""
    tensor = view.initializer(name)
    if tensor is not None:
        return f"c{tensor_digest(tensor, weights)}"
    sparse = next((s for s in view.model.graph.sparse_initializer if s.values.name == name), None)
    if sparse is not None:
        return _sparse_digest(sparse, weights)
    index = view.producer[name]
    closure = _constant_closure(view, index)
    return f"k{fingerprint(view, closure, [name], weights)}"


def _sparse_digest(sparse: onnx.SparseTensorProto, weights: Mapping[int, str]) -> str:
    state = hashlib.sha256()
    _add(state, str(list(sparse.dims)), tensor_digest(sparse.values, weights), tensor_digest(sparse.indices, weights))
    return f"s{state.hexdigest()}"


def _constant_closure(view: GraphView, index: int) -> frozenset[int]:
    found = {index}
    stack = [index]
    while stack:
        for name in view.reads[stack.pop()]:
            producer = view.producer.get(name)
            if producer is not None and producer not in found:
                found.add(producer)
                stack.append(producer)
    return frozenset(found)


@dataclass(frozen=True)
class _Scope:
    """What the digest of a node needs to know of the model around it."""

    versions: Mapping[str, int]
    weights: Mapping[int, str]
    depth: int = 0


def _add(state: hashlib._Hash, *parts: str) -> None:
    for part in parts:
        data = part.encode()
        state.update(len(data).to_bytes(8, "little") + data)


def _add_node(state: hashlib._Hash, node: onnx.NodeProto, numbers: Mapping[str, str], scope: _Scope) -> None:
    domain = canonical_domain(node.domain)
    _add(state, "node", domain, str(scope.versions.get(domain, 0)), node.op_type, getattr(node, "overload", ""))
    _add(state, str(len(node.input)), *(numbers.get(name, name) for name in node.input))
    _add(state, str(len(node.output)), *("1" if name else "0" for name in node.output))
    for attribute in sorted(node.attribute, key=lambda a: a.name):
        _add_attribute(state, attribute, numbers, scope)


def _add_attribute(
    state: hashlib._Hash, attribute: onnx.AttributeProto, numbers: Mapping[str, str], scope: _Scope
) -> None:
    _add(state, "attribute", attribute.name, str(attribute.type))
    if attribute.type == onnx.AttributeProto.TENSOR:
        _add(state, tensor_digest(attribute.t, scope.weights))
    elif attribute.type == onnx.AttributeProto.TENSORS:
        _add(state, *(tensor_digest(tensor, scope.weights) for tensor in attribute.tensors))
    elif attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
        _add(state, _sparse_digest(attribute.sparse_tensor, scope.weights))
    elif attribute.type == onnx.AttributeProto.GRAPH:
        _add_body(state, attribute.g, numbers, scope)
    elif attribute.type == onnx.AttributeProto.GRAPHS:
        for body in attribute.graphs:
            _add_body(state, body, numbers, scope)
    else:
        bare = onnx.AttributeProto()
        bare.CopyFrom(attribute)
        bare.ClearField("doc_string")
        _add(state, bare.SerializeToString(deterministic=True).hex())


def _add_body(state: hashlib._Hash, body: onnx.GraphProto, outer: Mapping[str, str], scope: _Scope) -> None:
    numbers = dict(outer)
    inner = replace(scope, depth=scope.depth + 1)
    for position, value in enumerate(body.input):
        numbers[value.name] = f"a{inner.depth}.{position}"
        _add(state, "argument", value.type.SerializeToString(deterministic=True).hex())
    for tensor in body.initializer:
        numbers[tensor.name] = f"c{tensor_digest(tensor, scope.weights)}"
    for sparse in body.sparse_initializer:
        numbers[sparse.values.name] = _sparse_digest(sparse, scope.weights)
    for position, node in enumerate(body.node):
        _add_node(state, node, numbers, inner)
        for slot, name in enumerate(node.output):
            if name:
                numbers[name] = f"b{inner.depth}.{position}.{slot}"
    _add(state, "yield", *(numbers.get(value.name, value.name) for value in body.output))
