"""Steps of random graphs with Scan; see :mod:`~tests.conformance.causal.drawing`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from tests.conformance.causal.sketches import WIDTH

if TYPE_CHECKING:
    from tests.conformance.causal.drawing import Drawing

#: Features of a state that is larger than what is read.
_SPACE = 2


@dataclass
class _Body:
    """What a Scan does at each position, under construction: it reads ``v``, [B, 8], and gives its last result.

    Attributes:
        mark: Begins its names.
        begins: What it carries at first, by its name in the body.
        after: What that is behind a position.
        nodes: So far.
    """

    mark: str
    begins: dict[str, str] = field(default_factory=dict)
    after: list[str] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return its output."""
        name = f"{self.mark}.{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def carry(self, begin: str) -> str:
        """Carry something that begins so; return what it is before a position."""
        name = f"{self.mark}.s{len(self.begins)}"
        self.begins[name] = begin
        return name

    def graph(self) -> onnx.GraphProto:
        make = onnx.helper.make_tensor_value_info
        inputs = [make(name, onnx.TensorProto.FLOAT, None) for name in (*self.begins, self.read)]
        outputs = [make(name, onnx.TensorProto.FLOAT, None) for name in (*self.after, self.nodes[-1].output[0])]
        return onnx.helper.make_graph(self.nodes, self.mark, inputs, outputs)

    @property
    def read(self) -> str:
        return f"{self.mark}.v"


def scanned(d: Drawing, x: str) -> str:
    """Over positions, or over the batch; forwards, or backwards; what it carries is handed out, or is not."""
    axis = d.one_of(1, 1, 1, 1, 1, 0)
    moved, last = d.often(0.5), d.one_of(0, 1)
    rows = d.node("Gather", d.node("Shape", x), d.constant([1 - axis]))
    body = _Body(f"scan{len(d.nodes)}")
    d.one_of(_average, _largest, _cell, _spaces, _spaces, _mean)(d, body, rows)
    if d.often(0.15):  # it reads how many positions there are
        body.node("Mul", body.nodes[-1].output[0], d.node("Cast", d.length(), to=1))
    given = d.node(
        "Scan",
        *body.begins.values(),
        d.node("Transpose", x, perm=[1, 0, 2]) if moved else x,
        outputs=len(body.begins) + 1,
        body=body.graph(),
        num_scan_inputs=1,
        scan_input_axes=[1 - axis if moved else axis],
        scan_input_directions=[d.one_of(0, 0, 0, 0, 1)],
        scan_output_axes=[last],
    )
    given = f"{given}.{len(body.begins)}"
    return given if last == axis else d.node("Transpose", given, perm=[1, 0, 2])


def _zeros(d: Drawing, rows: str, *sizes: int) -> str:
    shape = d.node("Concat", rows, d.constant(list(sizes)), axis=0)
    return d.node("ConstantOfShape", shape, value=onnx.numpy_helper.from_array(np.zeros(1, np.float32)))


def _average(d: Drawing, body: _Body, rows: str) -> None:
    """A moving average, handed out."""
    before = body.carry(_zeros(d, rows, WIDTH))
    body.after.append(body.node("Add", body.node("Mul", before, d.constant(0.7, np.float32)), body.read))
    body.node("Identity", body.after[0])


def _largest(d: Drawing, body: _Body, rows: str) -> None:
    """The largest so far, handed out."""
    before = body.carry(_zeros(d, rows, WIDTH))
    body.after.append(body.node("Max", before, body.read))
    body.node("Identity", body.after[0])


def _cell(d: Drawing, body: _Body, rows: str) -> None:
    """A recurrent cell with weights of the graph around it, handed out or in another form."""
    before = body.carry(_zeros(d, rows, WIDTH))
    sums = body.node("Add", body.node("MatMul", before, d.weight(WIDTH, WIDTH)), body.read)
    body.after.append(body.node("Tanh", sums))
    body.node(d.one_of("Identity", "Neg", "Sigmoid"), body.after[0])


def _spaces(d: Drawing, body: _Body, rows: str) -> None:
    """A space of states for each feature, of which a sum is handed out."""
    before = body.carry(_zeros(d, rows, WIDTH, _SPACE))
    kept = body.node("Mul", before, d.weight(WIDTH, _SPACE))
    new = body.node("Mul", body.node("Unsqueeze", body.read, d.constant([2])), d.weight(_SPACE))
    body.after.append(body.node("Add", kept, new))
    body.node("ReduceSum", body.node("Mul", body.after[0], d.weight(_SPACE)), d.constant([2]), keepdims=0)


def _mean(d: Drawing, body: _Body, rows: str) -> None:
    """The mean so far: of two things that are carried, one is a number for all."""
    total, count = body.carry(_zeros(d, rows, WIDTH)), body.carry(d.constant(0, np.float32))
    body.after.append(body.node("Add", total, body.read))
    body.after.append(body.node("Add", count, d.constant(1, np.float32)))
    body.node("Div", *body.after)
