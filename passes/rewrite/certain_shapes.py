"""Which shapes of a region's results are certain, whatever the model says of them."""

from __future__ import annotations

from actcache.passes.graph.view import GraphView
from actcache.passes.region import Region
from actcache.passes.rows import prove_rows


def certain_shapes(view: GraphView, region: Region) -> frozenset[str]:
    """Return the live-outs whose fixed shape follows from the graph's inputs and constants, whatever the model says."""
    stated = {name: view.shape(name) or () for name in region.live_outs}
    fixed = [name for name, shape in stated.items() if all(isinstance(size, int) for size in shape)]
    if not fixed:
        return frozenset()
    proof = prove_rows(view, {}, unread=view.inputs)  # no lookup checks what a shape was derived from
    known = {name: shape for name in fixed if (shape := proof.shape(name)) is not None}
    return frozenset(name for name, shape in known.items() if tuple(size.value for size in shape) == stated[name])
