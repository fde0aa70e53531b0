"""Row rules of elementwise operators: entry i of the result reads entry i of each operand, after broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from actcache.passes.rows.broadcasting import broadcast, carry
from actcache.passes.rows.registry import ALL, MAX_CONTENT, MICROSOFT, Op, bound, numbers, rule
from actcache.passes.rows.sizes import ONE, ZERO, Size, Symbols
from actcache.passes.rows.state import ROW_FREE, Content, Draws, Mixes, Row, RowCoords, RowIndex, RowOffset, Value

UNARY = (
    "Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish "
    "IsInf IsNaN LeakyRelu Log Mish Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign "
    "Sqrt Swish Tan Tanh ThresholdedRelu"
).split()

#: Opset 1–6 versions of these aligned operands with attributes ``broadcast`` and ``axis``; see :func:`nary`.
NARY = (
    "BitShift BitwiseAnd BitwiseOr BitwiseXor Mean Mod PRelu Pow Sum Xor "
    "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mul Or Sub Where"
).split()


@rule(*UNARY, sizes=(0,), indexes=(0,))
@rule("Gelu", "MurmurHash3", "QuickGelu", "SampleOp", domain=MICROSOFT)
def unary(op: Op) -> Value:
    """f applied to every element alone."""
    _no_coordinates(op)
    return _position_lost(carry(op.need(0), op.need(0).shape))


@rule("Neg", "Abs", "Not", sizes=(0,), indexes=(0,))
def negate(op: Op) -> Value:
    """Elementwise; followed on sizes."""
    x = op.need(0)
    content = x.content
    if content is None:
        _no_coordinates(op)
        return _position_lost(carry(x, x.shape))
    return numbers(_apply(_UNARY_ON_SIZES[op.node.op_type], op, [content]))


@rule(*NARY, sizes=ALL, indexes=ALL)
def nary(op: Op) -> Value:
    """Elementwise with numpy broadcasting: see :func:`broadcast`. Sizes are computed with, where possible."""
    if op.attribute("broadcast") or (op.opset < 7 and op.node.op_type != "Where" and _ranks_differ(op)):
        raise Mixes("old-broadcasting", "operators before opset 7 broadcast by attributes, which is not followed")
    position = _position(op)
    if position is not None:
        return position
    _no_coordinates(op)
    result = broadcast(op.present, op.symbols)
    arithmetic = _ON_SIZES.get(op.node.op_type)
    if arithmetic is None or not all(value.number for value in op.present):
        return result
    contents = [op.content(i) for i in range(len(op.present))]
    known = [content for content in contents if content is not None]
    if len(known) < len(contents) or all(value.content is None for value in op.present):
        return result
    if max(content.size for content in known) > MAX_CONTENT:
        return result
    return numbers(_apply(arithmetic, op, known))


@rule("RegexFullMatch", "StringConcat")
def strings(op: Op) -> Value:
    """Elementwise on strings."""
    return broadcast(op.present, op.symbols)


@rule("StringNormalizer")
def string_normalizer(op: Op) -> Value:
    """Changes the case of every string alone, and drops those that are stop words."""
    if op.attribute("stopwords"):
        raise Mixes("data-dependent-shape", "StringNormalizer drops stop words: its size depends on the rows")
    return carry(op.need(0), op.need(0).shape)


@rule("SwiGLU")
def swiglu(op: Op) -> Value:
    """a · sigmoid(α·a) · b, elementwise."""
    return broadcast(op.present, op.symbols)


@rule("Clip")
def clip(op: Op) -> Value:
    """min and max are scalars: the rows of the first input."""
    op.row_free(1, 2)
    return carry(op.need(0), op.need(0).shape)


@rule("Dropout")
def dropout(op: Op) -> list[Value]:
    """In inference the identity, with a mask that is all true; in training it draws random numbers."""
    training = op.get(2)
    if training is not None and op.integers(2) != [0]:
        raise Draws("training-mode", "Dropout is, or may be, in training mode")
    if op.opset < 7 and not op.attribute("is_test", 0):
        raise Draws("training-mode", "Dropout is in training mode")
    op.get(1)  # the ratio says nothing outside of training
    x = op.need(0)
    return [carry(x, x.shape) for _ in op.node.output]


@rule("BiasGelu", "FastGelu", domain=MICROSOFT)
def biased(op: Op) -> Value:
    """Gelu of x plus a bias that is broadcast to it."""
    return broadcast(op.present, op.symbols)


def _position(op: Op) -> Value | None:
    """Follow i·S and i·S + v + … (v of row i or of none, and 0 ≤ v + … < S): how exporters pick entries of each row of
    a flattened tensor. None for any other use of a row's position.
    """
    pair = [op.get(0), op.get(1)]
    for index, other in (pair, pair[::-1]) if len(op.inputs) == 2 else ():
        found = None
        if index is not None and other is not None and op.node.op_type == "Mul":
            found = _scaled(op, index, other)
        elif index is not None and other is not None and op.node.op_type == "Add":
            found = _moved_on(op, index, other)
        if found is not None:
            return found
    return None


def _scaled(op: Op, index: Value, factor: Value) -> Value | None:
    """The position times one number that all rows share: the stride of a flattened tensor."""
    state = index.state
    if not isinstance(state, RowIndex) or state.stride is None or factor.state != ROW_FREE or factor.content is None:
        return None
    factors = set(factor.content.flat)
    scaled = broadcast([index, factor], op.symbols)
    if len(factors) != 1 or not isinstance(scaled.state, RowIndex):
        return None
    return replace(scaled, state=RowIndex(scaled.state.axis, state.stride * factors.pop()))


def _moved_on(op: Op, index: Value, by: Value) -> Value | None:
    """The place of `index`, an entry of the row's own block, moved on by less than the rest of the block."""
    state, step = index.state, bound(by)
    if isinstance(state, RowIndex):
        block, reach = state.stride, ONE
    elif isinstance(state, RowOffset) and index.below is not None:
        block, reach = state.block, index.below
    else:
        return None
    if block is None or step is None or (by.row is None and by.state != ROW_FREE):
        return None
    reach = reach + step - ONE
    placed = broadcast([Value(Row(state.axis), index.shape), by], op.symbols)
    if not (block - reach).dimension or placed.row is None or not placed.row.plain:
        return None
    return Value(RowOffset(placed.row.axis, block), placed.shape, below=reach)


