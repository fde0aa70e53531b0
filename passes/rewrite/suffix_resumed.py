"""Operators that go along the sequence: how the branch of a suffix goes on from position P.

Each function writes the suffix of the node's first output to `part`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from actcache.passes.rewrite.suffix_sizes import SuffixSizes

RECURRENT = frozenset({"RNN", "GRU"})


def compute_all(source: onnx.NodeProto, inputs: Sequence[str], part: str, sizes: SuffixSizes, axis: int) -> None:
    """What is cheap: it is computed at all positions, and the suffix cut out of it."""
    sizes.nodes.append(_like(source, inputs, f"{part}.whole"))
    sizes.cut(f"{part}.whole", part, [axis])


def convolve(source: onnx.NodeProto, inputs: Sequence[str], part: str, sizes: SuffixSizes) -> None:
    """A causal convolution that pads in front: its first input has all positions, along axis 2."""
    node = _like(source, [f"{part}.window", *inputs[1:]], part)
    pads = next(a.ints for a in node.attribute if a.name == "pads")
    padded = sizes.node("Pad", inputs[0], sizes.vector([0, 0, pads[0], 0, 0, 0]))
    sizes.cut(padded, f"{part}.window", [2])
    pads[0] = 0
    sizes.nodes.append(node)


def go_on(
    source: onnx.NodeProto, inputs: Sequence[str], cached: str, part: str, sizes: SuffixSizes, dtype: int
) -> None:
    """A recurrence: its first input has the suffix; it begins with what it last gave, of `cached` [P, 1, B, H]."""
    x, _, r, *rest = inputs
    batch = sizes.node("Gather", sizes.node("Shape", x), sizes.vector([1]), axis=0)
    width = sizes.node("Gather", sizes.node("Shape", r), sizes.vector([2]), axis=0)
    shape = sizes.node("Concat", sizes.vector([1, 1]), batch, width, axis=0)
    if len(rest) > 2 and rest[2]:
        first = sizes.node("Reshape", rest[2], shape)
    else:
        first = sizes.node("Expand", sizes.node("Cast", sizes.vector([0]), to=dtype), shape)
    before = sizes.node("Concat", first, cached, axis=0)
    at = sizes.node("Gather", before, sizes.node("Reshape", sizes.vector([-1]), sizes.vector([])), axis=0)
    sizes.nodes.append(_like(source, [*inputs[:3], rest[0] if rest else "", "", at], part))


def attend(source: onnx.NodeProto, inputs: Sequence[str], part: str, sizes: SuffixSizes, types: Sequence[int]) -> None:
    """Attention of the suffix's queries to all keys. What ``is_causal`` says is said by a mask: see its causal rule."""
    operands = list(inputs)
    if any(a.name == "is_causal" and a.i for a in source.attribute):
        zero, one = (sizes.node("Reshape", sizes.vector([n]), sizes.vector([])) for n in (0, 1))
        key = sizes.node("Range", zero, sizes.node("Reshape", sizes.all, sizes.vector([])), one)
        query = sizes.node(
            "Range", *(sizes.node("Reshape", n, sizes.vector([])) for n in (sizes.known, sizes.all)), one
        )
        column = sizes.node("Reshape", query, sizes.vector([-1, 1]))
        mask = sizes.node("LessOrEqual", key, column)
        given = operands[3] if len(operands) > 3 else ""
        if given and types[3] == onnx.TensorProto.BOOL:
            mask = sizes.node("And", mask, given)
        elif given:
            mask = sizes.node("Where", mask, given, sizes.constant(np.array(-np.inf), types[3]))
        operands[3:4] = [mask]
    node = _like(source, operands, part)
    for attribute in node.attribute:
        if attribute.name == "is_causal":
            attribute.i = 0
    sizes.nodes.append(node)


def _like(source: onnx.NodeProto, inputs: Sequence[str], output: str) -> onnx.NodeProto:
    """A node with other inputs, and one output."""
    node = onnx.NodeProto()
    node.CopyFrom(source)
    node.name = f"{source.name} {output}" if source.name else ""
    del node.input[:], node.output[:]
    node.input.extend(inputs)
    node.output.append(output)
    return node
