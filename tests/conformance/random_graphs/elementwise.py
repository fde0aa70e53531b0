"""Elementwise operators, on floats, integers, bytes, flags and strings."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import BOOL, BYTES, INTEGERS, NUMBERS, STRING, WHOLE, element_type

MICROSOFT = "com.microsoft"
UNSIGNED = ("uint8", "uint32", "uint64", "uint16")


@builds(
    "Relu Tanh Sigmoid Erf Atan Asinh Ceil Floor Round Cos Sin Softplus Softsign HardSwish Exp Reciprocal Tan", weight=6
)
@builds("Celu Elu HardSigmoid LeakyRelu Selu ThresholdedRelu Shrink", weight=2)
@builds("Mish", since=18)
@builds("Gelu", since=20)
@builds("Swish", since=24)
def unary(s: Sketch, op: str) -> None:
    parameters = {"Celu": "alpha", "Elu": "alpha", "LeakyRelu": "alpha", "ThresholdedRelu": "alpha", "Shrink": "lambd"}
    given: dict[str, Any] = {parameters[op]: 0.25 + s.below(9) / 7} if op in parameters and s.chance(50) else {}
    s.add(op, [s.pick()], **given)


@builds("Sqrt Log Acos Asin Atanh Acosh Cosh Sinh")
def unary_on_a_part(s: Sketch, op: str) -> None:
    """Defined, or of bearable size, on some numbers only: a function before it leads there."""
    before = {"Sqrt": "Abs", "Log": "Softplus", "Acosh": "Cosh", "Atanh": "Sin"}.get(op, "Tanh")
    x = s.pick()
    if op == "Acosh":
        x = s.add("Tanh", [x])[0]
    s.add(op, s.add(before, [x]) if s.chance(80) else [x])


@builds("Neg Abs Sign", weight=2)
def signed(s: Sketch, op: str) -> None:
    s.add(op, [s.pick(NUMBERS)])


@builds("Not")
@builds("BitwiseNot", since=18)
def inverted(s: Sketch, op: str) -> None:
    s.add(op, [s.pick(BOOL if op == "Not" else WHOLE)])


@builds("IsNaN IsInf")
def special(s: Sketch, op: str) -> None:
    s.add(op, [s.pick(("float32", "float64"))])


@builds("Identity")
def identity(s: Sketch, op: str) -> None:
    s.add(op, [s.pick((*NUMBERS, *BYTES, *BOOL, *STRING), noisy=True)])


@builds("Cast", weight=3)
def cast(s: Sketch, op: str) -> None:
    x = s.pick((*NUMBERS, *BYTES, *BOOL))
    targets = [t for t in ("float32", "int64", "bool", "int32", "float16", "float64", "uint8") if t != x.dtype]
    s.add(op, [x], to=element_type(np.dtype(s.one_of(targets))))


@builds("CastLike", since=15)
def cast_like(s: Sketch, op: str) -> None:
    s.add(op, [s.pick(NUMBERS), s.pick((*NUMBERS, *BOOL))])


@builds("BitCast", since=26)
def bit_cast(s: Sketch, op: str) -> None:
    x = s.pick(("float32", "int32", "int64"))
    target = {"float32": "int32", "int32": "uint32", "int64": "uint64"}[x.dtype]
    s.add(op, [x], to=element_type(np.dtype(target)))


@builds("Add Sub Mul Max Min Sum Mean", weight=8)
def arithmetic(s: Sketch, op: str) -> None:
    x = s.pick(NUMBERS, noisy=op in ("Add", "Sub"))
    operands = [x, s.partner(x)]
    if op in ("Max", "Min", "Sum", "Mean") and s.chance(30):
        operands.append(s.partner(x))
    s.add(op, s.shuffled(operands))


@builds("Div Pow PRelu", weight=2)
def one_sided(s: Sketch, op: str) -> None:
    x = s.pick()
    if op == "Pow":
        x = s.add("Abs", [x])[0]
        s.add(op, [x, s.constant(s.one_of((2.0, 0.5, 3.0)), x.dtype)])
    elif s.chance(40) and op == "Div":
        s.add(op, [x, s.add("Softplus", [s.partner(x)])[0]])
    else:
        s.add(op, [x, s.weight(s.factor_shape(x), x.dtype, positive=True)])


@builds("Mod Div")
def whole_division(s: Sketch, op: str) -> None:
    x = s.pick(INTEGERS)
    s.add(op, [x, s.constant(s.below(5) + 2, x.dtype)])


@builds("Equal Less Greater", weight=3)
@builds("GreaterOrEqual LessOrEqual", since=12)
def comparison(s: Sketch, op: str) -> None:
    x = s.pick(NUMBERS)
    s.add(op, [x, s.partner(x)])


@builds("And Or Xor")
def logic(s: Sketch, op: str) -> None:
    x = s.pick(BOOL)
    s.add(op, [x, s.partner(x)])


@builds("BitwiseAnd BitwiseOr BitwiseXor", since=18)
def bits(s: Sketch, op: str) -> None:
    x = s.pick(WHOLE)
    s.add(op, [x, s.partner(x)])


@builds("BitShift")
def shift(s: Sketch, op: str) -> None:
    x = s.pick(("uint8",))
    s.add(op, [x, s.weight(s.factor_shape(x), "uint8", high=8)], direction=s.one_of(("LEFT", "RIGHT")))


@builds("Where", weight=4)
def where(s: Sketch, op: str) -> None:
    x = s.pick(NUMBERS)
    other = s.partner(x) if s.chance(60) else s.constant(-0.3, x.dtype)
    s.add(op, [s.partner(x, BOOL), *s.shuffled([x, other])])


@builds("Clip")
def clip(s: Sketch, op: str) -> None:
    x = s.pick()
    if s.opset < 11:
        s.add(op, [x], min=-0.7, max=1.3)
    else:
        low = s.constant(-0.7, x.dtype)
        high = s.pick((x.dtype,), (0,)) if s.chance(20) else s.constant(1.3, x.dtype)
        s.add(op, [x, low if s.chance(70) else None, high])


@builds("Dropout", since=12)
def dropout(s: Sketch, op: str) -> None:
    """In inference, where it does nothing."""
    x = s.pick()
    s.add(op, [x, s.constant(0.5, "float32"), s.constant(False)] if s.chance(50) else [x], 1 + s.below(2))


@builds("StringConcat", since=20)
@builds("RegexFullMatch StringSplit", since=20)
def strings(s: Sketch, op: str) -> None:
    x = s.pick(STRING)
    if op == "StringConcat":
        s.add(op, [x, s.partner(x)])
    elif op == "RegexFullMatch":
        s.add(op, [x], pattern="1.*")
    else:
        s.mark(s.add(op, [x], 2, delimiter="1"), ragged=True)


@builds("Gelu QuickGelu", domain=MICROSOFT)
@builds("BiasGelu FastGelu", domain=MICROSOFT)
def gelu(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), range(1, 5))
    if x.rank - 1 in x.varying:
        raise Unfit
    biased = op == "BiasGelu" or (op == "FastGelu" and s.chance(60))
    s.add(op, [x, s.weight([x.shape[-1]])] if biased else [x], domain=MICROSOFT)
