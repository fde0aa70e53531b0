"""A region as it was before it was outlined, kept with its ``CacheStore`` where its branch computes in another way.

The branch of a region of prefixes computes the last positions of a call only: its nodes are not those of the model that
was compiled. They are kept as bytes, which no runtime looks at, for whoever takes the region out again.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from actcache.passes.graph.nodes import node_attribute

#: The attribute of ``CacheStore``.
ATTRIBUTE = "original"


def keep_region(
    store: onnx.NodeProto,
    nodes: Iterable[onnx.NodeProto],
    constants: Iterable[onnx.TensorProto],
    values: Iterable[onnx.ValueInfoProto],
) -> None:
    """Keep a region.

    Args:
        store: Its ``CacheStore``.
        nodes: Its nodes, with the names of the model.
        constants: Those that moved into the branch.
        values: What the model says of tensors inside.
    """
    graph = onnx.GraphProto(name="region")
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    graph.value_info.extend(values)
    store.attribute.append(onnx.helper.make_attribute(ATTRIBUTE, graph.SerializeToString(deterministic=True)))


def kept_region(store: onnx.NodeProto) -> onnx.GraphProto | None:
    """Return what :func:`keep_region` kept; None: the branch has the region's own nodes."""
    kept = node_attribute(store, ATTRIBUTE)
    return None if kept is None else onnx.GraphProto.FromString(kept.s)
