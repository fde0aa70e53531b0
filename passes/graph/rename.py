"""Renaming of tensors in nodes and in the bodies that they carry, with ONNX's scoping."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from actcache.passes.graph.nodes import subgraphs


def rename_reads(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename what a node reads, also where one of its bodies captures it. A name that a body defines is its own."""
    for slot, name in enumerate(node.input):
        if name in names:
            node.input[slot] = names[name]
    for body in subgraphs(node):
        _rename_captured(body, names)


def rename_writes(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename what a node writes."""
    for slot, name in enumerate(node.output):
        if name in names:
            node.output[slot] = names[name]


def _rename_captured(body: onnx.GraphProto, names: Mapping[str, str]) -> None:
    local = {v.name for v in body.input} | {t.name for t in body.initializer}
    local |= {t.values.name for t in body.sparse_initializer}
    local.update(o for inner in body.node for o in inner.output)
    visible = {old: new for old, new in names.items() if old not in local}
    if not visible:
        return
    for inner in body.node:
        rename_reads(inner, visible)
    for value in body.output:
        if value.name in visible:
            value.name = visible[value.name]
