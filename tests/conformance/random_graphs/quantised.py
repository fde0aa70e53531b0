"""Quantisation: static scales keep rows apart, those computed on the run span the batch."""

from __future__ import annotations

from typing import Any

from tests.conformance.random_graphs.families import builds
from tests.conformance.random_graphs.products import columns
from tests.conformance.random_graphs.sketch import Sketch, Unfit
from tests.conformance.random_graphs.values import Known

MICROSOFT = "com.microsoft"


def quantity(s: Sketch) -> tuple[Known, Known]:
    """A scale and a zero point."""
    return s.constant(0.037 + s.below(5) / 50, "float32"), s.constant(101 + s.below(9), "uint8")


def quantised(s: Sketch, ranks: range | tuple[int, ...] = range(1, 5)) -> Known:
    """Bytes: some at hand, or floats quantised."""
    found = [k for k in s.known if k.dtype == "uint8" and k.rank in ranks and not k.noisy]
    if found and s.chance(50):
        return s.one_of(found)
    x = s.pick(("float32",), ranks)
    return s.add("QuantizeLinear", [x, *quantity(s)])[0]


@builds("QuantizeLinear", since=10, weight=3)
@builds("QuantizeLinear", domain=MICROSOFT, weight=1)
def quantize(s: Sketch, op: str) -> None:
    """One scale, or one for each entry of an axis."""
    x = s.pick(("float32",), range(1, 5))
    if s.opset >= 13 and s.chance(40):
        axis = s.axis(x)
        if axis in x.varying:
            raise Unfit
        s.add(op, [x, s.weight([x.shape[axis]], positive=True)], axis=s.sign(axis, x.rank))
    else:
        s.add(op, [x, *quantity(s)], domain=MICROSOFT if s.chance(20) else "")


@builds("DequantizeLinear", since=10, weight=3)
@builds("DequantizeLinear", domain=MICROSOFT, weight=1)
def dequantize(s: Sketch, op: str) -> None:
    x = quantised(s)
    if s.opset >= 13 and s.chance(40):
        axis = s.axis(x)
        scales = [k for k in s.known if k.dtype == "float32" and _counts(k, x, axis) and not k.noisy]
        if axis in x.varying and not scales:
            raise Unfit
        own = [] if axis in x.varying else [s.weight([x.shape[axis]], positive=True)]
        s.add(op, [x, s.one_of([*own, *scales])], axis=axis)
    else:
        s.add(op, [x, *quantity(s)], domain=MICROSOFT if s.chance(20) else "")


def _counts(k: Known, x: Known, axis: int) -> bool:
    return [a.shape for a in k.arrays] == [(b.shape[axis],) for b in x.arrays]


@builds(weight=2)
def quantise_and_back(s: Sketch, op: str) -> None:
    """QuantizeLinear → DequantizeLinear, as trained and exported quantised models are full of."""
    x = s.pick(("float32",), range(1, 5))
    pair = quantity(s)
    s.add("DequantizeLinear", [s.add("QuantizeLinear", [x, *pair])[0], *pair])


@builds("DynamicQuantizeLinear", since=11, weight=3)
def dynamic(s: Sketch, op: str) -> None:
    """Mostly followed by the product that it is made for."""
    x = s.pick(("float32",), range(1, 4))
    y, scale, zero = s.add(op, [x], 3)
    if s.chance(70):
        product = s.add("MatMulInteger", [y, s.weight([columns(x), 3], "uint8"), zero])[0]
        s.add("Mul", [s.add("Cast", [product], to=1)[0], scale])


@builds("QLinearMatMul", since=10, weight=2)
def qlinear_matmul(s: Sketch, op: str) -> None:
    x = quantised(s)
    pair = quantity(s)
    s.add(op, [x, *pair, s.weight([columns(x), 3], "uint8"), *pair, *quantity(s)])


