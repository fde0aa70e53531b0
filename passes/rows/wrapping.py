"""Integers wrap around in what does not hold them: what the proof has followed is not what onnxruntime computes then.

Numbers have to fit by themselves. Of sizes it is taken that the model can compute with them: a batch whose sizes its
integers do not hold has no place in any memory. Numbers of fewer than 32 bits are not followed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.rows.registry import Op, objects
from actcache.passes.rows.sizes import Size
from actcache.passes.rows.state import Value

#: With more than this beside it, or as its factor, a size may not fit into 64 bits.
_LARGEST = 2**40
#: What may give numbers that are in none of its inputs. Where their type is not known (in bodies), they have to fit
#: into 32 bits.
_COMPUTES = frozenset({"Abs", "Add", "Div", "Mul", "Neg", "ReduceProd", "ReduceSum", "Sub"})


def is_narrow(dtype: npt.DTypeLike) -> bool:
    """Whether elements are numbers of fewer than 32 bits."""
    numbers: np.dtype[Any] = np.dtype(dtype)
    return numbers.kind in "iu" and numbers.itemsize < 4


def without_wrapped(value: Value, op: Op, dtype: int | None) -> Value:
    """Return what a node gives, with an unknown in place of each element that its type may not hold.

    Args:
        value: What the node gives, if nothing wraps around.
        op: The node.
        dtype: The type of the elements; None: not known.
    """
    if value.content is None or (dtype is None and op.node.op_type not in _COMPUTES):
        return value
    integers = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(dtype or onnx.TensorProto.INT32))
    if integers.kind not in "iu":
        return value
    limits = np.iinfo(integers)
    held = [_held(size, int(limits.min), int(limits.max), op) for size in value.content.flat]
    changed = any(one is not other for one, other in zip(held, value.content.flat, strict=True))
    return replace(value, content=objects(held, value.content.shape)) if changed else value


def _held(size: Size, least: int, most: int, op: Op) -> Size:
    if size.value is not None:
        fits = least <= size.value <= most
    else:
        fits = all(abs(number) <= min(most, _LARGEST) for number in size.terms.values())
    return size if fits else op.symbols.fresh("wrapped", batch=size.batch, dimension=False, integer=size.integer)
