"""What several kinds of tests share: fixtures, what surrounds each test, and which files begin."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_LIBRARY = os.environ.get("ACTCACHE_LIBRARY") or Path(__file__).parents[1] / "actcache" / "_native" / "libactcache.so"
_MOST_JSON = 1 << 16


def pytest_configure() -> None:
    """Has the cache look up what a test calls for, however little it saves there.

    The library reads that once, when it is first used: a file of tests may do so while it is collected.
    """
    os.environ.setdefault("ACTCACHE_BYPASS", "off")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has files with tests that are marked slow begin: of two processes that share the files, none ends with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module", autouse=True)
def empty_store() -> None:
    """Has a file of tests begin with an empty store: what others left in this process may keep its entries out."""
    library = _library()
    if library is not None:
        library.actcache_unpin(None, None, None, 0.0)
        library.actcache_invalidate(None, None, None, 0.0)


@pytest.fixture(autouse=True)
def knobs_taken_back() -> Iterator[None]:
    """Takes back the knobs of this process that a test has set and left."""
    before = _knobs(_library())
    yield
    library = _library()
    for name, value in _knobs(library).items():
        if before.get(name, value) != value:
            library.actcache_configure(name.encode(), None)


def _library() -> Any:
    """Return the native library if this process has loaded it; else None."""
    try:
        library = ctypes.CDLL(str(_LIBRARY), os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return None
    for function in (library.actcache_invalidate, library.actcache_unpin):
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_double]
        function.restype = ctypes.c_int64
    return library


def _knobs(library: Any) -> dict[str, Any]:
    """Return the knobs that are in effect; none if there is no library."""
    if library is None:
        return {}
    library.actcache_config_json.restype = ctypes.c_size_t
    library.actcache_config_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    written = ctypes.create_string_buffer(_MOST_JSON)
    size = library.actcache_config_json(written, len(written))
    return dict(json.loads(written.value)) if 0 < size <= len(written) else {}


@pytest.fixture(scope="session")
def model_path() -> Callable[[str], Path]:
    """Returns the file of a real model of the catalogue, fetched first if it is not in models/cache."""
    from models.fetch import fetch

    return fetch
