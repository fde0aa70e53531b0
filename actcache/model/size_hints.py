"""Which sizes the open axes of an input most likely have, read off the weights that its values meet.

A product with a matrix ``[162, 25]`` wants 162 entries along the last axis, a recurrent net as many as its weights
have columns, a sum with a constant ``[80, 3]`` wants 80 and 3. Models of features by frames often declare neither
size. How axes move on the way is not followed: these are hints for making inputs up, never proofs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import onnx

from actcache.passes.graph.nodes import subgraphs

#: Sizes of the last axes; 1 says nothing.
Ends = tuple[int, ...]

#: Hints for each input, the nearest weights first.
SizeHints = Mapping[str, tuple[Ends, ...]]

_ONNX = ("", "ai.onnx")

#: Hand on tensors whose sizes are those of their first input, perhaps on other axes.
_KEEPS_SIZES = frozenset(
    {"Abs", "Cast", "Clip", "Identity", "Log", "Relu", "Sigmoid", "Slice", "Squeeze", "Tanh", "Transpose", "Unsqueeze"}
)

_ELEMENTWISE = frozenset({"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"})

#: Make weights out of stored ones, of the same shape.
_KEEPS_SHAPE = frozenset({"Cast", "DequantizeLinear", "Identity"})

_MOST = 3


def size_hints(model: onnx.ModelProto) -> SizeHints:
    """Return up to three hints for every graph input of `model`."""
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = defaultdict(list)
    weights: dict[str, Ends] = {}
    for graph in _graphs(model.graph):
        for tensor in graph.initializer:
            weights.setdefault(tensor.name, tuple(tensor.dims))
        for node in graph.node:
            for position, name in enumerate(node.input):
                readers[name].append((node, position))
            if node.op_type == "Constant" and node.domain in _ONNX:
                weights.update((node.output[0], tuple(a.t.dims)) for a in node.attribute if a.name == "value")
            elif node.op_type in _KEEPS_SHAPE and node.input and node.input[0] in weights:
                weights.setdefault(node.output[0], weights[node.input[0]])
    return {value.name: _follow(value.name, readers, weights) for value in model.graph.input}


def _follow(
    start: str, readers: Mapping[str, list[tuple[onnx.NodeProto, int]]], weights: Mapping[str, Ends]
) -> tuple[Ends, ...]:
    hints: dict[Ends, None] = {}
    waiting, seen = [start], {start}
    while waiting and len(hints) < _MOST:
        name = waiting.pop(0)
        for node, position in readers.get(name, ()):
            if node.domain not in _ONNX:
                continue
            ends = _ends(node, position, weights)
            if any(size > 1 for size in ends):
                hints[ends] = None
            if (node.op_type in _KEEPS_SIZES and position == 0) or (node.op_type in _ELEMENTWISE and ends):
                waiting += [output for output in node.output if output and output not in seen]
                seen.update(node.output)
    return tuple(hints)[:_MOST]


def _ends(node: onnx.NodeProto, position: int, weights: Mapping[str, Ends]) -> Ends:
    """Return the sizes that `node` wants of the last axes of its input at `position`; none if it does not say."""
    operator, given = node.op_type, [weights.get(name) for name in node.input]
    if operator in _ELEMENTWISE and len(given) == 2:
        return given[1 - position] or ()
    if operator in ("MatMul", "Gemm") and position == 0 and len(given) > 1:
        matrix = given[1] or ()
        turned = any(a.name == "transB" and a.i for a in node.attribute)
        return (matrix[-1 if turned else -2],) if len(matrix) > 1 else ()
    if operator in ("GRU", "LSTM", "RNN") and position == 0 and len(given) > 1:
        stored = given[1] or ()
        return (stored[2],) if len(stored) == 3 else ()
    if operator == "LayerNormalization" and position == 0 and len(given) > 1:
        return given[1] or ()
    return ()


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for body in subgraphs(node):
            yield from _graphs(body)
