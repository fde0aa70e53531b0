"""Constants of the main graph for regions in the branches of an ``If``.

Keys cover the weights as a session has them. onnxruntime shows a kernel which of its inputs are constant only where
these stand in the kernel's own graph. So in front of the ``If``, a ``CacheConstants`` takes the weights that the main
graph has, and hands on the condition; lookups in the branches say that they lie in it
(custom_ops/src/ops/cache_constants.h)::

    condition ─► CacheConstants(w, ...) ─► condition@<id> ─► If ─ then: CacheLookup ...
                                                               └ else: CacheLookup ...
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from actcache.passes.graph.nodes import all_nodes, subgraphs
from actcache.passes.rewrite.branch_models import Branch
from actcache.passes.rewrite.key_constants import (
    give_up_constants,
    lies_in,
    number_of,
    renumber,
    take_constants,
)
from actcache.passes.rewrite.outline import DOMAIN

OPERATOR = "CacheConstants"


def show_constants(model: onnx.ModelProto, branch: Branch, scope: str) -> None:
    """Put a ``CacheConstants`` in front of an If whose branches have regions, in place, if they need one.

    Args:
        model: The model; all compiled branches of the If are put back.
        branch: One of them.
        scope: A name that no region and no other If has.
    """
    node = branch.node(model)
    around = [tensor.name for tensor in model.graph.initializer]
    numbers = {number_of(name) for name in around}
    wanted: dict[str, None] = {}
    for attribute in node.attribute:
        for inner in _own_nodes(attribute.g):
            renumber(inner, numbers, f"{scope}/{attribute.name}")
            if inner.op_type == "CacheLookup":
                wanted |= dict.fromkeys(give_up_constants(inner, around))
    if not wanted:
        return
    for body in subgraphs(node):
        for inner in body.node:
            if inner.domain == DOMAIN and inner.op_type == "CacheLookup":
                lies_in(inner, scope)
    shown = onnx.helper.make_node(OPERATOR, [node.input[0]], [f"{node.input[0]}{scope}"], f"{OPERATOR} {scope}")
    shown.domain = DOMAIN
    shown.attribute.append(onnx.helper.make_attribute("region", scope))
    take_constants(shown, [(name, name) for name in wanted])
    node.input[0] = shown.output[0]
    place = next(i for i, other in enumerate(model.graph.node) if other.output == node.output)
    model.graph.node.insert(place, shown)


def hide_constants(graph: onnx.GraphProto) -> None:
    """Take every ``CacheConstants`` out of a main graph again, in place."""
    shown = [node for node in graph.node if is_shown(node)]
    conditions = {node.output[0]: node.input[0] for node in shown}
    for node in shown:
        graph.node.remove(node)
    for node in graph.node:
        if node.op_type == "If" and node.input[0] in conditions:
            node.input[0] = conditions[node.input[0]]


def is_shown(node: onnx.NodeProto) -> bool:
    """Return whether a node is a ``CacheConstants``."""
    return node.domain == DOMAIN and node.op_type == OPERATOR


def _own_nodes(body: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    return (node for node in all_nodes(body.node) if node.domain == DOMAIN)
