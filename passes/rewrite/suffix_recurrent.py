"""Recurrences: they take one position after the other, and carry something along. Here: what tells all that it carries.

It is in outputs that have it at each position, so the suffix begins with what the last known position gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from actcache.passes.causal.registry import Carried, Recurrence
from actcache.passes.graph.nodes import subgraphs
from actcache.passes.rewrite.suffix_resumed import Resumed

#: Before, Unsqueeze had its axes as an attribute.
_AXES_ARE_READ = 13


def recur(at: Resumed) -> None:
    """Go on with what the last known position gave."""
    recurrence = recurrence_of(at)
    begins = []
    for carried in recurrence.carried:
        shown = carried.shown or 0
        begins.append(begun(at, carried, at.given(shown), recurrence.gives[shown]))
    outputs = [
        at.parts.get(number) or at.final(number) or f"{at.part}.last{number}"
        for number, name in enumerate(at.source.output)
    ]
    at.add(operands(at, {}, begins), *outputs)


def recurrence_of(at: Resumed) -> Recurrence:
    """Return how a node goes along the positions.

    Raises:
        TypeError: It does not take one after the other.
    """
    if at.recurrence is None:
        raise TypeError(f"{at.source.op_type} is no recurrence")
    return at.recurrence


def with_ranks(source: onnx.NodeProto, ranks: Sequence[int | None], types: Sequence[int]) -> onnx.NodeProto:
    """Return a node whose body, if it has one, says which ranks its outputs have, where it does not say more.

    onnxruntime runs no Scan whose outputs have no known ranks. In a branch it knows less of what is handed in. A rank
    is not said without a type; `types`: of all outputs, 0 where it is not known.
    """
    node = onnx.NodeProto()
    node.CopyFrom(source)
    for body in subgraphs(node):
        for value, rank, dtype in zip(body.output, ranks, types, strict=True):
            tensor = value.type.tensor_type
            if rank is not None and not tensor.HasField("shape") and (tensor.elem_type or dtype):
                tensor.elem_type = tensor.elem_type or dtype
                tensor.shape.SetInParent()
                for _ in range(rank):
                    tensor.shape.dim.add()
    return node


def operands(at: Resumed, read: Mapping[int, str], begins: Sequence[str]) -> list[str]:
    """Return the operands of a node: the original's, but for those in `read`, and what it begins with."""
    recurrence = recurrence_of(at)
    given = {slot: at.own(slot) for slot in at.slots} | dict(read)
    given |= {carried.begin: begin for carried, begin in zip(recurrence.carried, begins, strict=True)}
    return [given.get(slot, "") for slot in range(max(given) + 1)]


def begun(at: Resumed, carried: Carried, known: str, axis: int) -> str:
    """Return what a recurrence begins with: the last that is known, along an axis, else what the original begins with.

    Where the original leaves that out (RNN, GRU, LSTM), it begins with zeros, [1, B, H].
    """
    sizes = at.sizes
    first = positioned(at, at.own(carried.begin), axis) if at.has(carried.begin) else _zeros(at)
    before = sizes.node("Concat", first, known, axis=axis)
    return sizes.node("Gather", before, sizes.node("Reshape", sizes.vector([-1]), sizes.vector([])), axis=axis)


def positioned(at: Resumed, tensor: str, axis: int) -> str:
    """Return a tensor with an axis of one position more."""
    if at.opset < _AXES_ARE_READ:
        return at.sizes.node("Unsqueeze", tensor, axes=(axis,))
    return at.sizes.node("Unsqueeze", tensor, at.sizes.vector([axis]))


def _zeros(at: Resumed) -> str:
    """Return zeros, [1, 1, B, H]."""
    sizes = at.sizes
    batch = sizes.node("Gather", sizes.node("Shape", at.own(0)), sizes.vector([1]), axis=0)
    width = sizes.node("Gather", sizes.node("Shape", at.own(2)), sizes.vector([2]), axis=0)
    shape = sizes.node("Concat", sizes.vector([1, 1]), batch, width, axis=0)
    return sizes.node("Expand", sizes.node("Cast", sizes.vector([0]), to=at.dtype(2)), shape)
