"""What is said of a session before it is created: which model file it runs, with which options.

The library's operators see neither the graph around them nor the level of optimisation. Told both, sessions that are
equal in them use each other's entries at once (docs/sessions.md).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any

import onnxruntime

from actcache.base.library import call, library

#: Options that decide which kernels run, or how; they cannot be read by the library.
_OPTIONS = ("graph_optimization_level", "use_deterministic_compute", "execution_mode", "intra_op_num_threads")
_UINT8 = 2

#: Files that were read, by where they are and when they changed, to the digest of their contents.
_known: dict[tuple[object, ...], str] = {}


def stated_model(
    model: str | bytes | PathLike[str], options: onnxruntime.SessionOptions, others: Mapping[str, Any]
) -> str:
    """Return a text that is equal for sessions of equal models and options alone; "" if the model cannot be read.

    Args:
        model: The file of the model, or its contents.
        options: The session's options.
        others: What else the session is created with.
    """
    digest = _digest(model) if isinstance(model, bytes) else _file_digest(os.fspath(model))
    if not digest:
        return ""
    values = [str(getattr(options, name, None)) for name in _OPTIONS]
    return "\n".join([digest, *values, *(f"{name}={value!r}" for name, value in sorted(others.items()))])


@contextmanager
def stating(model: str) -> Iterator[None]:
    """State `model` (:func:`stated_model`) of the sessions that this thread creates within."""
    call("actcache_state_model", model.encode())
    try:
        yield
    finally:
        call("actcache_state_model", None)


def _file_digest(path: str) -> str:
    try:
        place = _place(path)
        if place not in _known:
            with open(path, "rb") as file:
                found = _digest(file.read())
            if _place(path) != place:
                return ""
            _known[place] = found
        return _known[place]
    except OSError:
        return ""  # onnxruntime says what is wrong with it


def _place(path: str) -> tuple[object, ...]:
    found = os.stat(path)
    return os.path.realpath(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(content: bytes) -> str:
    digest = ctypes.create_string_buffer(32)
    sizes = (ctypes.c_int64 * 1)(len(content))
    data = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p)
    library().handle.actcache_tensor_digest(_UINT8, sizes, 1, data, len(content), digest)
    return digest.raw.hex()
