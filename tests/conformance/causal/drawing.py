"""Random graphs over the operators of the causal rules, mixed with operators that look ahead.

A graph is drawn from its seed: states [B, S, 8] go through steps, each a few nodes of one family. What the proof says
of any tensor is then held to onnxruntime (:mod:`truth`); no step knows whether it looks ahead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from actcache.passes.graph.pasts import past_axes
from tests.conformance.causal import drawing_further as further
from tests.conformance.causal.drawing_borders import bordered, weights_of
from tests.conformance.causal.drawing_fused import attention_behind, fused_attention, fused_layer
from tests.conformance.causal.drawing_masks import computed_mask
from tests.conformance.causal.drawing_scans import scanned
from tests.conformance.causal.drawing_written import overwritten, written_mask
from tests.conformance.causal.sketches import MOST, WIDTH, WORDS, Sketch

Array = np.ndarray
_OPSETS = (("", 17), ("com.microsoft", 1))


@dataclass
class Drawing:
    """A graph under construction.

    Attributes:
        random: Decides everything.
        nodes: So far.
        constants: So far, by name.
        states: Tensors [B, S, 8] so far.
    """

    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    def node(self, operator: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        """Add a node; return its first output. The others are called ``<first>.1`` and so on."""
        name = f"{operator.lower()}{len(self.nodes)}"
        written = [name, *(f"{name}.{number}" for number in range(1, outputs))]
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), written, domain=domain, **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(value, dtype)
        return name

    def weight(self, *shape: int, scale: float = 0.5) -> str:
        """Add a drawn constant."""
        return self.constant(scale * self.random.standard_normal(shape), np.float32)

    def one_of(self, *choices: Any) -> Any:
        """Return one of some values."""
        return choices[self.random.integers(len(choices))]

    def often(self, chance: float = 0.8) -> bool:
        """Return true with a chance."""
        return bool(self.random.random() < chance)

    def state(self) -> str:
        """Return one of the last states."""
        return self.states[-1 - min(len(self.states) - 1, int(self.random.integers(0, 2)))]

    # -- numbers that steps share ------------------------------------------------------------------

    def length(self) -> str:
        """S, as a scalar, from one of the states or inputs."""
        sizes = self.node("Shape", self.one_of("ids", self.state()))
        return self.node("Gather", sizes, self.constant(1), axis=0)

    def positions(self) -> str:
        """0 … S-1."""
        return self.node("Range", self.constant(0), self.length(), self.constant(1))

    def vector(self, scalar: str) -> str:
        """A scalar as a vector of one."""
        return self.node("Unsqueeze", scalar, self.constant([0]))


Step = Callable[[Drawing, str], str]


def unary(d: Drawing, x: str) -> str:
    """Elementwise."""
    return d.node(d.one_of("Tanh", "Sigmoid", "Relu", "Erf", "Abs", "Neg", "Identity"), x)


def binary(d: Drawing, x: str) -> str:
    """Two states, or one and a constant, position numbers, S, or what is said of each position."""
    kind = d.random.integers(5) if d.often(0.3) else d.random.integers(4)
    operator = d.one_of("Add", "Sub", "Mul")
    if kind == 0:
        return d.node(operator, x, d.state())
    if kind == 1:
        return d.node(operator, x, d.weight(WIDTH))
    if kind == 2:
        return d.node(operator, x, d.node("Gather", d.weight(MOST, WIDTH), d.positions()))
    if kind == 3:
        column = d.node("Unsqueeze", d.node("Cast", d.positions(), to=1), d.constant([1]))
        return d.node(operator, x, d.node("Sin", column) if d.often() else column)
    return d.node(d.one_of("Div", "Mul"), x, d.node("Cast", d.length(), to=1))


def linear(d: Drawing, x: str) -> str:
    """A product with a constant, by MatMul, Einsum, or by Gemm of flattened positions."""
    weight = d.weight(WIDTH, WIDTH)
    kind = d.random.integers(3)
    if kind == 0:
        return d.node("MatMul", x, weight)
    if kind == 1:
        return d.node("Einsum", x, weight, equation="bsd,de->bse")
    flat = d.node("Reshape", x, d.constant([-1, WIDTH]))
    made = d.node("Gemm", flat, weight, d.weight(WIDTH))
    if d.often(0.5):
        sizes = d.node("Shape", x)
    else:
        batch = d.node("Gather", d.node("Shape", x), d.constant([0]), axis=0)
        sizes = d.node("Concat", batch, d.vector(d.length()), d.constant([WIDTH]), axis=0)
    return d.node("Reshape", made, sizes)


def normalised(d: Drawing, x: str) -> str:
    """Over features, or over positions."""
    axis = d.one_of(-1, -1, -1, 1)
    kind = d.random.integers(4)
    if kind == 0 and axis == -1:
        return d.node("LayerNormalization", x, d.weight(WIDTH), d.weight(WIDTH), axis=-1)
    if kind == 1:
        return d.node("Softmax", x, axis=axis)
    if kind == 2:
        return d.node("Sub", x, d.node("ReduceMean", x, axes=[axis], keepdims=1))
    squares = d.node("ReduceMean", d.node("Mul", x, x), axes=[axis], keepdims=1)
    return d.node("Div", x, d.node("Sqrt", d.node("Add", squares, d.constant(1e-3, np.float32))))


def moved(d: Drawing, x: str) -> str:
    """Positions moved, turned round, picked, summed up."""
    kind = d.random.integers(6) if d.often(0.5) else d.one_of(0, 4, 5)
    if kind == 0:
        return d.node("CumSum", x, d.constant(1), exclusive=int(d.often(0.3)), reverse=int(d.often(0.2)))
    if kind == 1:
        return d.node("Slice", x, d.constant([-1]), d.constant([-(2**31)]), d.constant([1]), d.constant([-1]))
    if kind == 2:
        last = d.node("Gather", x, d.constant([d.one_of(-1, 0)]), axis=1)
        return d.node("Add", x, last)
    if kind == 3:
        front = d.one_of(1, 1, 0)
        padded = d.node("Pad", x, d.constant([0, front, 0, 0, 1 - front, 0]))
        if front:
            return d.node("Slice", padded, d.constant([0]), d.constant([-1]), d.constant([1]))
        return d.node("Slice", padded, d.constant([1]), d.constant([2**31]), d.constant([1]))
    if kind == 4:
        return d.node("Add", x, d.node("Gather", d.weight(WORDS, WIDTH), "ids"))
    chosen = d.node("Less", d.positions(), d.constant(d.one_of(1, 3)))
    return d.node("Where", d.node("Unsqueeze", chosen, d.constant([1])), x, d.state())


def looked_up(d: Drawing, x: str) -> str:
    """Each position's own entry by its number, or another one."""
    numbers = d.positions()
    if d.often(0.3):
        numbers = d.node(d.one_of("Add", "Sub", "Max"), numbers, d.constant(d.one_of(0, 0, 1)))
    if d.often(0.3):
        return d.node("Gather", x, numbers, axis=1)
    length, sizes = d.length(), d.node("Shape", x)
    rows = d.node("Range", d.constant(0), d.node("Gather", sizes, d.constant(0), axis=0), d.constant(1))
    column, row = (d.node("Unsqueeze", n, d.constant([a])) for n, a in ((rows, 1), (numbers, 0)))
    if d.often(0.5):
        flat = d.node("Reshape", x, d.constant([-1, WIDTH]))
        step = d.one_of(length, length, d.constant(2))
        return d.node("Gather", flat, d.node("Add", d.node("Mul", column, step), row), axis=0)
    both = d.node("Shape", d.node("Max", column, row))
    parts = [d.node("Unsqueeze", d.node("Expand", part, both), d.constant([2])) for part in (column, row)]
    return d.node("GatherND", x, d.node("Concat", *parts, axis=-1))


