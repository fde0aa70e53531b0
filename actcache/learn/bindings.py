"""What ``IOBinding`` does not tell: the session that a binding was made for, and the inputs that are bound."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def observe(binding_class: Any) -> None:
    """Have bindings note both from now on, in attributes of their own. Again is harmless."""
    if getattr(binding_class, "_actcache_notes", False):
        return
    binding_class._actcache_notes = True
    real_init = binding_class.__init__

    @functools.wraps(real_init)
    def init(self: Any, session: Any) -> None:
        learner = getattr(session, "_learner", None)
        with nullcontext() if learner is None else learner.lock:  # the session does not go over meanwhile
            real_init(self, session)
            self._actcache_owner = session._sess
        self._actcache_inputs = {}

    binding_class.__init__ = init
    binding_class.bind_cpu_input = _noting(binding_class.bind_cpu_input, lambda array: array)
    binding_class.bind_ortvalue_input = _noting(binding_class.bind_ortvalue_input, lambda value: value)
    binding_class.bind_input = _noting(binding_class.bind_input, _at_address)
    real_clear = binding_class.clear_binding_inputs

    @functools.wraps(real_clear)
    def clear(self: Any) -> None:
        real_clear(self)
        self._actcache_inputs = {}

    binding_class.clear_binding_inputs = clear


def _noting(real: Callable[..., Any], value_of: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def bind(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = real(self, *arguments, **keywords)
        name = arguments[0] if arguments else keywords["name"]
        try:
            self._actcache_inputs[name] = value_of(*arguments[1:], **keywords)
        except Exception:  # a binding made before this was in place, or a form that nobody here knows
            self.__dict__.setdefault("_actcache_inputs", {})[name] = None
        return result

    return bind


def _at_address(
    device_type: str, device_id: int, element_type: Any, shape: Any, buffer_ptr: int
) -> npt.NDArray[Any] | None:
    """Return a view of what is bound by its address; None if it is not in the host's memory, or of a foreign type."""
    if device_type != "cpu":
        return None
    dtype = np.dtype(element_type)
    count = int(np.prod(shape, dtype=np.int64))
    data = (ctypes.c_char * (count * dtype.itemsize)).from_address(buffer_ptr)
    array: npt.NDArray[Any] = np.frombuffer(data, dtype, count).reshape(shape)
    return array