def _no_coordinates(op: Op) -> None:
    if any(isinstance(value.state, RowCoords | RowOffset) for value in op.present):
        raise Mixes("row-position-in-data", "coordinates that hold row positions are computed with")


def _position_lost(value: Value) -> Value:
    """A function of a row position is not the position any more."""
    return broadcast([value], Symbols()) if value.shape is not None and not value.number else value


def _ranks_differ(op: Op) -> bool:
    shapes = [value.shape for value in op.present]
    return any(shape is None for shape in shapes) or len({len(shape or ()) for shape in shapes}) > 1


def _apply(function: Callable[..., Size], op: Op, contents: list[Content]) -> Content:
    arrays = np.broadcast_arrays(*contents)
    result = np.empty(arrays[0].shape, dtype=object)
    for index in np.ndindex(*arrays[0].shape):
        result[index] = function(op.symbols, *(array[index] for array in arrays))
    return result


def _divide(symbols: Symbols, a: Size, b: Size) -> Size:
    """Integer division truncates; a quotient of other numbers is a number of its own."""
    # (N·S - S) / (N - 1) is S, but not for the one row that may be left to compute.
    exact = a.divided_by(b) if not b.batch or b.block() is not None else None
    if exact is not None:
        return exact
    if not (a.integer and b.integer):
        return symbols.fresh("quotient", batch=a.batch or b.batch, dimension=False, integer=False)
    if a.value is not None and b.value:
        quotient = abs(a.value) // abs(b.value)
        return Size({(): quotient if (a.value < 0) == (b.value < 0) else -quotient})
    return symbols.opaque("div", a, b, dimension=a.dimension and b.dimension)


def _compare(sign_of_difference: Callable[[int], bool], name: str) -> Callable[[Symbols, Size, Size], Size]:
    def compare(symbols: Symbols, a: Size, b: Size) -> Size:
        sign = (a - b).sign()
        if sign is None:
            return symbols.opaque(name, a, b, dimension=True)
        return ONE if sign_of_difference(sign) else ZERO

    return compare


def _larger(name: str, keep: int) -> Callable[..., Size]:
    def choose(symbols: Symbols, *sizes: Size) -> Size:
        best = sizes[0]
        for size in sizes[1:]:
            difference = size - best
            if difference.dimension or difference.sign() == 1:
                best = size if keep == 1 else best
            elif (best - size).dimension or difference.sign() in (0, -1):
                best = best if keep == 1 else size
            else:
                best = symbols.opaque(name, best, size, dimension=best.dimension and size.dimension)
        return best

    return choose


def _smaller(symbols: Symbols, *sizes: Size) -> Size:
    if len(sizes) == 2 and all(size.dimension for size in sizes):
        return symbols.least(*sizes)
    return _larger("min", -1)(symbols, *sizes)


def _where(symbols: Symbols, condition: Size, a: Size, b: Size) -> Size:
    if a == b:
        return a
    if condition.value is None:
        return symbols.opaque("where", condition, a, b, dimension=a.dimension and b.dimension)
    return a if condition.value else b


def _modulo(symbols: Symbols, a: Size, b: Size) -> Size:
    if a.value is not None and b.value is not None and a.value >= 0 and b.value > 0:
        return Size({(): a.value % b.value})
    return symbols.fresh("mod", batch=a.batch or b.batch, dimension=False, integer=False)


def _logical(name: str, decided: int) -> Callable[[Symbols, Size, Size], Size]:
    """And (decided by a 0) and Or (decided by a 1) of elements that are 0 or 1."""

    def combine(symbols: Symbols, a: Size, b: Size) -> Size:
        if decided in (a.value, b.value):
            return Size({(): decided})
        if a.value is not None and b.value is not None:
            return Size({(): 1 - decided})
        return symbols.opaque(name, a, b, dimension=True)

    return combine


_UNARY_ON_SIZES: dict[str, Callable[..., Size]] = {
    "Neg": lambda symbols, a: ZERO - a,
    "Not": lambda symbols, a: ONE - a,
    "Abs": lambda symbols, a: a if a.dimension else symbols.opaque("abs", a, dimension=a.integer),
}

_ON_SIZES: dict[str, Callable[..., Size]] = {
    "Add": lambda symbols, a, b: a + b,
    "And": _logical("and", 0),
    "Div": _divide,
    "Equal": _compare(lambda sign: sign == 0, "equal"),
    "Greater": _compare(lambda sign: sign > 0, "greater"),
    "GreaterOrEqual": _compare(lambda sign: sign >= 0, "greater-or-equal"),
    "Less": _compare(lambda sign: sign < 0, "less"),
    "LessOrEqual": _compare(lambda sign: sign <= 0, "less-or-equal"),
    "Max": _larger("max", 1),
    "Min": _smaller,
    "Mod": _modulo,
    "Mul": lambda symbols, a, b: a * b,
    "Or": _logical("or", 1),
    "Sub": lambda symbols, a, b: a - b,
    "Where": _where,
}
