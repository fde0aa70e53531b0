"""Telling the store operator how far apart results may be that count as the same."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from actcache.base.tolerance import FINEST
from actcache.passes.graph.nodes import all_nodes
from actcache.passes.rewrite.outline import DOMAIN

#: Attribute of ``CacheStore``; not there where :data:`actcache.base.tolerance.FINEST` holds.
TOLERANCE = "tolerance"


def state_tolerances(model: onnx.ModelProto, tolerances: Mapping[str, float]) -> None:
    """Write the accepted relative difference of each region into its ``CacheStore``, where it is a coarse one.

    Args:
        model: The compiled model; edited.
        tolerances: Region id to the relative difference that is accepted of its live-outs.
    """
    for node in all_nodes(model.graph.node):
        if node.domain != DOMAIN or node.op_type != "CacheStore":
            continue
        region = next(a.s.decode() for a in node.attribute if a.name == "region")
        if tolerances.get(region, 0.0) > FINEST:
            node.attribute.append(onnx.helper.make_attribute(TOLERANCE, tolerances[region]))
