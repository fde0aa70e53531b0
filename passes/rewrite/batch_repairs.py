"""Ways to make a node that has the batch size baked in work for any batch size.

Each is equal to what was there when the batch has the size that the model was made for:

* an entry B·k of a shape (``Reshape``, ``Expand``, ``Tile``, …) becomes N·k;
* a constant that holds the same values for each of B rows becomes those values, expanded to N rows;
* the numbers 0 … B - 1 (times a stride) become those from 0 to N - 1;
* coordinates (``GatherND``), the first of which is the row's own and the others the same for each row: both of these.

Which of them is right for a node is not decided here: the row analysis tells which makes it keep rows apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx

from actcache.passes.graph.constant_values import Array, ConstantValues

#: Inputs that hold sizes, by operator of ai.onnx.
_SIZES = {"ConstantOfShape": (0,), "Expand": (1,), "Reshape": (1,), "Resize": (3,), "Slice": (2,), "Tile": (1,)}
#: At most so many ways to change several inputs of one node at once are tried.
_MAX_TOGETHER = 32
#: Makes nodes and constants; returns the name of the result.
_Make = Callable[["_Maker"], str]
#: The newest of the operators that repairs are made of, and their opsets.
_EXPAND_OPSET, _RANGE_OPSET = 8, 11


@dataclass(frozen=True)
class Replacement:
    """A tensor that replaces a constant: what computes it."""

    name: str
    nodes: tuple[onnx.NodeProto, ...]
    initializers: tuple[onnx.TensorProto, ...]


@dataclass(frozen=True)
class Repair:
    """A node that reads replacements in place of constants."""

    node: onnx.NodeProto
    replacements: tuple[Replacement, ...]


class Repairs:
    """Finds repairs for the nodes of one model.

    Args:
        batch: The batch size B that the model was made for.
        size: Name of the tensor that holds the batch size, int64 of shape [1].
        values: The model's constants.
        opset: Its version of ai.onnx.
        prefix: Begins the names of new tensors.
    """

    def __init__(self, batch: int, size: str, values: ConstantValues, opset: int, prefix: str) -> None:
        self._batch, self._size, self._values, self._opset, self._prefix = batch, size, values, opset, prefix
        self._made: dict[Hashable, Replacement] = {}

    def of(self, node: onnx.NodeProto) -> Iterator[Repair]:
        """Yield the repairs of a node, likeliest first: one input changed, then several."""
        if node.domain not in ("", "ai.onnx", "com.microsoft"):
            return
        choices = {slot: found for slot, name in enumerate(node.input) if (found := self._choices(node, slot, name))}
        for slot, found in choices.items():
            for replacement in found:
                yield _with_inputs(node, [(slot, replacement)])
        if len(choices) > 1:
            every = itertools.product(*([(s, None), *((s, r) for r in found)] for s, found in choices.items()))
            several = ([(s, r) for s, r in chosen if r is not None] for chosen in every)
            for chosen in itertools.islice((c for c in several if len(c) > 1), _MAX_TOGETHER):
                yield _with_inputs(node, chosen)

    def why_not(self, node: onnx.NodeProto) -> str | None:
        """Return, for a node that no repair helps, which of its constants is not the same for all rows."""
        for slot, name in enumerate(node.input):
            shape = self._values.shape(name)
            if shape is None or slot in _SIZES.get(node.op_type, ()) or self._batch == 1:
                continue
            if shape[:1] == (self._batch,) and not self._choices(node, slot, name):
                return f"the constant '{name}' of shape {list(shape)} differs from row to row"
        return None

    def _choices(self, node: onnx.NodeProto, slot: int, name: str) -> list[Replacement]:
        shape = self._values.shape(name)
        if shape is None:
            return []
        if slot in _SIZES.get(node.op_type, ()):
            return list(self._sizes(name))
        return [*self._repeated(name, shape), *self._positions(name, shape), *self._coordinates(name, shape)]

    # -- sizes ---------------------------------------------------------------------------------------

    def _sizes(self, name: str) -> Iterator[Replacement]:
        target = self._values.value(name)
        if target is None or target.dtype != np.int64 or target.ndim != 1:
            return
        entries = [int(entry) for entry in target]
        fitting = [p for p, entry in enumerate(entries) if entry > 0 and entry % self._batch == 0]
        for place in sorted(fitting, key=lambda p: entries[p] != self._batch):
            yield self._new(("sizes", tuple(entries), place), partial(self._size_nodes, entries, place))

    def _size_nodes(self, entries: list[int], place: int, made: _Maker) -> str:
        size, times = self._size, entries[place] // self._batch
        if times != 1:
            size = made.node("Mul", [size, made.constant(np.array([times], np.int64))])
        parts = [made.constant(np.array(entries[:place], np.int64))] if place else []
        parts.append(size)
        if place + 1 < len(entries):
            parts.append(made.constant(np.array(entries[place + 1 :], np.int64)))
        return made.node("Concat", parts, axis=0)

    # -- values --------------------------------------------------------------------------------------

    def _repeated(self, name: str, shape: tuple[int, ...]) -> Iterator[Replacement]:
        """Constants of N equal blocks along an axis: one block, expanded. A batch of 1 has one block everywhere."""
        axes = [a for a, size in enumerate(shape) if size and size % self._batch == 0]
        if self._batch == 1:
            axes = [a for a in axes if shape[a] == 1]
        if not axes or self._opset < _EXPAND_OPSET:
            return
        value = self._values.value(name)
        if value is None or value.dtype.kind not in "fiub":
            return
        for axis in sorted(axes, key=lambda a: shape[a] != self._batch):
            block = _block(value, axis, self._batch)
            if block is not None:
                yield self._new(("rows", name, axis), partial(self._row_nodes, block, axis))

    def _row_nodes(self, block: Array, axis: int, made: _Maker) -> str:
        """[…, 1, k, …] expanded to [N, k] there, then flattened to N·k; a k of 1 needs no second axis."""
        flat = (*block.shape[:axis], -1, *block.shape[axis + 2 :])
        single = block.shape[axis + 1] == 1
        if single:
            block = block.reshape(*block.shape[: axis + 1], *block.shape[axis + 2 :])
        parts = [made.constant(np.ones(axis, np.int64))] if axis else []
        parts.append(self._size)
        if axis + 1 < block.ndim:
            parts.append(made.constant(np.ones(block.ndim - axis - 1, np.int64)))
        rows = made.node("Expand", [made.constant(block), made.node("Concat", parts, axis=0)])
        return rows if single else made.node("Reshape", [rows, made.constant(np.array(flat, np.int64))])

    def _positions(self, name: str, shape: tuple[int, ...]) -> Iterator[Replacement]:
        if int(np.prod(shape)) != self._batch or not shape or self._opset < _RANGE_OPSET:
            return
        value = self._values.value(name)
        if value is None or value.dtype != np.int64:
            return
        flat, axis = value.reshape(-1), int(np.argmax(shape))
        stride = int(flat[1] - flat[0]) if flat.size > 1 else 1
        if stride and np.array_equal(flat, np.arange(self._batch) * stride):
            yield self._new(("positions", name), partial(self._position_nodes, stride, axis, len(shape)))

    def _coordinates(self, name: str, shape: tuple[int, ...]) -> Iterator[Replacement]:
        axes = [a for a, size in enumerate(shape[:-1]) if size == self._batch]
        if not axes or shape[-1] < 2 or self._opset < _RANGE_OPSET:
            return
        value = self._values.value(name)
        if value is None or value.dtype != np.int64:
            return
        for axis in axes:
            own = np.arange(self._batch).reshape([-1 if a == axis else 1 for a in range(len(shape) - 1)])
            block = _block(value[..., 1:], axis, self._batch)
            if block is not None and np.array_equal(value[..., 0], np.broadcast_to(own, shape[:-1])):
                yield self._new(("coordinates", name, axis), partial(self._coordinate_nodes, block, axis))

    def _coordinate_nodes(self, block: Array, axis: int, made: _Maker) -> str:
        others = self._row_nodes(block, axis, made)
        shape = [size for a, size in enumerate(block.shape) if a != axis + 1]
        own = self._position_nodes(1, axis, len(shape), made)
        spread = made.node("Expand", [own, made.constant(np.array([*shape[:-1], 1], np.int64))])
        return made.node("Concat", [spread, others], axis=-1)

    def _position_nodes(self, stride: int, axis: int, rank: int, made: _Maker) -> str:
        zero, one = made.constant(np.array(0, np.int64)), made.constant(np.array(1, np.int64))
        positions = made.node("Range", [zero, made.node("Squeeze", [self._size]), one])
        if stride != 1:
            positions = made.node("Mul", [positions, made.constant(np.array(stride, np.int64))])
        if rank == 1:
            return positions
        target = [-1 if a == axis else 1 for a in range(rank)]
        return made.node("Reshape", [positions, made.constant(np.array(target, np.int64))])

    def _new(self, key: Hashable, make: _Make) -> Replacement:
        if key not in self._made:
            maker = _Maker(f"{self._prefix}{len(self._made)}")
            name = make(maker)
            self._made[key] = Replacement(name, tuple(maker.nodes), tuple(maker.initializers))
        return self._made[key]


class _Maker:
    """Collects new nodes and constants under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"{self._prefix}/{operator.lower()}{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, value: Array) -> str:
        name = f"{self._prefix}/constant{len(self.initializers)}"
        self.initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name


def _block(value: Array, axis: int, batch: int) -> Array | None:
    """Return one of `batch` equal blocks along `axis`, of shape […, 1, k, …]; None if they differ."""
    shape = value.shape
    blocks = value.reshape(*shape[:axis], batch, shape[axis] // batch, *shape[axis + 1 :])
    first = np.take(blocks, [0], axis)
    same = np.broadcast_to(first, blocks.shape).tobytes() == blocks.tobytes()
    return first if same else None


def _with_inputs(node: onnx.NodeProto, chosen: Sequence[tuple[int, Replacement]]) -> Repair:
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    for slot, replacement in chosen:
        changed.input[slot] = replacement.name
    return Repair(changed, tuple(replacement for _, replacement in chosen))
