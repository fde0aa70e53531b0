"""What a host program calls while it serves a compiled model: registration and statistics.

All of it talks to the one store of this process. A host in another language has the same through the C
functions in ``custom_ops/include/actcache.h``. Sessions and their store must not cross ``fork()``: create
them after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import onnxruntime

from actcache._library import call, library, read_json, text_argument
from actcache.errors import LibraryError

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
        copying and computing; ``overhead_seconds`` in both operators altogether. A region's ``state`` is
        ``"active"`` or, where looking up costs more than it saves (or would, see ``bypass_reason``),
        ``"bypassed"``, until a probe succeeds: ``bypass_switches``, ``probes``. The store: ``bytes``,
        ``entries``, ``budget_bytes``, ``evictions``, ...

    Raises:
        LibraryError: As :func:`library_path`.
    """
    return read_json("actcache_stats_json")


def clear(namespace: str | None = None) -> int:
    """Forget what is cached, in one namespace or everywhere.

    Args:
        namespace: The namespace to clear; None clears everything. ``""`` is the default namespace.

    Returns:
        How many entries were removed.

    Raises:
        LibraryError: As :func:`library_path`.
    """
    return call("actcache_clear", None if namespace is None else text_argument("'namespace'", namespace).encode())


def _registered(session_options: onnxruntime.SessionOptions) -> str | None:
    """Return the library that :func:`register` has put into `session_options`, if it has."""
    try:
        return str(session_options.get_session_config_entry(_REGISTERED))
    except RuntimeError:  # no such entry
        return None
