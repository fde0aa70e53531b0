"""Which numbers types hold, and what is left of a form, or of a size, that may be another number.

Integers wrap around; float32 counts to 2^24. How far positions and sizes get: docs/declarations.md.
"""

from __future__ import annotations

import onnx

from actcache.passes.causal.bounds import FARTHEST, INTEGERS, Interval, between, bounds_anywhere, is_within
from actcache.passes.causal.forms import Affine, Apply, Form, Some, is_stable
from actcache.passes.rows.state import Content, Shape

#: Where this matters, a sequence has fewer positions, and any other axis whose size is not computed is shorter.
LONGEST = 2.0**20

_TYPE = onnx.TensorProto
#: Up to which numbers floats count one by one.
_COUNTED: dict[int, float] = {_TYPE.FLOAT: 2.0**24, _TYPE.DOUBLE: 2.0**53}
_INTEGERS: dict[int, str] = {_TYPE.DataType.Value(name.upper()): name for name in INTEGERS}


def held(form: Form, dtype: int | None, shape: Shape) -> Form:
    """Return what is left of the form of a tensor, given the type that it is computed in.

    Args:
        form: As if the type held all numbers.
        dtype: The type (``TensorProto.DataType``); None: unknown.
        shape: Of the tensor.
    """
    if dtype is None:
        return Some(stable=is_stable(form))
    if holds(form, dtype, shape):
        return form
    return Apply(f"Wraps:{_INTEGERS[dtype]}" if dtype in _INTEGERS else "Cast:f", (form,))


def holds(form: Form, dtype: int, shape: Shape) -> bool:
    """Whether a type of integers holds each number of a form, or float32 or float64 each multiple of positions.

    How other numbers are rounded :mod:`bounds` says.
    """
    if dtype in _INTEGERS:
        return is_within(_reach(form, shape), INTEGERS[_INTEGERS[dtype]])
    most = _COUNTED.get(dtype)
    return most is None or not isinstance(form, Affine) or is_within(_reach(form, shape), (-most, most + 1))


def held_content(content: Content | None, dtype: int | None) -> Content | None:
    """Return the elements of an integer tensor; None, if its type may not hold them."""
    if content is None or dtype not in _INTEGERS:
        return content
    ends = INTEGERS[_INTEGERS[dtype]]
    return content if all(is_within(between(size, LONGEST), ends) for size in content.reshape(-1)) else None


def _reach(form: Form, shape: Shape) -> Interval:
    """Between which numbers a form of a tensor of this shape lies."""
    longest = max((between(size, LONGEST)[1] for size in shape), default=1.0)
    return bounds_anywhere(form, farthest=min(longest, FARTHEST), largest=LONGEST)
