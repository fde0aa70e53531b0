"""Cones: the set of graph inputs that each tensor depends on."""

from __future__ import annotations

from actcache.passes.graph.view import GraphView


def cones(view: GraphView) -> dict[str, frozenset[str]]:
    """Return, for every tensor of the main graph, the graph inputs whose values can change it.

    Constants have the empty cone.
    """
    names = view.inputs
    masks: dict[str, int] = {name: 1 << bit for bit, name in enumerate(names)}
    for reads, writes in zip(view.reads, view.writes, strict=True):
        mask = 0
        for name in reads:
            mask |= masks.get(name, 0)
        for name in writes:
            masks[name] = mask
    decoded: dict[int, frozenset[str]] = {}
    for mask in set(masks.values()):
        decoded[mask] = frozenset(name for bit, name in enumerate(names) if mask >> bit & 1)
    return {name: decoded[mask] for name, mask in masks.items()}
