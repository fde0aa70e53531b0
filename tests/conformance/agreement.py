"""Whether two results are the same up to rounding.

onnxruntime's own results move in the last bits with the number of rows, so the measure is relative to the largest
magnitude of the same row where rows are known: a huge row must not hide what went wrong in a small one. A model can be
ill-conditioned (a difference of two nearly equal sums); what it does when inputs, weights and sums are moved by a
millionth tells that apart from a wrong answer.
"""

# mypy: allow-untyped-calls
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.cuts.feeds import Array, Feed
from actcache.passes.graph.view import GraphView
from actcache.verification.cases import Run

#: Largest difference, relative to the largest magnitude in the row (or in the tensor).
TOLERANCE = 2e-5
#: Formats with few digits round more coarsely: by so many times their spacing, and no further than this.
SPACINGS, COARSEST = 4, 0.25
#: How far inputs are moved to see how far the outputs move, and how much further a difference must be to be wrong.
NUDGE, FACTOR = 1e-6, 100.0


def identical(a: Any, b: Any) -> bool:
    """Equal bit for bit, types and shapes included."""
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(identical(a[k], b[k]) for k in a)
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return type(a) is type(b) and bool(a == b or a != a)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return a.tolist() == b.tolist() if a.dtype.kind == "O" else a.tobytes() == b.tobytes()


def excess(got: Any, wanted: Any, axis: int | None = None) -> float:
    """Return the largest difference of two results, in units of what is accepted.

    Above 1 is too much, inf not comparable. `axis` is that of independent rows, if there is one.
    """
    return float(excess_of_rows(got, wanted, axis).max(initial=0.0))


def excess_of_rows(got: Any, wanted: Any, axis: int | None) -> Array:
    """Return the same for each row; one number if there are no rows, or nothing can be compared."""
    if identical(got, wanted):
        return np.zeros(())
    if isinstance(got, (list, tuple)) and isinstance(wanted, (list, tuple)) and len(got) == len(wanted):
        return np.array(max(excess(a, b) for a, b in zip(got, wanted, strict=True)))
    if not isinstance(got, np.ndarray) or not isinstance(wanted, np.ndarray):
        return np.array(np.inf)
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return np.array(np.inf)
    if got.dtype.kind not in "fc" and not _is_small_float(got.dtype):
        return np.array(np.inf)
    return _excess_of_rows(got, wanted, axis)


def _excess_of_rows(got: Array, wanted: Array, axis: int | None) -> Array:
    wide = np.complex128 if got.dtype.kind == "c" else np.float64
    a, b = got.astype(wide), wanted.astype(wide)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    if not (same | finite).all():
        return np.array(np.inf)
    size = np.abs(np.where(np.isfinite(b), b, 0))
    others = None if axis is None else tuple(n for n in range(b.ndim) if n != axis)
    scale = size if others == () else size.max(axis=others, keepdims=True, initial=0.0)
    tolerance = TOLERANCE
    if got.dtype.itemsize <= 2:
        tolerance = min(SPACINGS * float(ml_dtypes.finfo(got.dtype).eps), COARSEST)
    difference = np.abs(np.where(same, 0.0, np.where(finite, a, 0) - np.where(finite, b, 0)))
    relative = difference / (tolerance * scale + 1e-30)
    return relative if others == () else relative.max(axis=others, initial=0.0)


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "V" and dtype.name.startswith(("bfloat", "float"))


def accepted_excess(
    run: Run, feed: Feed, moved: Run | None = None, axes: Sequence[int | None] | None = None
) -> list[Array]:
    """Return per output how far it moves when inputs, weights and sums are nudged, in units of what is accepted.

    A difference that is not well above this shows an ill-conditioned model, not a wrong answer.

    Args:
        run: Runs the model.
        feed: The inputs.
        moved: Runs the model with its own numbers nudged (:func:`with_moved_numbers`).
        axes: Per output the axis of independent rows, if there is one: each row moves as far as it does.
    """
    before = run(feed)
    random = np.random.default_rng(7)
    results = [run({name: _nudged(value, random) for name, value in feed.items()}) for _ in range(3)]
    results += [moved(feed)] if moved else []
    axes = [None] * len(before) if axes is None else axes
    return [
        FACTOR * functools.reduce(np.maximum, (excess_of_rows(each, a, axis) for each in after))
        for axis, a, *after in zip(axes, before, *results, strict=True)
    ]


def with_moved_numbers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model, which holds its weights itself, with every float weight moved by about a millionth,
    and so is every sum of its main graph: a kernel may add up in another order for another number of rows.
    """
    random = np.random.default_rng(11)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        if tensor.data_type in _MOVED:
            weights = _nudged(onnx.numpy_helper.to_array(tensor), random)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(weights), tensor.name))
    view, nodes = GraphView(model), list(result.graph.node)
    del result.graph.node[:]
    for node in nodes:
        result.graph.node.append(node)
        dtype = view.dtype(node.output[0]) if node.op_type in _ADDING else None
        if dtype in _MOVED:
            name = node.output[0]
            one = np.ones((), onnx.helper.tensor_dtype_to_np_dtype(dtype))
            result.graph.initializer.append(onnx.numpy_helper.from_array(_nudged(one, random), f"{name}.factor"))
            result.graph.node[-1].output[0] = f"{name}.sum"
            result.graph.node.append(onnx.helper.make_node("Mul", [f"{name}.sum", f"{name}.factor"], [name]))
    return result


#: Types of what is moved, and operators that add up many numbers.
_MOVED = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
_ADDING = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul", "ReduceMean", "ReduceSum", "ReduceSumSquare"})


def _nudged(value: Any, random: np.random.Generator) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    step = max(NUDGE, 4 * float(np.finfo(value.dtype).eps) if value.dtype != np.float64 else 0.0)
    return np.asarray(value * (1 + step * random.uniform(-1, 1, value.shape)), value.dtype)


def take_blocks(array: Array, rows: Sequence[int], axis: int, block: int = 1) -> npt.NDArray[Any]:
    """Return the given rows of an array that holds each row in `block` consecutive entries."""
    places = [row * block + j for row in rows for j in range(block)]
    return np.asarray(np.take(array, places, axis))