@builds("QLinearConv ConvInteger", since=10, weight=2)
@builds("QLinearConv", domain=MICROSOFT, weight=1)
def qlinear_conv(s: Sketch, op: str) -> None:
    x = quantised(s, (4,))
    channels_last = op == "QLinearConv" and s.chance(25)
    channel = 3 if channels_last else 1
    if channel in x.varying or not x.smallest:
        raise Unfit
    w, pair = s.weight([2, x.shape[channel], 1, 1], "uint8"), quantity(s)
    if op == "ConvInteger":
        s.add(op, [x, w, pair[1]])
    elif channels_last:
        s.add(op, [x, *pair, w, *pair, *quantity(s)], domain=MICROSOFT, channels_last=1)
    else:
        s.add(op, [x, *pair, w, *pair, *quantity(s)])


@builds("QLinearAdd QLinearMul", domain=MICROSOFT)
@builds("QLinearWhere QLinearConcat", domain=MICROSOFT, weight=1)
def qlinear_binary(s: Sketch, op: str) -> None:
    x = quantised(s)
    pair, other = quantity(s), quantity(s)
    if op == "QLinearConcat":
        s.add(op, [*pair, x, *pair, x, *other], domain=MICROSOFT, axis=s.axis(x))
        return
    y = s.partner(x)
    condition = [s.partner(x, ("bool",))] if op == "QLinearWhere" else []
    s.add(op, [*condition, x, *pair, y, *other, *quantity(s)], domain=MICROSOFT)


@builds("QLinearSigmoid QLinearLeakyRelu QLinearSoftmax", domain=MICROSOFT)
def qlinear_unary(s: Sketch, op: str) -> None:
    x = quantised(s)
    extra = {"axis": s.axis(x), "opset": s.opset} if op == "QLinearSoftmax" else {}
    s.add(op, [x, *quantity(s), *quantity(s)], domain=MICROSOFT, **extra)


@builds("QLinearAveragePool QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_pool(s: Sketch, op: str) -> None:
    x = quantised(s, (4,))
    extra: dict[str, Any] = {"kernel_shape": [1, 1]} if op == "QLinearAveragePool" else {}
    s.add(op, [x, *quantity(s), *quantity(s)], domain=MICROSOFT, channels_last=s.below(2), **extra)


@builds("QGemm", domain=MICROSOFT)
def qgemm(s: Sketch, op: str) -> None:
    x = quantised(s, (2,))
    pair = quantity(s)
    s.add(op, [x, *pair, s.weight([columns(x), 3], "uint8"), *pair, None, *quantity(s)], domain=MICROSOFT)


@builds("MatMulIntegerToFloat DynamicQuantizeMatMul", domain=MICROSOFT)
def integer_to_float(s: Sketch, op: str) -> None:
    scale, zero = quantity(s)
    if op == "DynamicQuantizeMatMul":
        x = s.pick(("float32",), range(1, 4))
        inputs = [x, s.weight([columns(x), 3], "uint8"), scale, zero]
    else:
        x = quantised(s)
        inputs = [x, s.weight([columns(x), 3], "uint8"), scale, scale, zero, zero]
    s.add(op, inputs, domain=MICROSOFT)


@builds("DynamicQuantizeLSTM", domain=MICROSOFT, weight=1)
def dynamic_lstm(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (3,), lambda k: k.smallest > 0 and not k.ragged)
    w, r = s.weight([1, columns(x), 8], "uint8"), s.weight([1, 2, 8], "uint8")
    scale, zero = s.constant([0.037], "float32"), s.constant([101], "uint8")
    inputs = [x, w, r, None, None, None, None, None, scale, zero, scale, zero]
    s.add(op, inputs, domain=MICROSOFT, hidden_size=2)


@builds("QAttention", domain=MICROSOFT)
def quantised_attention(s: Sketch, op: str) -> None:
    x = s.pick(("float32",), (3,), lambda k: k.smallest > 0)
    wide = s.add("MatMul", [x, s.weight([columns(x), 8])])[0]
    scale, zero = quantity(s)
    y = s.add("QuantizeLinear", [wide, scale, zero])[0]
    inputs = [y, s.weight([8, 24], "int8"), s.weight([24]), scale, scale, None, zero, s.constant(3, "int8")]
    s.add(op, inputs, domain=MICROSOFT, num_heads=2)
