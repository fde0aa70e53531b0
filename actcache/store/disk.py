"""What can be done with the store of ``disk_path`` from outside: the library does all of it (``actcache_store`` in
``custom_ops/include/actcache.h``), so that every lock is its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actcache.base.library import library
from actcache.errors import InvalidOption, OutputError


def stat(store: Path) -> dict[str, Any]:
    """Return what the store holds: ``budget_bytes``, ``entries``, ``bytes``, and a list of ``regions``.

    Raises:
        InvalidOption: There is no store in that folder, or it cannot be opened.
    """
    return _ask("stat", store)


def entries(store: Path, region: str = "", namespace: str = "", limit: int = 20) -> list[dict[str, Any]]:
    """Return the entries that are worth most, at most `limit` of them; of one region or namespace, if these are given.

    Raises:
        InvalidOption: As :func:`stat`.
    """
    found: list[dict[str, Any]] = _ask("ls", store, region=region, namespace=namespace, number=limit)["entries"]
    return found


def verify(store: Path, repair: bool = False) -> dict[str, Any]:
    """Read and check every entry; return how many there are, how many are damaged, and how many were removed.

    Raises:
        InvalidOption: As :func:`stat`.
    """
    return _ask("verify", store, number=int(repair))


def purge(store: Path, region: str = "", namespace: str = "") -> dict[str, Any]:
    """Remove all entries, or those of one region or namespace; return how many that were.

    Raises:
        InvalidOption: As :func:`stat`.
    """
    return _ask("purge", store, region=region, namespace=namespace)


def copy(source: Path, target: Path, budget_bytes: int = 0) -> dict[str, Any]:
    """Copy all entries of one store to another; return how many were ``copied``, ``present``, ``damaged``, ``refused``.

    Args:
        source: The folder of a store.
        target: The folder of another. If it is not there it is made, with the secret of the first, without which its
            keys mean nothing.
        budget_bytes: Of the target; 0: what it has, else 1 GiB.

    Raises:
        InvalidOption: As :func:`stat`; or the target has a secret of its own.
        OutputError: The folder of the target cannot be made.
    """
    if not target.parent.is_dir():
        raise OutputError("there is no such folder", file=target.parent, hint="make it first, or name another")
    return _ask("copy", source, other=str(target), number=budget_bytes)


def _ask(
    what: str, store: Path, *, other: str = "", region: str = "", namespace: str = "", number: int = 0
) -> dict[str, Any]:
    texts = (what, str(store), other, region, namespace)
    answer = library().handle.actcache_store(*(text.encode() for text in texts), number)
    if answer is None:
        raise MemoryError
    found: dict[str, Any] = json.loads(answer)
    if "error" in found:
        raise InvalidOption(found["error"])
    return found
