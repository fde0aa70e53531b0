"""What a host program calls while it serves a compiled model: registration, knobs, statistics.

All of it talks to the one store of this process. A host in another language has the same through the C
functions in ``custom_ops/include/actcache.h``. Sessions and their store must not cross ``fork()``: create
them after it.
"""

from __future__ import annotations

import ctypes
import json
import operator
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import onnxruntime

from actcache._library import library
from actcache.errors import InvalidOption, LibraryError

#: Session config entry that remembers the registration; session options take no attributes.
_REGISTERED = "actcache.registered_library"


def library_path() -> str:
    """Return the path of the native library, for ``register_custom_ops_library`` in any language.

    The environment variable ``ACTCACHE_LIBRARY`` names another build.

    Raises:
        LibraryError: The library is missing, too old, or built for another platform.
    """
    return library().path


def register(session_options: onnxruntime.SessionOptions) -> None:
    """Register actcache's operators with the options of a session that is about to be created.

    Config entries ``actcache.*`` are read here, so add them to `session_options` before. Registering again is
    harmless: the options of one session may serve the next.

    Raises:
        LibraryError: The library does not fit this platform, or this onnxruntime refuses it.
    """
    path = library_path()
    if _registered(session_options) == path:
        return  # onnxruntime refuses sessions whose options hold a domain twice
    try:
        session_options.register_custom_ops_library(path)
        session_options.add_session_config_entry(_REGISTERED, path)
    except Exception as error:
        raise LibraryError(
            f"onnxruntime {onnxruntime.__version__} refuses the native library: {error}",
            file=path,
            hint="actcache needs onnxruntime 1.18 or later and valid actcache.* config entries",
        ) from error


class InferenceSession(onnxruntime.InferenceSession):  # type: ignore[misc, unused-ignore]
    """``onnxruntime.InferenceSession`` that knows actcache's operators.

    Takes what the original takes. The operators are registered with `sess_options` (or with fresh options).

    Raises:
        LibraryError: As :func:`register`.
    """

    def __init__(
        self,
        path_or_bytes: str | bytes | PathLike[str],
        sess_options: onnxruntime.SessionOptions | None = None,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        **kwargs: Any,
    ) -> None:
        options = onnxruntime.SessionOptions() if sess_options is None else sess_options
        register(options)
        super().__init__(path_or_bytes, options, providers=providers, **kwargs)


def stats() -> dict[str, Any]:
    """Return what the caches of this process have done so far.

    Returns:
        ``{"regions": {id: {...}}, "store": {...}}``. Per region, in rows (a call of a tensor-granular region
        is one row): ``lookups == hits + misses + bypassed``, ``duplicates`` (hits on an equal row of the same
        batch), ``stored``, ``evicted``, ...; ``bytes`` held now; ``saved_seconds`` and the time spent hashing,
        copying and computing. The store: ``bytes``, ``entries``, ``budget_bytes``, ``evictions``, ...

    Raises:
        LibraryError: As :func:`library_path`.
    """
    return _read_json("actcache_stats_json")


def configuration() -> dict[str, Any]:
    """Return the knobs of this process as they are in effect.

    Raises:
        LibraryError: As :func:`library_path`.
    """
    return _read_json("actcache_config_json")


def clear(namespace: str | None = None) -> int:
    """Forget what is cached, in one namespace or everywhere.

    Args:
        namespace: The namespace to clear; None clears everything. ``""`` is the default namespace.

    Returns:
        How many entries were removed.

    Raises:
        LibraryError: As :func:`library_path`.
    """
    return int(library().handle.actcache_clear(None if namespace is None else _text("namespace", namespace).encode()))


def configure(
    *, budget_bytes: int | None = None, hash: str | None = None, namespace: str | None = None, **unknown: object
) -> None:
    """Set knobs of this process. These win over session config entries and the environment.

    Args:
        budget_bytes: How many bytes the store may hold; 0 turns caching off. Takes effect at once.
        hash: ``"blake3"`` (safe against crafted inputs) or ``"xxh3"`` (faster, for trusted inputs).
        namespace: Entries of one namespace are never seen from another. Sessions created from now on use it.
        **unknown: Refused.

    Raises:
        InvalidOption: A knob is unknown or its value means nothing. Knobs named before it stay set.
        LibraryError: As :func:`library_path`.
    """
    if unknown:
        raise InvalidOption(f"unknown knob '{next(iter(unknown))}'", hint=f"the knobs are {', '.join(_KNOBS)}")
    given = {"budget_bytes": budget_bytes, "hash": hash, "namespace": namespace}
    written = {name: _KNOBS[name](value) for name, value in given.items() if value is not None}
    handle = library().handle
    for name, value in written.items():
        if handle.actcache_configure(name.encode(), value.encode()) != 0:
            reason = handle.actcache_last_error().decode(errors="replace")
            raise InvalidOption(f"knob '{name}' cannot be set to '{value}': {reason}")


def _registered(session_options: onnxruntime.SessionOptions) -> str | None:
    """Return the library that :func:`register` has put into `session_options`, if it has."""
    try:
        return str(session_options.get_session_config_entry(_REGISTERED))
    except RuntimeError:  # no such entry
        return None


def _bytes(value: object) -> str:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise InvalidOption(f"knob 'budget_bytes' is {value!r}", hint="give a whole number of bytes, 0 or more")
    return str(number)


def _hash(value: object) -> str:
    if value not in ("blake3", "xxh3"):
        raise InvalidOption(f"knob 'hash' is {value!r}", hint="give 'blake3' or 'xxh3'")
    return str(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidOption(f"'{name}' is {value!r}", hint="give a string without NUL characters")
    return value


#: Knob to the function that checks its value and writes it for the library.
_KNOBS: dict[str, Callable[[object], str]] = {
    "budget_bytes": _bytes,
    "hash": _hash,
    "namespace": lambda value: _text("namespace", value),
}


def _read_json(function: str) -> dict[str, Any]:
    """Call a control function that writes JSON, with a buffer as large as it asks for."""
    write = getattr(library().handle, function)
    capacity = 4096
    while True:
        buffer = ctypes.create_string_buffer(capacity)
        needed = int(write(buffer, capacity))
        if needed <= capacity:
            return dict(json.loads(buffer.value))
        capacity = needed + 1024  # other threads may add regions before the next try
