"""Where two constant tensors differ: read side by side in chunks, so that models of several GB need little memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.nodes import element_bits, tensor_bytes
from actcache.passes.graph.tensor_data import chunks, external_data, is_external

#: Widths of which chunks end between two elements; others are compared in one piece.
_EVEN_BITS = frozenset({4, 8, 16, 32, 64, 128})


@dataclass(frozen=True)
class TensorDifference:
    """Two tensors that are not equal.

    Attributes:
        elements: How many the first has.
        changed: How many differ, bit for bit; None: they have different types or shapes.
        largest: Largest absolute difference of two numbers; None likewise, for strings, and if one is not finite.
    """

    elements: int
    changed: int | None = None
    largest: float | None = None


def tensor_difference(
    one: onnx.TensorProto, one_home: Path, two: onnx.TensorProto, two_home: Path
) -> TensorDifference | None:
    """Compare two tensors; None: type, shape and bits are equal.

    Args:
        one: A tensor.
        one_home: The path of its model, beside which external data lies.
        two: Another tensor.
        two_home: The path of its model.

    Raises:
        InvalidModel: External data is needed and cannot be read.
    """
    elements = int(np.prod(one.dims, dtype=np.int64))
    if one.data_type != two.data_type or list(one.dims) != list(two.dims):
        return TensorDifference(elements)
    if one.data_type == onnx.TensorProto.STRING:
        changed = sum(a != b for a, b in zip(one.string_data, two.string_data, strict=True))
        return TensorDifference(elements, changed) if changed else None
    if _same_place(one, one_home, two, two_home):
        return None
    changed, largest = 0, 0.0
    for a, b in _side_by_side(one, one_home, two, two_home):
        if a == b:
            continue
        left, right = _values(one.data_type, a), _values(one.data_type, b)
        differ = (_bits(left) != _bits(right)).any(axis=1)
        changed += int(np.count_nonzero(differ))
        largest = max(largest, _largest(left[differ], right[differ]))
    return TensorDifference(elements, changed, largest if np.isfinite(largest) else None) if changed else None


def _same_place(one: onnx.TensorProto, one_home: Path, two: onnx.TensorProto, two_home: Path) -> bool:
    """Whether both are the same bytes of one file."""
    if not (is_external(one) and is_external(two)):
        return False
    a, b = external_data(one), external_data(two)
    paths = (one_home.parent / a.location, two_home.parent / b.location)
    return a.offset == b.offset and all(path.exists() for path in paths) and paths[0].samefile(paths[1])


def _side_by_side(
    one: onnx.TensorProto, one_home: Path, two: onnx.TensorProto, two_home: Path
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the same parts of both; they are cut at the same bytes, between elements."""
    pairs = zip(chunks(one, one_home), chunks(two, two_home), strict=True)
    if element_bits(one.data_type) in _EVEN_BITS:
        yield from pairs
    elif tensor_bytes(one):
        left, right = zip(*pairs, strict=True)
        yield b"".join(left), b"".join(right)


def _values(data_type: int, data: bytes) -> npt.NDArray[np.generic]:
    tensor = onnx.TensorProto(data_type=data_type, raw_data=data, dims=[len(data) * 8 // element_bits(data_type)])
    return onnx.numpy_helper.to_array(tensor)


def _bits(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _largest(left: npt.NDArray[np.generic], right: npt.NDArray[np.generic]) -> float:
    """Return the largest absolute difference; infinite, where something else than two finite numbers differs."""
    wide = np.complex128 if left.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        distances = np.abs(left.astype(wide) - right.astype(wide))
    return float(np.nan_to_num(distances, nan=np.inf, posinf=np.inf).max(initial=0.0))
