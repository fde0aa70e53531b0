"""Cones: the set of graph inputs that each tensor depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView


def cones(view: GraphView) -> dict[str, frozenset[str]]:
    """Return, for every tensor of the main graph, the graph inputs whose values can change it.

    Constants have the empty cone.
    """
    return _cones(view, ())


def content_cones(view: GraphView) -> dict[str, frozenset[str]]:
    """Return the same, but of what is read through a slice without elements: that has the sizes of an input alone."""
    return _cones(view, slices_without_elements(view))


def slices_without_elements(view: GraphView) -> Mapping[str, int]:
    """Return the tensors that are a graph input cut to nothing along some axis, each with the index of its node.

    They tell the sizes of the other axes, and hold nothing: ``x[:, 0:0]`` has as many rows as ``x``.
    """
    found = {}
    for index, node in enumerate(view.model.graph.node):
        cut = node.op_type == "Slice" and canonical_domain(node.domain) == "" and len(node.input) > 2
        if not cut or node.input[0] not in view.inputs:
            continue
        starts, ends = view.value(node.input[1]), view.value(node.input[2])
        if starts is None or ends is None or starts.size != ends.size:
            continue
        if (starts.reshape(-1) == ends.reshape(-1)).any():
            found[node.output[0]] = index
    return found


def _cones(view: GraphView, without: Collection[str]) -> dict[str, frozenset[str]]:
    names = view.inputs
    masks: dict[str, int] = {name: 1 << bit for bit, name in enumerate(names)}
    for reads, writes in zip(view.reads, view.writes, strict=True):
        mask = 0
        for name in reads:
            mask |= masks.get(name, 0)
        for name in writes:
            masks[name] = 0 if name in without else mask
    decoded: dict[int, frozenset[str]] = {}
    for mask in set(masks.values()):
        decoded[mask] = frozenset(name for bit, name in enumerate(names) if mask >> bit & 1)
    return {name: decoded[mask] for name, mask in masks.items()}
