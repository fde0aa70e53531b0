"""Further steps of random graphs, for rules that :mod:`~tests.conformance.causal.drawing` does not draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.conformance.causal.sketches import WIDTH

if TYPE_CHECKING:
    from tests.conformance.causal.drawing import Drawing

MICROSOFT = "com.microsoft"
_ACTIVATIONS = (
    "Atan Celu Elu HardSigmoid HardSwish LeakyRelu Selu Shrink Sign Sinh Softplus Softsign ThresholdedRelu Floor Ceil "
    "Round Exp Not"
).split()
#: How many positions there are where constants lie along them.
_COUNT = 6
_REDUCTIONS = "L1 L2 LogSumExp Max Min Prod SumSquare".split()


def activation(d: Drawing, x: str) -> str:
    """One of many elementwise operators, with its values kept small."""
    operator = d.one_of(*_ACTIVATIONS)
    if operator == "Not":
        truth = d.node(d.one_of("Greater", "Less"), x, d.node("Neg", d.state()))
        return d.node("Cast", d.node("Not", d.node(d.one_of("And", "Or", "Xor"), truth, truth)), to=1)
    kept = d.node("Clip", x, d.constant(-3, np.float32), d.constant(3, np.float32))
    made = d.node(operator, kept)
    return d.node("Dropout", made) if d.often(0.2) else made


def several(d: Drawing, x: str) -> str:
    """Operators of two or three states."""
    kind, other = d.random.integers(5), d.state()
    if kind == 0:
        return d.node(d.one_of("Sum", "Mean", "Max", "Min"), x, other, d.weight(WIDTH))
    if kind == 1:
        return d.node("PRelu", x, d.weight(WIDTH))
    if kind == 2:
        return d.node("Pow", d.node("Abs", x), d.constant(d.one_of(0.5, 2), np.float32))
    if kind == 3:
        return d.node("Mod", x, d.constant(1.5, np.float32), fmod=1)
    return d.node("Where", d.node("Greater", x, other), x, d.weight(WIDTH))


def reduced(d: Drawing, x: str) -> str:
    """One number for each position, or for each feature; the largest of them, or where that is."""
    axis, kind = d.one_of(-1, 2, 2, 1), d.random.integers(4)
    bounded = d.node("Tanh", x)
    if kind == 0:
        found = d.node("Cast", d.node(d.one_of("ArgMax", "ArgMin"), x, axis=axis, keepdims=1), to=1)
    elif kind == 1:
        count, largest = d.constant([1]), int(d.often())
        found = d.node("TopK", x, count, outputs=2, axis=axis, largest=largest)
        found = found if d.often(0.5) else d.node("Cast", f"{found}.1", to=1)
    elif kind == 2:
        found = d.node(f"Reduce{d.one_of(*_REDUCTIONS)}", bounded, axes=[axis], keepdims=1)
    else:
        kept = d.node("ReduceSum", bounded, d.constant([axis]), keepdims=0)
        found = d.node("Unsqueeze", kept, d.constant([axis]))
    return d.node("Add", x, found)


def shared_norm(d: Drawing, x: str) -> str:
    """Normalisations with constants, or over other axes."""
    kind = d.random.integers(5)
    if kind == 0:
        across = d.node("Transpose", x, perm=[0, 2, 1]) if d.often() else x
        size = WIDTH if across != x else _COUNT
        parts = [d.weight(size), d.weight(size), d.weight(size), d.constant(np.ones(size), np.float32)]
        made = d.node("BatchNormalization", across, *parts)
        return d.node("Transpose", made, perm=[0, 2, 1]) if across != x else made
    if kind == 1:
        return d.node("LpNormalization", x, axis=d.one_of(-1, 1), p=2)
    if kind == 2:
        return d.node(d.one_of("LogSoftmax", "Hardmax"), x, axis=d.one_of(-1, -1, 1))
    if kind == 3:
        across = d.node("Transpose", x, perm=[0, 2, 1])
        made = d.node("InstanceNormalization", across, d.weight(WIDTH), d.weight(WIDTH))
        return d.node("Transpose", made, perm=[0, 2, 1])
    return d.node("SkipSimplifiedLayerNormalization", x, d.state(), d.weight(WIDTH), domain=MICROSOFT)


def quantised(d: Drawing, x: str) -> str:
    """Rounded to 8 bits: by a scale of all, of each feature, or one that is taken over all data."""
    zero = d.constant(3, np.uint8)
    if d.often(0.3):
        made = d.node("DynamicQuantizeLinear", x, outputs=3)
        return d.node("DequantizeLinear", made, f"{made}.1", f"{made}.2")
    if d.often(0.5):
        scale = d.constant(0.05, np.float32)
        made = d.node("QuantizeLinear", x, scale, zero)
        if d.often(0.4):
            weight = d.constant(d.random.integers(-5, 5, (WIDTH, WIDTH)), np.int8)
            total = d.node("MatMulInteger", made, weight, zero)
            return d.node("Mul", d.node("Cast", total, to=1), d.constant(0.01, np.float32))
        return d.node("DequantizeLinear", made, scale, zero)
    axis, size = d.one_of((2, WIDTH), (2, WIDTH), (1, _COUNT))
    scales = d.constant(0.05 + 0.01 * np.arange(size), np.float32)
    zeros = d.constant(np.full(size, 3), np.uint8)
    return d.node("DequantizeLinear", d.node("QuantizeLinear", x, scales, zeros, axis=axis), scales, zeros, axis=axis)


def rearranged(d: Drawing, x: str) -> str:
    """Axes flattened, repeated, split, put together and put back, some of them in another order."""
    kind = d.random.integers(6)
    if kind == 0:
        sizes = d.node("Shape", x)
        flat = d.node("Reshape", x, d.constant(d.one_of([-1], [-1, 4], [0, -1])))
        return d.node("Reshape", d.node("Sin", flat), sizes)
    if kind == 1:
        return d.node("Reshape", d.node("Transpose", x, perm=[0, 2, 1]), d.node("Shape", x))
    if kind == 2:
        pairs = d.node("Reshape", x, d.constant([0, 0, 2, WIDTH // 2]))
        turned = d.node("Transpose", pairs, perm=d.one_of([0, 1, 3, 2], [0, 2, 1, 3]))
        return d.node("Reshape", turned, d.node("Shape", x))
    if kind == 3:
        flat = d.node("Flatten", x, axis=2)
        wide = d.node("Tile", d.node("Unsqueeze", flat, d.constant([1])), d.constant([1, 2, 1]))
        both = d.node("Reshape", d.node("Flatten", wide, axis=2), d.constant([-1, 2, WIDTH]))
        one = d.node("ReduceMax", d.node("Mul", both, d.weight(2, WIDTH)), axes=[1], keepdims=0)
        return d.node("Reshape", one, d.node("Shape", x))
    if kind == 4:
        wide = d.node("Tile", x, d.constant(d.one_of([1, 1, 2], [1, 1, 2], [1, 2, 1])))
        part = d.node("Slice", wide, d.constant([0]), d.vector(d.length()), d.constant([1]))
        return d.node("Slice", part, d.constant([0]), d.constant([WIDTH]), d.constant([2]))
    axis = d.one_of(2, 2, 2, 1)
    first = d.node("Split", x, outputs=2, axis=axis)
    return d.node("Concat", f"{first}.1", first, axis=axis)


def chosen(d: Drawing, x: str) -> str:
    """Experts: each position's largest features say by which weights it is multiplied."""
    flat = d.node("Reshape", x, d.constant([-1, WIDTH]))
    best = d.node("TopK", flat, d.constant([2]), outputs=2, axis=-1)
    wide = d.node("Flatten", d.node("Tile", d.node("Unsqueeze", flat, d.constant([1])), d.constant([1, 2, 1])), axis=2)
    which = d.node("Reshape", f"{best}.1", d.constant([-1]))
    weights = d.node("Gather", d.weight(WIDTH, WIDTH, WIDTH), which, axis=0)
    made = d.node("Squeeze", d.node("MatMul", weights, d.node("Unsqueeze", wide, d.constant([2]))), d.constant([2]))
    made = d.node("Mul", made, d.node("Reshape", best, d.constant([-1, 1])))
    summed = d.node("ReduceSum", d.node("Reshape", made, d.constant([-1, 2, WIDTH])), d.constant([1]), keepdims=0)
    return d.node("Reshape", summed, d.node("Shape", x))


