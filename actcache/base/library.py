"""Finds the native library, checks that it fits, and holds it open.

onnxruntime closes a custom-op library with the last session that uses it. The handle kept here keeps the
store, and what it holds, alive between sessions.
"""

from __future__ import annotations

import ctypes
import json
import numbers
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from actcache.errors import InvalidOption, LibraryError

#: Version of the control functions that this package was written for (``actcache_abi()``).
ABI = 9

#: Environment variable that names another build of the library.
ENVIRONMENT = "ACTCACHE_LIBRARY"

_REBUILD = "build it again with 'pip install --force-reinstall --no-deps actcache', or 'make library' in a checkout"

#: ELF machine numbers (e_machine) as ``platform.machine()`` spells them.
_ELF_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64le", 22: "s390x"}


@dataclass(frozen=True)
class Library:
    """The native library, loaded into this process.

    Attributes:
        path: Absolute path of its file.
        handle: Its control functions (``custom_ops/include/actcache.h``), with their types declared.
    """

    path: str
    handle: ctypes.CDLL


def library() -> Library:
    """Return the library in use, loading and checking it at the first call.

    Raises:
        LibraryError: It is missing, too old or too new for this package, or built for another platform.
    """
    override = os.environ.get(ENVIRONMENT)
    return _load(os.path.abspath(override) if override else str(_packaged()))


def call(function: str, *arguments: object) -> int:
    """Call a control function that answers with a negative number if it refuses, and return its answer.

    Raises:
        InvalidOption: The library refuses the arguments, or what the environment says.
        LibraryError: As :func:`library`.
    """
    handle = library().handle
    answer = int(getattr(handle, function)(*arguments))
    if answer < 0:
        raise _refusal(handle)
    return answer


def read_json(function: str) -> dict[str, Any]:
    """Call a control function that writes JSON, with a buffer as large as it asks for.

    Raises:
        InvalidOption: What the environment says means nothing.
        LibraryError: As :func:`library`.
    """
    handle = library().handle
    capacity = 4096
    while True:
        buffer = ctypes.create_string_buffer(capacity)
        needed = int(getattr(handle, function)(buffer, capacity))
        if needed == 0:
            raise _refusal(handle)
        if needed <= capacity:
            return dict(json.loads(buffer.value))
        capacity = needed + 1024  # other threads may add regions before the next try


def text_argument(what: str, value: object) -> str:
    """Return `value` if it is a text that C can take.

    Raises:
        InvalidOption: It is not.
    """
    if not isinstance(value, str) or "\0" in value:
        raise InvalidOption(f"{what} is {value!r}", hint="give a string without NUL characters")
    return value


def number_argument(what: str, value: object) -> float:
    """Return `value` if it is a real number (numpy's are).

    Raises:
        InvalidOption: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidOption(f"{what} is {value!r}", hint="give a number")
    return float(value)


def _refusal(handle: ctypes.CDLL) -> InvalidOption:
    return InvalidOption(handle.actcache_last_error().decode(errors="replace").removeprefix("actcache: "))


def _packaged() -> Path:
    suffix = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
    return Path(__file__).resolve().parent.parent / "_native" / f"libactcache.{suffix}"


@cache
def _load(path: str) -> Library:
    if not os.path.isfile(path):
        source = f" (named by {ENVIRONMENT})" if os.environ.get(ENVIRONMENT) else ""
        raise LibraryError(f"the native library is missing{source}", file=path, hint=_REBUILD)
    _check_machine(path)
    try:
        handle = ctypes.CDLL(path)
    except OSError as error:
        raise LibraryError(f"the native library cannot be loaded here: {error}", file=path, hint=_REBUILD) from error
    _check_abi(path, handle)
    _declare(handle)
    return Library(path, handle)


def _check_machine(path: str) -> None:
    """Refuse another processor's build by name: the loader only says that there is no such file."""
    with open(path, "rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        return  # another system's format, or none at all: the loader says so
    machine = _ELF_MACHINES.get(int.from_bytes(header[18:20], sys.byteorder))
    here = platform.machine()
    if machine is not None and here in _ELF_MACHINES.values() and machine != here:
        raise LibraryError(f"the native library is built for {machine}, this is {here}", file=path, hint=_REBUILD)


def _check_abi(path: str, handle: ctypes.CDLL) -> None:
    try:
        found = int(handle.actcache_abi())
    except AttributeError:
        raise LibraryError("this is not actcache's native library, or one too old", file=path, hint=_REBUILD) from None
    if found != ABI:
        age = "older" if found < ABI else "newer"
        raise LibraryError(
            f"the native library is {age} than the Python package (interface {found}, not {ABI})",
            file=path,
            hint=_REBUILD,
        )


def _declare(handle: ctypes.CDLL) -> None:
    handle.actcache_configure.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    handle.actcache_configure.restype = ctypes.c_int
    handle.actcache_last_error.argtypes = []
    handle.actcache_last_error.restype = ctypes.c_char_p
    for name in ("actcache_stats_json", "actcache_config_json"):
        function = getattr(handle, name)
        function.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        function.restype = ctypes.c_size_t
    text = ctypes.c_char_p
    handle.actcache_replay.argtypes = [text, text, *(ctypes.c_uint64,) * 4, ctypes.c_int, text]
    handle.actcache_replay.restype = ctypes.c_int
    names = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_char_p)
    handle.actcache_replay_fetched.argtypes = [*names, *(ctypes.c_uint64,) * 3, ctypes.c_int]
    handle.actcache_replay_fetched.restype = ctypes.c_int
    handle.actcache_simulation_new.argtypes = [ctypes.c_uint64]
    handle.actcache_simulation_new.restype = ctypes.c_void_p
    handle.actcache_simulation_free.argtypes = [ctypes.c_void_p]
    handle.actcache_simulation_free.restype = None
    handle.actcache_simulate.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_void_p,) * 5]
    handle.actcache_simulate.restype = ctypes.c_int
    handle.actcache_simulate_chains.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    handle.actcache_simulate_chains.restype = ctypes.c_int64
    handle.actcache_flush.argtypes = [ctypes.c_double]
    handle.actcache_flush.restype = ctypes.c_int
    handle.actcache_store.argtypes = [*(ctypes.c_char_p,) * 5, ctypes.c_uint64]
    handle.actcache_store.restype = ctypes.c_char_p
    handle.actcache_abandon.argtypes = []
    handle.actcache_abandon.restype = None
    handle.actcache_abandon_run.argtypes = [ctypes.c_uint64]
    handle.actcache_abandon_run.restype = None
    for name in ("actcache_invalidate", "actcache_pin", "actcache_unpin"):
        function = getattr(handle, name)
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_double]
        function.restype = ctypes.c_int64
    handle.actcache_parse_bytes.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    handle.actcache_parse_bytes.restype = ctypes.c_int64
    handle.actcache_default_budget.argtypes = [ctypes.c_uint64]
    handle.actcache_default_budget.restype = ctypes.c_uint64
    handle.actcache_state_model.argtypes = [ctypes.c_char_p]
    handle.actcache_state_model.restype = ctypes.c_int
    handle.actcache_tensor_digest.argtypes = [
        ctypes.c_int32,
        ctypes.POINTER(ctypes.c_int64),
        ctypes.c_size_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
    ]
    handle.actcache_tensor_digest.restype = ctypes.c_int
    handle.actcache_version.argtypes = []
    handle.actcache_version.restype = ctypes.c_char_p