def convolution(d: Drawing, x: str) -> str:
    """Over positions, padded on the left, on both sides, or by a Pad before it."""
    across = d.node("Transpose", x, perm=[0, 2, 1])
    width, spread = d.one_of(2, 3), d.one_of(1, 1, 2)
    group = d.one_of(1, WIDTH)
    reach = (width - 1) * spread
    weight, bias = d.weight(WIDTH, WIDTH // group, width), d.weight(WIDTH)
    common = {"kernel_shape": [width], "dilations": [spread], "group": group}
    if d.often(0.3):
        front = d.one_of(reach, reach, reach + 1, reach - 1)
        across = d.node("Pad", across, d.constant([0, 0, front, 0, 0, reach - front]))
        made = d.node("Conv", across, weight, bias, **common)
    elif d.often(0.3):
        wide = d.node("Relu", d.node("Conv", across, weight, bias, pads=[reach, reach], **common))
        made = d.node("Slice", wide, d.constant([0]), d.constant([-reach]), d.constant([2]))
    else:
        pads = d.one_of([reach, 0], [reach, 0], [reach // 2, reach - reach // 2], [0, reach])
        made = d.node("Conv", across, weight, bias, pads=pads, **common)
    return d.node("Transpose", made, perm=[0, 2, 1])


def recurrent(d: Drawing, x: str) -> str:
    """GRU, RNN or LSTM, forwards or backwards, with what it remembers behind the last position."""
    time_first = d.node("Transpose", x, perm=[1, 0, 2])
    operator, gates = d.one_of(("GRU", 3), ("RNN", 1), ("LSTM", 4))
    direction = d.one_of("forward", "forward", "reverse")
    weights = [d.weight(1, gates * WIDTH, WIDTH), d.weight(1, gates * WIDTH, WIDTH), d.weight(1, 2 * gates * WIDTH)]
    told = 3 if operator == "LSTM" else 2
    made = d.node(operator, time_first, *weights, outputs=told, hidden_size=WIDTH, direction=direction)
    return d.node("Transpose", d.node("Squeeze", made, d.constant([1])), perm=[1, 0, 2])


def rotated(d: Drawing, x: str) -> str:
    """Halves of features turned by an angle of the position."""
    column = d.node("Unsqueeze", d.node("Cast", d.positions(), to=1), d.constant([1]))
    angle = d.node("Mul", column, d.weight(WIDTH // 2))
    angles = d.node("Concat", angle, angle, axis=-1)
    first = d.node("Split", x, outputs=2, axis=-1)
    turned = d.node("Concat", d.node("Neg", f"{first}.1"), first, axis=-1)
    return d.node("Add", d.node("Mul", x, d.node("Cos", angles)), d.node("Mul", turned, d.node("Sin", angles)))


def attention(d: Drawing, x: str) -> str:
    """Scores of heads, a mask, and values; keys and values of fewer heads are repeated."""
    heads, groups = d.one_of((2, 2), (2, 1), (4, 2))
    size = WIDTH // heads
    made = []
    for count in (heads, groups, groups):
        flat = d.node("MatMul", x, d.weight(WIDTH, count * size))
        apart = d.node("Reshape", flat, d.constant([0, 0, count, size]))
        made.append(d.node("Transpose", apart, perm=[0, 2, 1, 3]))
    query, key, value = made
    if groups < heads:
        key, value = (_repeated(d, part, groups, heads // groups, size) for part in (key, value))
    scores = d.node(
        "Mul",
        d.node("MatMul", query, d.node("Transpose", key, perm=[0, 1, 3, 2])),
        d.constant(d.one_of(*[0.4] * 8, 300, 1e8), np.float32),
    )
    weights = weights_of(d, _masked(d, scores))
    if d.often(0.2):
        weights = d.node("Where", d.node("IsNaN", weights), d.constant(0, np.float32), weights)
    mixed = d.node("Transpose", d.node("MatMul", weights, value), perm=[0, 2, 1, 3])
    return d.node("Add", x, d.node("Reshape", mixed, d.constant([0, 0, WIDTH])))


def _repeated(d: Drawing, x: str, groups: int, times: int, size: int) -> str:
    wide = d.node("Unsqueeze", x, d.constant([2]))
    ends = [d.constant([1]), d.constant([groups]), d.constant([times]), d.vector(d.length()), d.constant([size])]
    wide = d.node("Expand", wide, d.node("Concat", *ends, axis=0))
    return d.node("Reshape", wide, d.constant([0, groups * times, -1, size]))


def _masked(d: Drawing, scores: str) -> str:
    kind = d.random.integers(11)
    lowest = np.finfo(np.float32).min
    low = d.constant(d.one_of(*[-np.inf, lowest] * 3, -1e30, -1e9, -1e4), np.float32)
    if kind == 0 and d.often(0.3):
        return scores
    if kind == 1:
        table = np.tril(np.ones((MOST, MOST), bool), d.one_of(0, 0, 0, 1))
        if d.often(0.2):
            table[tuple(d.random.integers(0, 5, 2))] ^= True
        size = d.vector(d.length())
        cut = d.node("Slice", d.constant(table, bool), d.constant([0, 0]), d.node("Concat", size, size, axis=0))
        return d.node("Where", cut, scores, low)
    if kind == 2:
        size = d.vector(d.length())
        full = d.node("Expand", low, d.node("Concat", size, size, axis=0))
        corner = d.constant(d.one_of(1, 1, 1, 0, 2))
        return d.node("Add", scores, d.node("Trilu", full, corner, upper=int(d.often(0.85))))
    if kind == 3:
        return d.node("Add", scores, written_mask(d, low))
    if kind in (4, 5):
        return computed_mask(d, scores, low)
    return _compared(d, scores, low)


def _compared(d: Drawing, scores: str, low: str) -> str:
    numbers = d.positions()
    column, row = (d.node("Unsqueeze", numbers, d.constant([axis])) for axis in (1, 0))
    if d.often(0.2):
        row = d.node("Add", row, d.constant(d.one_of(0, 0, 0, 1, -1)))
    if d.often(0.1):
        length = d.length()
        row, column = (d.node("Add", part, length) for part in ((row, column) if d.often() else (row, row)))
    operator = d.one_of(*["LessOrEqual"] * 8, "Less", "GreaterOrEqual")
    open_ = d.node(operator, row, column)
    if d.often(0.2):
        near = d.node("Less", d.node("Sub", column, row), d.constant(d.one_of(1, 3)))
        open_ = d.node(d.one_of("And", "And", "Or"), open_, near)
    if d.often(0.3):
        given = d.node("Unsqueeze", d.node("Cast", "mask", to=9), d.constant([1, 2]))
        open_ = d.node(d.one_of("And", "And", "And", "Or"), open_, given)
    if d.often(0.4):
        bias = d.node("Where", open_, d.constant(0, np.float32), low)
        if d.often(0.3):
            distance = d.node("Cast", d.node("Sub", row, column), to=1)
            bias = d.node("Add", bias, d.node("Mul", distance, d.weight(1)))
        return d.node("Add", scores, bias)
    return d.node("Where", open_, scores, low) if d.often(0.95) else d.node("Where", open_, low, scores)


STEPS: tuple[tuple[Step, int], ...] = (
    (attention, 6),
    (binary, 3),
    (linear, 3),
    (unary, 2),
    (normalised, 2),
    (moved, 2),
    (rotated, 2),
    (looked_up, 2),
    (overwritten, 1),
    (convolution, 1),
    (recurrent, 1),
    (fused_attention, 3),
    (fused_layer, 1),
    (bordered, 1),
    (further.activation, 1),
    (further.several, 1),
    (further.reduced, 1),
    (further.shared_norm, 1),
    (further.quantised, 1),
    (further.rearranged, 1),
    (further.chosen, 1),
    (further.picked, 1),
    (further.pooled, 1),
    (further.product, 1),
)


def draw(seed: int, most: int = 5, *, past: bool = False, scan: bool = False) -> Sketch:
    """Draw a graph of 1 … `most` steps; its outputs are the last states. `past`: one of them is put behind an
    input, or an attention takes that for its past. `scan`: one of the steps is a Scan.
    """
    d = Drawing(np.random.default_rng(seed))
    start = d.node("Gather", d.weight(WORDS, WIDTH, scale=1.0), "ids")
    d.states.append(start)
    steps = [step for step, weight in STEPS for _ in range(weight)]
    count = int(d.random.integers(1, most + 1))
    behind = d.random.integers(count) if past else count
    along = d.random.integers(count) if scan else count
    for number in range(count):
        if number == behind and seed % 2:
            d.states.append(attention_behind(d, d.states[-1], "past"))
        elif number == behind:
            d.states.append(d.node("Concat", "past", d.states[-1], axis=1))
        step = scanned if number == along else d.one_of(*steps)
        d.states.append(step(d, d.states[-1] if d.often() else d.state()))
    last = d.node("Identity", d.states[-1])
    make = onnx.helper.make_tensor_value_info
    inputs = [make("ids", onnx.TensorProto.INT64, ["B", "S"]), make("mask", onnx.TensorProto.INT64, ["B", "S"])]
    sizes: list[str | int | None] = ["B", 2, "P", WIDTH // 2] if seed % 2 else ["B", "P", WIDTH]
    inputs += [make("past", onnx.TensorProto.FLOAT, sizes)] if past else []
    outputs = [make(last, onnx.TensorProto.FLOAT, ["B", "S", WIDTH])]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in d.constants.items()]
    graph = onnx.helper.make_graph(d.nodes, f"drawn {seed}", inputs, outputs, constants)
    model = onnx.helper.make_model(
        graph, opset_imports=list(itertools.starmap(onnx.helper.make_opsetid, _OPSETS)), ir_version=8
    )
    return Sketch(model, {"ids": 1, "mask": 1}, past_axes(model))