def picked(d: Drawing, x: str) -> str:
    """Features or positions by numbers that come from data."""
    which = d.node("Min", d.node("Unsqueeze", "ids", d.constant([2])), d.constant(WIDTH - 1))
    kind = d.random.integers(4)
    if kind == 0:
        return d.node("Add", x, d.node("GatherElements", x, which, axis=2))
    if kind == 1:
        last = d.node("Sub", d.length(), d.constant(1))
        return d.node("Add", x, d.node("GatherElements", x, d.node("Min", which, last), axis=1))
    if kind == 2:
        numbers = d.node("Expand", d.positions(), d.node("Shape", "ids"))
        spread = d.node("Unsqueeze", numbers, d.constant([2]))
        return d.node("Mul", x, d.node("GatherElements", x, spread, axis=1))
    marks = d.node("OneHot", "ids", d.constant([WIDTH]), d.constant([0, 1], np.float32), axis=-1)
    return d.node("Add", x, marks)


def pooled(d: Drawing, x: str) -> str:
    """Windows of positions, or of positions and features: in front, on both sides, or behind."""
    front, back = d.one_of((2, 0), (2, 0), (1, 1), (0, 2))
    if d.often(0.4):
        sides = d.one_of([front, 1, back, 1], [front, 0, back, 2])
        planes = d.node("Conv", d.node("Unsqueeze", x, d.constant([1])), d.weight(1, 1, 3, 3), pads=sides)
        return d.node("Squeeze", planes, d.constant([1]))
    across = d.node("Transpose", x, perm=[0, 2, 1])
    operator = d.one_of("MaxPool", "AveragePool")
    if d.often(0.7):
        padded = d.node("Pad", across, d.constant([0, 0, front, 0, 0, back]))
        made = d.node(operator, padded, kernel_shape=[3])
    else:
        made = d.node(operator, across, kernel_shape=[3], pads=[front, back])
    return d.node("Transpose", made, perm=[0, 2, 1])


def product(d: Drawing, x: str) -> str:
    """Products of states with each other: with a triangle between them, or none."""
    kind, other = d.random.integers(4), d.state()
    across = d.node("Transpose", other, perm=[0, 2, 1])
    scores = d.node("MatMul", x, across)
    if kind == 0:
        corner = d.constant(d.one_of(0, 0, 0, 1, -1))
        scores = d.node("Trilu", scores, corner, upper=int(d.often(0.2)), domain=d.one_of("", MICROSOFT))
    if kind == 1:
        return d.node("FusedMatMul", scores, other, domain=MICROSOFT, transA=int(d.often(0.3)), alpha=0.1)
    equation = d.one_of("bst,btd->bsd", "bst,btd->bsd", "bts,btd->bsd", "bss,bsd->bsd")
    scaled = d.node("Mul", scores, d.constant(0.1, np.float32))
    return d.node("Einsum", scaled, other, equation=equation)
