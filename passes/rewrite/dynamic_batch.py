"""A batch of constant size made variable: for models exported for one batch size.

The batch size B is taken from the graph inputs. Going through the model with the row analysis, every node at which rows
would stop being kept apart has the constants that it reads replaced (``batch_repairs``), so that it keeps them. Each
replacement equals the constant for a batch of B, so the result is the same model there; and the whole result is proven
to compute each row alone, so it gives every row, in a batch of any size, what the original gives it in a batch of B.
A B that is left somewhere, or a constant that differs from row to row, leaves rows unproven: that is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.constant_values import ConstantValues, ReadTensor
from actcache.passes.graph.nodes import all_nodes, node_reads, subgraphs
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.batch_repairs import Repair, Repairs, Replacement
from actcache.passes.rows import Mixed, Row, RowFree, RowProof, prove_rows
from actcache.passes.rows.analysis import Interpreter
from actcache.passes.rows.joining import join
from actcache.passes.rows.state import Value

_RULE = "fixed-batch"
_TIME_FIRST = frozenset({"GRU", "LSTM", "RNN"})
#: Begins the names of what is put into the model.
_PREFIX = "dynamic_batch/"
#: ``Shape`` and the axis of a graph input give the batch size.
_SIZE = f"{_PREFIX}size"


@dataclass(frozen=True)
class DynamicBatch:
    """A model with a variable batch.

    Attributes:
        model: The model.
        size: The batch size that the original takes.
        inputs: Graph input to the axis of its rows; all other inputs are the same for all rows.
        outputs: Per graph output the axis of its rows; None: it does not depend on them.
    """

    model: onnx.ModelProto
    size: int
    inputs: Mapping[str, int]
    outputs: tuple[int | None, ...]


@dataclass(frozen=True)
class FixedBatch:
    """A guess which axes of the graph inputs are a batch of constant size."""

    size: int
    axes: Mapping[str, int]


def fixed_batches(view: GraphView) -> list[FixedBatch]:
    """Return guesses, the likeliest first; none when some input has a leading axis that may vary.

    The batch is the size that most inputs have on axis 0. Others may have it on axis 1 (recurrent state), or be the
    same for all rows. Recurrent operators take series with the time on axis 0 and the batch on axis 1.
    """
    optional = {t.name for t in view.model.graph.initializer}
    shapes = {name: view.shape(name) or () for name in view.inputs if name not in optional}
    leading = {name: shape[0] for name, shape in shapes.items() if shape}
    sizes = [size for size in leading.values() if isinstance(size, int) and size > 0]
    if not sizes or len(sizes) < len(leading):
        return []
    batch = Counter(sizes).most_common(1)[0][0]
    first = {name: 0 for name, size in leading.items() if size == batch}
    second = {name: 1 for name, shape in shapes.items() if len(shape) > 1 and shape[1] == batch}
    matrices = {name: 0 for name in first if len(shapes[name]) > 1}
    states = {name: 1 for name in second if len(shapes[name]) == 3 and name in first}
    guesses = [
        {**second, **first},
        {**second, **matrices},
        {**second, **first, **states},
        {**second, **matrices, **states},
        first,
        matrices,
    ]
    found = [FixedBatch(batch, axes) for axes in _distinct(guesses)]
    if any(node.op_type in _TIME_FIRST for node in view.model.graph.node):
        series = {name: shape[1] for name, shape in shapes.items() if len(shape) == 3}
        size = next((size for size in series.values() if isinstance(size, int)), None)
        axes = {name: 1 for name, other in series.items() if other == size}
        found += [FixedBatch(size, axes)] if size else []
    return found


def make_dynamic(view: GraphView, read: ReadTensor) -> DynamicBatch | Refusal:
    """Make the batch of a model variable.

    Args:
        view: The model, local functions inlined.
        read: Reads external data.

    Returns:
        The new model, or why there is none.
    """
    first: Refusal | None = None
    for guess in fixed_batches(view):
        found = _Rewriter(view, guess, read).run()
        if isinstance(found, DynamicBatch):
            return found
        first = first or found
    return first or Refusal(_RULE, "no graph input has a leading axis of constant size: there is no batch to change")


class _Rewriter:
    """Rewrites the model for one guess."""

    def __init__(self, view: GraphView, batch: FixedBatch, read: ReadTensor) -> None:
        self.before, self.batch = view, batch
        self.model = onnx.ModelProto()
        self.model.CopyFrom(view.model)
        self.symbol = _free_symbol(view.model)
        opset = view.model.opset_import
        version = next((o.version for o in opset if o.domain in ("", "ai.onnx")), 1)
        self.repairs = Repairs(batch.size, _SIZE, ConstantValues(view, read), version, _PREFIX)
        self.emitted: set[str] = set()
        self.reasons: dict[str, str] = {}

    def run(self) -> DynamicBatch | Refusal:
        for value in self.model.graph.input:
            if value.name in self.batch.axes:
                _set_size(value, self.batch.axes[value.name], self.symbol)
        _forget_shapes(self.model)
        view = self.before.of(self.model)
        interpreter = Interpreter(view, {})
        interpreter.inputs(self.batch.axes)
        interpreter.constants(view.model.graph, interpreter.values, main=True)
        nodes = list(self._read_size(interpreter))
        for index, node in enumerate(view.model.graph.node):
            nodes += self._repaired(interpreter, node, view.label(index))
        self._take_over(nodes)
        return self._proven()

    def _read_size(self, interpreter: Interpreter) -> Iterator[onnx.NodeProto]:
        """Yield what reads the batch size off a graph input."""
        name, axis = next(iter(self.batch.axes.items()))
        place = onnx.numpy_helper.from_array(_int64(axis), f"{_SIZE}/axis")
        shape = onnx.helper.make_node("Shape", [name], [f"{_SIZE}/shape"], f"{_SIZE}/shape")
        gather = onnx.helper.make_node("Gather", [f"{_SIZE}/shape", place.name], [_SIZE], _SIZE, axis=0)
        yield from self._emit(interpreter, Replacement(_SIZE, (shape, gather), (place,)))

    def _repaired(self, interpreter: Interpreter, node: onnx.NodeProto, label: str) -> list[onnx.NodeProto]:
        """Return the node, or one with what it needs that keeps rows apart where this one does not."""
        scope = interpreter.values
        values = _outcome(interpreter, node, label)
        read = [scope[name] for name in node.input if name in scope]
        if _mixed(values) and not _mixed(read):
            for repair in self.repairs.of(node):
                better = self._tried(interpreter, repair, label)
                if better is not None:
                    new = [n for r in repair.replacements for n in self._emit(interpreter, r)]
                    interpreter.bind(repair.node, better, scope, main=True)
                    return [*new, repair.node]
            reason = self.repairs.why_not(node)
            if reason is not None:
                self.reasons[label] = reason
        interpreter.bind(node, values, scope, main=True)
        return [node]

    def _tried(self, interpreter: Interpreter, repair: Repair, label: str) -> list[Value] | None:
        for replacement in repair.replacements:
            _interpret(interpreter, replacement)
        values = _outcome(interpreter, repair.node, label)
        return None if _mixed(values) else values

    def _emit(self, interpreter: Interpreter, replacement: Replacement) -> Iterator[onnx.NodeProto]:
        if replacement.name in self.emitted:
            return
        self.emitted.add(replacement.name)
        _interpret(interpreter, replacement)
        self.model.graph.initializer.extend(replacement.initializers)
        yield from replacement.nodes

    def _take_over(self, nodes: list[onnx.NodeProto]) -> None:
        """Make `nodes` the model's, without the constants that were read before and no longer are."""
        graph = self.model.graph
        before = {name for node in graph.node for name in node_reads(node)}
        needed = {value.name for value in graph.output}
        kept = []
        for node in reversed(nodes):
            if needed.intersection(node.output) or not before.intersection(node.output):
                kept.append(node)
                needed.update(node_reads(node))
        initializers = [t for t in graph.initializer if t.name in needed or t.name not in before]
        del graph.node[:], graph.initializer[:]
        graph.node.extend(reversed(kept))
        graph.initializer.extend(initializers)

    def _proven(self) -> DynamicBatch | Refusal:
        """Prove the result from scratch, and describe its tensors by the proof."""
        proof = prove_rows(self.before.of(self.model), self.batch.axes)
        axes = []
        for value in self.model.graph.output:
            state = proof.state(value.name)
            constant = isinstance(state, RowFree) and not _has_size(value, self.batch.size)
            if not isinstance(state, Row) and not constant:
                return self._refusal(proof, value.name)
            axes.append(state.axis if isinstance(state, Row) else None)
        for value in [*self.model.graph.value_info, *self.model.graph.output]:
            _describe(value, proof, self.symbol)
        kept = [v for v in self.model.graph.value_info if isinstance(proof.state(v.name), Row | RowFree)]
        del self.model.graph.value_info[:]
        self.model.graph.value_info.extend(kept)
        return DynamicBatch(self.model, self.batch.size, dict(self.batch.axes), tuple(axes))

    def _refusal(self, proof: RowProof, output: str) -> Refusal:
        cause = proof.refusal(output)
        if cause is None:
            return Refusal(_RULE, f"the output '{output}' cannot be computed row by row")
        return Refusal(_RULE, self.reasons.get(cause.node, cause.reason), cause.node)


