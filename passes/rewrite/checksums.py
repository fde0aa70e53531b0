"""Checksums of weights that a branch computes anew, for sessions that replace the original.

onnxruntime computes ``w@<region>`` from the weight that the model file has (:mod:`actcache.passes.rewrite.placement`).
``SessionOptions.add_initializer`` replaces ``w`` after that, so that a branch could go on with values that the session
does not have. So onnxruntime computes a checksum at the same time, of the same values, and ``CacheStore`` compares it
with that of what the session has for ``w`` (custom_ops/src/ops/checksum.h)::

    w@<region> ─► Reshape [a, b, c] ─► integers ─► sums over all but one axis, for each axis ─► CacheStore

Floats become integers by ``Cast(w / (m * 2**-k))``, m being the largest magnitude and k such that all sums are less
than 2**53; m comes first, in steps of its range, and before it whether something is not finite (or all is zero), of
which there are no sums. The steps are single, correctly rounded operations, and sums of such integers are exact in
doubles, in which onnxruntime is fastest; so both sides are equal bit for bit.
Only operators that onnxruntime folds are used (it does not fold com.microsoft's); a + b + c numbers stay in memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import onnx

_T = onnx.TensorProto
#: What elements of a type become first, without loss.
_COMPUTED_IN: dict[int, int] = {
    **{t: t for t in (_T.FLOAT, _T.DOUBLE)},
    **dict.fromkeys((_T.FLOAT16, _T.BFLOAT16), _T.FLOAT),
    **dict.fromkeys((_T.INT8, _T.UINT8, _T.INT16, _T.UINT16, _T.INT32), _T.INT32),
}
#: The first version with all the operators.
_LEAST_OPSET = 9
#: From this version on, ReduceSum has its axes as an input.
_AXES_ARE_INPUTS = 13
#: Doubles are exact for integers of as many bits; the integers that are summed up have fewer.
_EXACT_BITS, _MOST_BITS = 53, 30
#: Magnitudes times one of these have all their bits in front of the point, and are less than the largest number.
_STEPS = [2.0**power for power in range(-100, 167, 38)]
_LARGEST = 2.0**62


def has_checksum(tensor: onnx.TensorProto, opset: int) -> bool:
    """Return whether there is a checksum for tensors of this type and shape, by operators of that version."""
    if tensor.data_type == _T.INT32 and math.prod(tensor.dims) > 1 << (_EXACT_BITS - 32):
        return False
    return opset >= _LEAST_OPSET and tensor.data_type in _COMPUTED_IN and 0 not in tensor.dims


def checksum_shape(tensor: onnx.TensorProto) -> tuple[int, int, int]:
    """Return the three axes that the elements are seen in: as equal as the number of elements allows."""
    count = math.prod(tensor.dims)
    first = _divisor(count, math.floor(count ** (1 / 3)))
    second = _divisor(count // first, math.isqrt(count // first))
    return first, second, count // first // second


def checksum_name(name: str, mark: str) -> str:
    """Return how the checksum of a weight is called in the branch of the region with the suffix `mark`."""
    return f"{name}{mark}.check"


def checksum_nodes(
    tensor: onnx.TensorProto, mark: str, opset: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return what computes the checksum of the weight that a branch has under its name with `mark` appended.

    Args:
        tensor: The original, of a type that has a checksum. Its values do not matter.
        mark: What the region's names are marked with.
        opset: The version of the ONNX operators in the model.
    """
    make = _Maker(checksum_name(tensor.name, mark))
    values = make.node("Reshape", tensor.name + mark, make.integers(checksum_shape(tensor)))
    computed_in = _COMPUTED_IN[tensor.data_type]
    if computed_in != tensor.data_type:
        values = make.node("Cast", values, to=computed_in)
    parts: list[str] = []
    if computed_in != _T.INT32:
        bits = min(_MOST_BITS, _EXACT_BITS - (math.prod(tensor.dims) - 1).bit_length())
        parts, values = _integers_of_floats(make, values, computed_in, bits)
    values = make.node("Cast", values, to=_T.DOUBLE)
    sums_of_first = make.sums(values, [0], opset)  # far fewer values for the other two
    sums = [
        make.sums(values, [1, 2], opset),
        make.sums(sums_of_first, [1], opset),
        make.sums(sums_of_first, [0], opset),
    ]
    parts += [make.node("Cast", found, to=_T.INT64) for found in sums]
    make.node("Concat", *parts, output=make.name, axis=0)
    return make.nodes, make.constants


def _integers_of_floats(make: _Maker, values: str, computed_in: int, bits: int) -> tuple[list[str], str]:
    """Return what comes before the sums, and the integers of so many bits to sum up."""
    least = make.node("Neg", make.node("ReduceMin", values, keepdims=0))
    magnitude = make.node("Max", make.node("ReduceMax", values, keepdims=0), least)
    scaled = make.node("Div", values, make.node("Mul", magnitude, make.constant(computed_in, [], [2.0**-bits])))
    total = make.node("ReduceSum", scaled, keepdims=0)
    not_finite = make.node("Cast", make.node("IsNaN", make.node("Sub", total, total)), to=_T.INT64)
    stepped = make.node(
        "Mul", make.node("Cast", magnitude, to=_T.DOUBLE), make.constant(_T.DOUBLE, [len(_STEPS)], _STEPS)
    )
    steps = make.node("Min", stepped, make.constant(_T.DOUBLE, [], [_LARGEST]))
    parts = [make.node("Reshape", not_finite, make.integers([1])), make.node("Cast", steps, to=_T.INT64)]
    return parts, make.node("Cast", scaled, to=_T.INT32)


def is_of_checksum(name: str, mark: str) -> bool:
    """Return whether a tensor of a branch is one of those that :func:`checksum_nodes` makes."""
    return re.search(re.escape(mark) + r"\.check(\.\w+)?$", name) is not None


def _divisor(number: int, most: int) -> int:
    return next(candidate for candidate in range(max(most, 1), 0, -1) if number % candidate == 0)


class _Maker:
    """Makes nodes and constants with names that begin alike."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{self.name}.{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, data_type: int, dims: Sequence[int], values: Sequence[float]) -> str:
        name = f"{self.name}.c{len(self.constants)}"
        self.constants.append(onnx.helper.make_tensor(name, data_type, dims, values))
        return name

    def integers(self, values: Sequence[int]) -> str:
        return self.constant(_T.INT64, [len(values)], values)

    def sums(self, values: str, axes: Sequence[int], opset: int) -> str:
        if opset >= _AXES_ARE_INPUTS:
            return self.node("ReduceSum", values, self.integers(axes), keepdims=0)
        return self.node("ReduceSum", values, keepdims=0, axes=axes)
