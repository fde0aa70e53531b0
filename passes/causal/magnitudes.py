"""How large the numbers of a tensor may get, whatever the model is handed in.

Weights and normalisations bound them. A finite mask closes only what scores cannot outweigh, and this says how large
scores can be. The bounds are those of exact arithmetic, with a little added for rounding. They are looked for backwards
from a tensor, where they are needed, and no further than the last normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.causal.written_norms import WrittenNorms, attribute_of
from actcache.passes.graph.constant_values import ConstantValues
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.rows.state import Shape

#: What rounding may add to a bound, by its factor.
_ROUNDING = 1.01
#: Nothing is followed further back.
_DEEPEST = 150
#: exp of more is no number.
_LARGEST_POWER = 700.0


@dataclass(frozen=True, slots=True)
class Magnitude:
    """Bounds of a tensor.

    Attributes:
        most: Of the size of each entry.
        norm: Of the Euclidean norm along the last axis.
        total: Of the sum of sizes along the last axis.
    """

    most: float = math.inf
    norm: float = math.inf
    total: float = math.inf

    def along(self, count: int | None) -> Magnitude:
        """Return the bounds for a last axis of this size (None: unknown), which the others follow from."""
        if count is None:
            return self
        norm = min(self.norm, self.total, _product(self.most, math.sqrt(count)))
        return Magnitude(min(self.most, norm), norm, min(self.total, _product(norm, math.sqrt(count))))

    def scaled(self, factor: float) -> Magnitude:
        """Return the bounds of what is multiplied by numbers of this size."""
        return Magnitude(*(_product(bound, factor) for bound in (self.most, self.norm, self.total)))

    def plus(self, other: Magnitude) -> Magnitude:
        """Return the bounds of a sum of tensors with the same last axis."""
        return Magnitude(self.most + other.most, self.norm + other.norm, self.total + other.total)


def _product(a: float, b: float) -> float:
    return 0.0 if 0.0 in (a, b) else a * b


UNKNOWN = Magnitude()
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
_Rule: TypeAlias = Callable[["Magnitudes", onnx.NodeProto], Magnitude]


class Magnitudes:
    """Finds bounds of the tensors of a model's main graph.

    Args:
        view: The model.
        constants: Its constants.
        shape: Says what is proven of the sizes of a tensor; None: nothing.
    """

    def __init__(self, view: GraphView, constants: ConstantValues, shape: Callable[[str], Shape | None]) -> None:
        self.view, self._constants, self._shape = view, constants, shape
        self._norms = WrittenNorms(view, self.constant, self.rank)
        self._known: dict[str, Magnitude] = {}
        self._depth = 0

    def most(self, name: str) -> float:
        """Return how large an entry of a tensor may be, or infinity."""
        return self.of(name).most

    def of(self, name: str) -> Magnitude:
        """Return the bounds of a tensor."""
        if name not in self._known:
            self._depth += 1
            found = self._find(name) if self._depth < _DEEPEST else UNKNOWN
            self._depth -= 1
            if self._depth and found == UNKNOWN:
                return found  # it may be known from nearer by
            self._known[name] = found
        return self._known[name]

    def _find(self, name: str) -> Magnitude:
        if name in self.view.constants:
            return _of_constant(self.constant(name))
        index = self.view.producer.get(name)
        if index is None:
            return UNKNOWN
        node = self.view.model.graph.node[index]
        first = node.output[0] == name or node.op_type == "Split"
        if not first or self.view.dtype(name) not in _FLOATS:
            return UNKNOWN
        rule = _RULES.get((canonical_domain(node.domain), node.op_type))
        found = self.normalised(node) if node.op_type in ("Div", "Mul") else None
        if found is None:
            found = rule(self, node) if rule is not None else UNKNOWN
        return found.along(self.width(name))

    def constant(self, name: str) -> npt.NDArray[np.generic] | None:
        """Return a constant of floats, or None."""
        array = self._constants.value(name) if name in self.view.constants else None
        return None if array is None or array.dtype.kind not in "fiu" else array

    def width(self, name: str, axis: int = -1) -> int | None:
        """Return the size of an axis, the last one, if it is proven to be a number: declarations may be stale."""
        proven = self._shape(name) or ()
        return proven[axis].value if len(proven) >= -axis else None

    def rank(self, name: str) -> int | None:
        """Return how many axes a tensor has."""
        shape = self._shape(name)
        return None if shape is None else len(shape)

    def normalised(self, node: onnx.NodeProto) -> Magnitude | None:
        """Return the bounds of a normalisation that is written as operators: ‖result‖ ≤ √n. None: it is none."""
        d = self._norms.normalised_by(node)
        width = None if d is None else self.width(d)
        return None if width is None else Magnitude(norm=math.sqrt(width) * _ROUNDING)


def _of_constant(array: npt.NDArray[np.generic] | None) -> Magnitude:
    if array is None or not array.size:
        return UNKNOWN
    sizes = np.abs(np.atleast_1d(array.astype(np.float64)))
    norms = np.sqrt((sizes * sizes).sum(-1))
    bounds = [float(part.max()) for part in (sizes, norms, sizes.sum(-1))]
    return UNKNOWN if any(map(math.isnan, bounds)) else Magnitude(*bounds)


# -- rules -----------------------------------------------------------------------------------------------


def _kept(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """The same numbers, or some of them, along the same last axis or a part of it."""
    return all_.of(node.input[0])


def _moved(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """The same numbers, elsewhere."""
    return Magnitude(all_.of(node.input[0]).most)


def _at_most(most: float) -> _Rule:
    return lambda all_, node: Magnitude(most)


def _reshaped(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """Where the last axis is cut into equal parts, each is a part of one that was there."""
    before, found = all_.width(node.input[0]), all_.of(node.input[0])
    after = all_.width(node.output[0])
    return found if before and after and before % after == 0 else Magnitude(found.most)


def _looked_up(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """Rows of a table."""
    found, rank = all_.of(node.input[0]), all_.rank(node.input[0])
    axis = int(attribute_of(node, "axis") or 0)
    return found if rank is not None and axis % rank != rank - 1 else Magnitude(found.most)


def _any_of(first: int) -> _Rule:
    """Entries of one operand or the other."""
    return lambda all_, node: Magnitude(max(all_.most(name) for name in node.input[first:]))


def _sum(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    parts = [all_.of(name) for name in node.input]
    widths = {all_.width(name) for name in (*node.input, node.output[0])}
    same = len(widths) == 1 and None not in widths
    total = Magnitude(0, 0, 0)
    for part in parts:
        total = total.plus(part)
    return total if same else Magnitude(total.most)


def _multiplied(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    a, b = (all_.of(name) for name in node.input)
    widths = [all_.width(name) for name in (*node.input, node.output[0])]
    results = [x.scaled(y.most) for x, y, width in ((a, b, widths[0]), (b, a, widths[1])) if width == widths[2]]
    found = Magnitude(_product(a.most, b.most))
    for result in results if widths[2] else ():
        found = Magnitude(*map(min, (found.most, found.norm, found.total), (result.most, result.norm, result.total)))
    return found


def _divided(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    array = all_.constant(node.input[1])
    least = 0.0 if array is None or not array.size else float(np.abs(array.astype(np.float64)).min())
    if not least:
        return UNKNOWN
    found = all_.of(node.input[0]).scaled(1 / least)
    return found if all_.width(node.input[0]) == all_.width(node.output[0]) else Magnitude(found.most)


def _layer_norm(scale: int, bias: int | None) -> _Rule:
    def rule(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
        width, axis = all_.width(node.input[0]), attribute_of(node, "axis")
        rank = all_.rank(node.input[0])
        if width is None or axis not in (None, -1, None if rank is None else rank - 1):
            return UNKNOWN
        found = Magnitude(norm=math.sqrt(width) * _ROUNDING).along(width)
        if len(node.input) > scale and node.input[scale]:
            found = found.scaled(all_.most(node.input[scale]))
        moved = bias is not None and len(node.input) > bias and node.input[bias]
        # A bias of size 1 is added to all entries.
        return found.plus(Magnitude(all_.most(node.input[bias])).along(width)) if moved and bias is not None else found

    return rule


def _softmax(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    rank, axis = all_.rank(node.input[0]), attribute_of(node, "axis")
    over_last = axis == -1 or (axis is None and all_.view.opsets.get("", 1) >= _LAST_AXIS)
    over_last = over_last or (rank is not None and axis == rank - 1)
    return Magnitude(1.0, 1.0, _ROUNDING) if over_last else Magnitude(1.0)


#: From this version on Softmax goes along the last axis, unless it is told another one.
_LAST_AXIS = 13


def _matmul(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """Each entry is a sum of products along an axis of features."""
    a, b = node.input[0], node.input[1]
    weights = all_.constant(b)
    if node.op_type == "Gemm" and attribute_of(node, "transB") and weights is not None:
        weights = weights.T
    found = all_.of(a)
    if weights is not None and weights.ndim == _MATRIX:
        wide = np.abs(weights.astype(np.float64))
        columns = np.sqrt((wide * wide).sum(0))
        most = min(_product(found.norm, float(columns.max())), _product(found.most, float(wide.sum(0).max())))
        return Magnitude(most * _ROUNDING, _product(found.norm, float(np.sqrt((columns**2).sum()))) * _ROUNDING)
    return Magnitude(_of_products(all_, a, b) * _ROUNDING)


#: Axes of a matrix.
_MATRIX = 2


def _of_products(all_: Magnitudes, a: str, b: str) -> float:
    left, right = all_.of(a), all_.most(b)
    count = all_.width(a) or all_.width(b, -2)
    bounds = [_product(left.total, right)]
    if count:
        bounds += [_product(left.norm, _product(right, math.sqrt(count))), _product(count * left.most, right)]
    return min(bounds)


def _gemm(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    plain = all(attribute_of(node, name) in (None, 1.0) for name in ("alpha", "beta"))
    if not plain or attribute_of(node, "transA"):
        return UNKNOWN
    found = _matmul(all_, node) if all_.constant(node.input[1]) is not None else UNKNOWN
    if len(node.input) > _MATRIX and node.input[_MATRIX]:
        found = Magnitude(found.most + all_.most(node.input[_MATRIX]))
    return found


def _power(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    power, found = all_.constant(node.input[1]), all_.most(node.input[0])
    exact = power is not None and power.size == 1 and float(power.reshape(-1)[0]) in (2.0, 3.0)
    return Magnitude(found ** float(power.reshape(-1)[0])) if exact and power is not None and found < _FAR else UNKNOWN


#: Powers of more are not followed.
_FAR = 1e30


def _exponential(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    found = all_.most(node.input[0])
    return Magnitude(math.exp(found)) if found < _LARGEST_POWER else UNKNOWN


def _clipped(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """Between two ends."""
    ends = [name for name in node.input[1:] if name]
    return Magnitude(max(map(all_.most, ends))) if len(ends) == _MATRIX else UNKNOWN


def _einsum(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    """Two operands, summed along axes of known sizes."""
    text = attribute_of(node, "equation").decode().replace(" ", "")
    given, _, result = text.partition("->")
    labels = given.split(",")
    if len(labels) != _MATRIX or not result or "." in text:
        return UNKNOWN
    sizes = {label: all_.width(name, axis - len(own)) for own, name in zip(labels, node.input, strict=True)
             for axis, label in enumerate(own) if label not in result}  # fmt: skip
    if any(size is None for size in sizes.values()):
        return UNKNOWN
    count = math.prod(size for size in sizes.values() if size is not None)
    a, b = (all_.most(name) for name in node.input)
    return Magnitude(_product(count * a, b) * _ROUNDING)


def _fused_matmul(all_: Magnitudes, node: onnx.NodeProto) -> Magnitude:
    if any(attribute_of(node, name) for name in ("transA", "transBatchA", "transBatchB")):
        return UNKNOWN
    alpha, count = attribute_of(node, "alpha"), all_.width(node.input[0])
    a, b = (all_.most(name) for name in node.input)
    factor = _ROUNDING * (1 if alpha is None else abs(alpha))
    return UNKNOWN if count is None else Magnitude(_product(count * a, b) * factor)


_RULES: Mapping[tuple[str, str], _Rule] = {
    **{("", name): _kept for name in "Identity Cast Split Slice Neg Abs Relu Dropout Trilu Gelu".split()},
    **{("", name): _moved for name in "Transpose Squeeze Unsqueeze Expand Tile ReduceMean ReduceMax".split()},
    **{("", name): _at_most(1.0) for name in "Tanh Sigmoid Sin Cos Erf Softsign HardSigmoid".split()},
    **{("", name): _sum for name in ("Add", "Sub")},
    ("", "Reshape"): _reshaped,
    ("", "Gather"): _looked_up,
    ("", "Where"): _any_of(1),
    ("", "Concat"): _any_of(0),
    ("", "Mul"): _multiplied,
    ("", "Div"): _divided,
    ("", "LayerNormalization"): _layer_norm(1, 2),
    ("", "SimplifiedLayerNormalization"): _layer_norm(1, None),
    ("", "RMSNormalization"): _layer_norm(1, None),
    ("com.microsoft", "SkipLayerNormalization"): _layer_norm(2, 3),
    ("com.microsoft", "SkipSimplifiedLayerNormalization"): _layer_norm(2, None),
    ("", "Softmax"): _softmax,
    ("", "MatMul"): _matmul,
    ("", "Einsum"): _einsum,
    ("com.microsoft", "FusedMatMul"): _fused_matmul,
    ("", "Gemm"): _gemm,
    ("", "Pow"): _power,
    ("", "Exp"): _exponential,
    ("", "Clip"): _clipped,
}
