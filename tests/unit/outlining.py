"""Regions put into small models, without the compiler around it."""

from __future__ import annotations

import itertools

import onnx

from actcache.base.per_call import ACCOUNT, CONTROL, NAMESPACE, PerCall
from actcache.passes.cuts import RowCut, WholeCut
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import canonical_frontier
from actcache.passes.region import Region, live_outs, with_private_constants
from actcache.passes.rewrite.outline import outline_in


def region_of(view: GraphView, nodes: set[int], granularity: str = "row", name: str = "r") -> Region:
    chosen = with_private_constants(view, frozenset(nodes))
    outs = live_outs(view, chosen)
    frontier = canonical_frontier(view, chosen, outs)
    whole = WholeCut.of(len(frontier), len(outs))
    cut = RowCut((0,) * len(frontier), (0,) * len(outs)) if granularity == "row" else whole
    return Region(name, chosen, tuple(frontier), tuple(outs), cut)


ALL = PerCall(NAMESPACE, CONTROL, ACCOUNT)


#: Three nodes of which each region holds one more than the region inside it.
CHAIN = "chain (float[N, 2] x) => (float[N, 2] y) { a = Neg(x) b = Tanh(a) y = Abs(b) }"


_FINGERPRINTS = (f"{number:064x}" for number in itertools.count(0x9E7CA11))


def outlined(proto: onnx.ModelProto, *regions: set[int], granularity: str = "row") -> onnx.ModelProto:
    """Outline regions of `proto`, a region inside another before it; their ids are r0, r1, ..."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    for number, nodes in enumerate(regions):
        view = GraphView(proto)
        outline_in(result, view, region_of(view, nodes, granularity, f"r{number}"), next(_FINGERPRINTS))
    return result
