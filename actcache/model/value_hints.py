"""Which values an input may sensibly take, read off the nodes that use it.

An integer that looks up rows of a table has to be smaller than the table; one that is compared with a
constant is interesting where it equals that constant; one that only takes part in arithmetic is most likely a
mask. These are hints for making inputs up, never proofs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx

_ONNX = ("", "ai.onnx")

#: Hand the values of their first input on, moved but not changed.
_MOVES_VALUES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
)

#: Make a table out of a stored one: a quantised embedding, for instance. Values are taken as stored: a hint.
_KEEPS_SHAPE = frozenset({"Cast", "DequantizeLinear", "Identity", "Mul"})

#: Constants up to this many elements are looked into.
_SMALL = 65_536

_COMPARES = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})

#: com.microsoft:EmbedLayerNormalization: index input to the input that is its table.
_EMBED_TABLES = {0: 2, 1: 4, 8: 3}


@dataclass
class ValueHint:
    """What is known about the values of one input.

    Attributes:
        bound: Values must be below this (the smallest table that they index), or None.
        indexes: Values are used as indices, of a table whose size may be unknown.
        compared: Constants that the values are compared with, in order of appearance.
    """

    bound: int | None = None
    indexes: bool = False
    compared: list[float] = field(default_factory=list)

    def below(self, bound: int | None) -> None:
        """Note that the values are indices below `bound` (None: of a table of unknown size)."""
        self.indexes = True
        if bound is not None and bound > 0:
            self.bound = bound if self.bound is None else min(self.bound, bound)


@dataclass(frozen=True)
class _Constant:
    dims: tuple[int, ...]
    value: float | None = None  # of a scalar
    largest: float | None = None  # of several


def value_hints(model: onnx.ModelProto) -> dict[str, ValueHint]:
    """Return a hint for every graph input of `model`, nested bodies included in the search."""
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = defaultdict(list)
    constants: dict[str, _Constant] = {}
    for graph in _graphs(model.graph):
        for tensor in graph.initializer:
            constants.setdefault(tensor.name, _constant(tensor))
        for node in graph.node:
            for position, name in enumerate(node.input):
                readers[name].append((node, position))
            if node.op_type == "Constant" and node.domain in _ONNX:
                constants.update(_constant_node(node))
            elif node.op_type in _KEEPS_SHAPE and all(name in constants for name in node.input):
                constants.setdefault(node.output[0], constants[node.input[0]])
    return {value.name: _follow(value.name, readers, constants) for value in model.graph.input}


def _follow(
    start: str, readers: dict[str, list[tuple[onnx.NodeProto, int]]], constants: dict[str, _Constant]
) -> ValueHint:
    hint = ValueHint()
    waiting, seen = [(start, 0)], {start}
    while waiting:
        name, added = waiting.pop(0)
        for node, position in readers.get(name, ()):
            _note(hint, node, position, added, constants)
            more = _shift(node, position, constants)
            if more is None:
                continue
            for output in node.output:
                if output and output not in seen:
                    seen.add(output)
                    waiting.append((output, added + more))
    return hint


def _note(hint: ValueHint, node: onnx.NodeProto, position: int, added: int, constants: dict[str, _Constant]) -> None:
    """Read what `node` says about the value at `position`, which is the input's value plus `added`."""
    operator = node.op_type
    if operator in ("Gather", "GatherElements", "GatherBlockQuantized") and position == 1:
        axis = _int_attribute(node, "gather_axis" if operator == "GatherBlockQuantized" else "axis", 0)
        hint.below(_less(_dim(constants.get(node.input[0]), axis), added))
    elif operator == "GatherND" and position == 1:
        table = constants.get(node.input[0])
        hint.below(_less(min(table.dims) if table and table.dims else None, added))
    elif operator == "OneHot" and position == 0:
        depth = constants.get(node.input[1])
        hint.below(_less(int(depth.value) if depth and depth.value is not None else None, added))
    elif operator == "EmbedLayerNormalization" and position in _EMBED_TABLES:
        table_position = _EMBED_TABLES[position]
        hint.below(_less(_dim(constants.get(node.input[table_position]), 0), added))
    elif operator in _COMPARES and node.domain in _ONNX:
        other = constants.get(node.input[1 - position])
        if other is not None and other.value is not None:
            hint.compared.append(other.value - added)
        elif other is not None and other.largest is not None and operator == "Equal":
            hint.below(int(other.largest) + 1 - added)  # one-hot: compared with every number below a bound


def _shift(node: onnx.NodeProto, position: int, constants: dict[str, _Constant]) -> int | None:
    """Return what `node` adds to the values it hands on, or None if it makes other values."""
    if node.domain not in _ONNX:
        return None
    if node.op_type in _MOVES_VALUES:
        return 0 if position == 0 else None
    if node.op_type == "Concat":
        return 0
    if node.op_type in ("Add", "Sub") and not (node.op_type == "Sub" and position == 1):
        other = constants.get(node.input[1 - position])
        if other is not None and other.value is not None:
            return int(other.value) if node.op_type == "Add" else -int(other.value)
    return None


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
            for body in attribute.graphs:
                yield from _graphs(body)


def _constant(tensor: onnx.TensorProto) -> _Constant:
    dims = tuple(tensor.dims)
    count = int(np.prod(dims, dtype=np.int64))
    stored = tensor.data_location != onnx.TensorProto.EXTERNAL and tensor.data_type != onnx.TensorProto.STRING
    if not stored or not 0 < count <= _SMALL:
        return _Constant(dims)
    values = np.asarray(onnx.numpy_helper.to_array(tensor)).astype(np.float64).reshape(-1)
    largest = float(values.max())
    if not np.isfinite(largest):
        return _Constant(dims)
    return _Constant(dims, value=largest) if count == 1 else _Constant(dims, largest=largest)


def _constant_node(node: onnx.NodeProto) -> dict[str, _Constant]:
    for attribute in node.attribute:
        if attribute.name == "value":
            return {node.output[0]: _constant(attribute.t)}
        if attribute.name in ("value_int", "value_float"):
            number = attribute.i if attribute.name == "value_int" else attribute.f
            return {node.output[0]: _Constant((), value=float(number))}
    return {}


def _int_attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def _dim(constant: _Constant | None, axis: int) -> int | None:
    if constant is None or not -len(constant.dims) <= axis < len(constant.dims):
        return None
    return constant.dims[axis]


def _less(size: int | None, added: int) -> int | None:
    return None if size is None else size - added
