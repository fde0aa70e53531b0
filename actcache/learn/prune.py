"""Keeping the cache folder within its bound: what was used longest ago goes first."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from actcache.learn import cache

#: Files of a place that nobody asked for in this time, and parts of files, are left-overs; seconds.
_OLD = 30 * 24 * 3600.0
_TEMPORARY = 3600.0


@dataclass(frozen=True)
class Removed:
    """What was removed.

    Attributes:
        models: Keys of models.
        bytes: What they held, and what was left over.
    """

    models: tuple[str, ...]
    bytes: int


def prune(root: Path, most: int, keep: str | None = None) -> Removed:
    """Remove left-overs, then models until the folder holds no more than `most` bytes.

    Args:
        root: The cache folder.
        most: Bytes that may stay.
        keep: A model that stays whatever it takes.
    """
    before = cache.folder_size(root)
    _remove_left_overs(root)
    size = cache.folder_size(root)
    removed = []
    for folder in sorted(_folders(root / "models"), key=_used):
        if size <= most or folder.name == keep:
            continue
        size -= cache.folder_size(folder)
        remove_model(root, folder.name)
        removed.append(folder.name)
    return Removed(tuple(removed), max(0, before - cache.folder_size(root)))


def remove_model(root: Path, key: str) -> None:
    """Remove a model and the places that lead to it."""
    for folder in _folders(root / "places"):
        answer = cache.read_json(folder / "answer.json")
        if answer is not None and answer.get("key") == key:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(cache.model_folder(root, key), ignore_errors=True)


def _remove_left_overs(root: Path) -> None:
    now = time.time()
    for temporary in root.rglob(".*.tmp"):
        with suppress(OSError):
            if now - temporary.stat().st_mtime > _TEMPORARY:
                temporary.unlink()
    for folder in _folders(root / "places"):
        if now - _used(folder) > _OLD:
            shutil.rmtree(folder, ignore_errors=True)


def _folders(path: Path) -> list[Path]:
    return [child for child in path.iterdir() if child.is_dir() and not child.is_symlink()] if path.is_dir() else []


def _used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
