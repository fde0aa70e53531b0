"""onnx's inference of types and shapes, kept from what crashes it.

onnx infers nothing for operators that it does not know, and some of its own operators read the type of their input
without asking whether it has one: the process dies (:data:`~actcache.passes.graph.op_facts.READ_TYPES`). Such a node is
shown to onnx once its inputs have types, and till then as an operator that nobody knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import onnx

from actcache.passes.graph.nodes import all_nodes, subgraphs
from actcache.passes.graph.op_facts import READ_TYPES, canonical_domain

#: Ends the name of an operator that is not shown: no operator has such a name.
_HIDDEN = " (hidden)"


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model with the types and shapes that onnx infers; the model itself, if onnx refuses it."""
    if not any(map(_reads_type, _nodes(model))):
        return _inferred(model)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for node in filter(_reads_type, _nodes(found)):
        node.op_type += _HIDDEN
    found = _inferred(found)
    while ready := list(_ready(found.graph, ())):
        _show(ready)
        found = _inferred(found)  # with the types found so far: no input loses the one for which its reader is shown
    _show(_nodes(found))
    return found


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # whatever onnx raises: nothing is known then but what the model states
        return model


def _reads_type(node: onnx.NodeProto) -> bool:
    return (canonical_domain(node.domain), node.op_type) in READ_TYPES


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from all_nodes(model.graph.node)
    for function in model.functions:
        yield from all_nodes(function.node)


def _ready(graph: onnx.GraphProto, around: Collection[str]) -> Iterator[onnx.NodeProto]:
    """Yield the hidden nodes of a graph and its bodies whose inputs have types; `around`: values with types."""
    values = [*graph.input, *graph.output, *graph.value_info]
    known = {value.name for value in values if value.type.WhichOneof("value") is not None}
    known.update(around, (tensor.name for tensor in graph.initializer))
    for node in graph.node:
        if node.op_type.endswith(_HIDDEN) and node.input and known.issuperset(node.input):
            yield node
        for body in subgraphs(node):
            yield from _ready(body, known)


def _show(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        node.op_type = node.op_type.removesuffix(_HIDDEN)