def _outcome(interpreter: Interpreter, node: onnx.NodeProto, label: str) -> list[Value]:
    sides = interpreter.node(node, label, interpreter.values)
    if len(sides) == 1:
        return sides[0]
    return [join(one, two, interpreter.symbols) for one, two in zip(*sides, strict=True)]


def _interpret(interpreter: Interpreter, replacement: Replacement) -> None:
    graph = onnx.GraphProto(node=replacement.nodes, initializer=replacement.initializers)
    interpreter.run(graph, interpreter.values)


def _mixed(values: Sequence[Value]) -> bool:
    return any(isinstance(value.state, Mixed) for value in values)


# -- what the model says about its tensors -----------------------------------------------------------


def _free_symbol(model: onnx.ModelProto) -> str:
    graph = model.graph
    used = {
        dim.dim_param
        for value in [*graph.input, *graph.output, *graph.value_info]
        for dim in value.type.tensor_type.shape.dim
    }
    return next(name for name in ("batch", *(f"batch_{n}" for n in range(len(used) + 1))) if name not in used)


def _set_size(value: onnx.ValueInfoProto, axis: int, symbol: str) -> None:
    dim = value.type.tensor_type.shape.dim[axis]
    dim.ClearField("dim_value")
    dim.dim_param = symbol


def _describe(value: onnx.ValueInfoProto, proof: RowProof, symbol: str) -> None:
    """Put the batch's symbol where a tensor has its rows; where it has several entries per row, the size is open."""
    state = proof.state(value.name)
    dims = value.type.tensor_type.shape.dim
    if not isinstance(state, Row) or state.axis >= len(dims):
        return
    if state.plain:
        _set_size(value, state.axis, symbol)
    else:
        dims[state.axis].Clear()


def _forget_shapes(model: onnx.ModelProto) -> None:
    """Take the sizes away that bodies state: they may count the batch."""
    for node in all_nodes(model.graph.node):
        for body in subgraphs(node):
            del body.value_info[:]
            for value in body.output:
                value.type.tensor_type.ClearField("shape")


def _has_size(value: onnx.ValueInfoProto, size: int) -> bool:
    return size > 1 and any(dim.dim_value == size for dim in value.type.tensor_type.shape.dim)


def _int64(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def _distinct(guesses: Sequence[dict[str, int]]) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for guess in guesses:
        if guess and guess not in found:
            found.append(guess)
    return found
