"""Filling up: a node that gives a single row other bits than several computes two rows where one is missing of more.

::

    x ─► If ─ one row is missing of a larger call: Concat(x, x) ─► node ─► Split ─► y
              else:                                            x ─► node ──────────► y

All other nodes of the region compute the one row that is missing
(:attr:`actcache.passes.region.Region.filled`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx
from onnx.helper import make_graph, make_node, make_tensor

from actcache.passes.region import Region

Axes = Mapping[str, int]
#: Says what a value is: its name in the model, and the name it has now.
Describe = Callable[[str, str], onnx.ValueInfoProto]

#: From this opset on, Split is told the number of its outputs.
_SPLIT_COUNTS = 18


def fill_up(
    branch: onnx.GraphProto, region: Region, inside: Mapping[str, str], mark: str, opset: int, describe: Describe
) -> None:
    """Have the nodes of a region's branch that :attr:`~actcache.passes.region.Region.filled` names compute two rows.

    Args:
        branch: Computes the missing rows; edited.
        region: The region.
        inside: What tensors are called in the branch, where that is another name.
        mark: Is appended to new names, and makes them unique.
        opset: Of the model.
        describe: Describes the outputs of a node under other names.
    """
    axes = {inside.get(output, output): found for output, found in region.filled.items()}
    names = {now: name for name, now in inside.items()}
    nodes, found = [], False
    for node in branch.node:
        if node.output and node.output[0] in axes:
            here = {inside.get(name, name): axis for name, axis in axes[node.output[0]].items()}
            node = _filled_up(node, here, mark, opset, lambda name, new: describe(names.get(name, name), new))
            found = True
        nodes.append(node)
    if not found:
        return  # a region inside this one has them
    call, axis = next(iter(region.compact_axes().items()))
    told, constants = _is_one_of_more(call, inside[call], axis, mark)
    branch.initializer.extend(constants)
    nodes = [*told, *nodes]
    del branch.node[:]
    branch.node.extend(nodes)


def _is_one_of_more(
    call: str, missing: str, axis: int, mark: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return what tells whether one row is missing of a call of more: the bool ``fill_up<mark>``. `call` has all rows,
    `missing` the missing ones, both on one axis.
    """
    one, place, constants = f"one{mark}", f"row_axis{mark}", []
    for name, value in ((one, 1), (place, axis)):
        constants.append(make_tensor(name, onnx.TensorProto.INT64, [], [value]))
    nodes = []
    for what, tensor in (("call", call), ("missing", missing)):
        nodes.append(make_node("Shape", [tensor], [f"{what}_sizes{mark}"]))
        nodes.append(make_node("Gather", [f"{what}_sizes{mark}", place], [f"{what}_rows{mark}"], axis=0))
        nodes.append(make_node("Equal", [f"{what}_rows{mark}", one], [f"{what}_is_one{mark}"]))
    nodes.append(make_node("Not", [f"call_is_one{mark}"], [f"call_is_more{mark}"]))
    nodes.append(make_node("And", [f"call_is_more{mark}", f"missing_is_one{mark}"], [f"fill_up{mark}"]))
    return nodes, constants


def _filled_up(node: onnx.NodeProto, axes: Axes, mark: str, opset: int, describe: Describe) -> onnx.NodeProto:
    """Return an ``If`` in place of a node, which has no bodies. `axes`: the tensors with rows that it reads and writes,
    each with the axis of its rows.
    """
    name = node.output[0]
    written = [output for output in node.output if output]
    twice = {x: f"{name}{mark}.{slot}" for slot, x in enumerate(node.input) if x in axes}
    before = [make_node("Concat", [x, x], [two], axis=axes[x]) for x, two in twice.items()]
    counted: dict[str, Any] = {"num_outputs": 2} if opset >= _SPLIT_COUNTS else {}
    behind = [
        make_node("Split", [f"{y}{mark}.two"], [f"{y}{mark}.one", f"{y}{mark}.same"], axis=axes[y], **counted)
        for y in written
    ]
    several = _renamed(node, twice, {y: f"{y}{mark}.two" for y in written})
    plain = _renamed(node, {}, {y: f"{y}{mark}.plain" for y in written})
    outputs = {kind: [describe(y, f"{y}{mark}.{kind}") for y in written] for kind in ("one", "plain")}
    return make_node(
        "If",
        [f"fill_up{mark}"],
        written,
        f"{node.name or name}{mark} filled up",
        then_branch=make_graph([*before, several, *behind], f"{name}{mark} of two rows", [], outputs["one"]),
        else_branch=make_graph([plain], f"{name}{mark} as it is", [], outputs["plain"]),
    )


def _renamed(node: onnx.NodeProto, reads: Mapping[str, str], writes: Mapping[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [reads.get(x, x) for x in node.input]
    copy.output[:] = [writes.get(y, y) for y in node.output]
    return copy
