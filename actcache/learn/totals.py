"""What compiled models have saved: in this process, and over all programs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from actcache.learn import cache, worth
from actcache.learn.cache import AnyPath
from actcache.learn.place import Ready
from actcache.learn.threads import new_lock

#: What is added up, as ``actcache.stats()`` counts it per region.
COUNTS = ("lookups", "hits", "misses", "bypassed", "saved_seconds", "overhead_seconds")

_lock = new_lock()
#: With the cache folder that each came from: the program may since have gone to another folder.
_watched: dict[str, tuple[AnyPath, Ready]] = {}
_began: dict[str, float] = {}
_written: dict[str, dict[str, float]] = {}


def watch(root: AnyPath, ready: Ready) -> None:
    """Count what a compiled model saves from now on."""
    with _lock:
        _watched[ready.key] = root, ready
        _began.setdefault(ready.key, time.time())


def forget() -> None:
    """After a fork: what was counted is the parent's."""
    global _lock
    _lock = new_lock()
    _watched.clear()
    _began.clear()
    _written.clear()
    worth.forget()


def now() -> dict[str, dict[str, float]]:
    """Return what each compiled model of this process has saved so far, by its key."""
    with _lock:
        watched = list(_watched.values())
    if not watched:
        return {}
    from actcache.serve.runtime import stats

    regions: Mapping[str, Mapping[str, Any]] = stats()["regions"]
    found = {}
    for _, ready in watched:
        mine = [region for region in regions.values() if region["fingerprint"] in ready.fingerprints]
        found[ready.key] = {name: sum(region[name] for region in mine) for name in COUNTS}
    return found


def gained(ready: Ready) -> float:
    """Return what a compiled model has saved in this process, less what that cost; seconds."""
    counts = now().get(ready.key, {})
    return counts.get("saved_seconds", 0.0) - counts.get("overhead_seconds", 0.0)


def write() -> None:
    """Add what was saved since the last time to what all programs saved.

    Raises:
        OSError: That cannot be written.
    """
    for key, counts in now().items():
        before = _written.get(key)
        gained = {name: counts[name] - (before or {}).get(name, 0) for name in COUNTS}
        if before is not None and not any(gained.values()):
            continue
        folder = cache.model_folder(_watched[key][0], key)
        saved = cache.below(folder, "saved.json")
        with cache.locked(cache.below(folder, "saved.lock")):
            known = cache.read_json(saved) or {}
            total: dict[str, float] = {name: known.get(name, 0) + gained[name] for name in COUNTS}
            total["programs"] = known.get("programs", 0) + (before is None)
            total["began"] = known.get("began", _began[key])  # when the first of them ran it
            cache.write_json(saved, total)
        _written[key] = counts


def summary(notes: Sequence[str]) -> str:
    """Return one line for the end of a program."""
    counts = dict.fromkeys(COUNTS, 0.0)
    with suppress(Exception):
        for found in now().values():
            for name in COUNTS:
                counts[name] += found[name]
    rows, hits = int(counts["lookups"]), int(counts["hits"])
    with _lock:
        models = len(_watched)
    text = f"actcache: process {os.getpid()}: {models} compiled models, {rows:,} rows"
    if rows:
        text += f", {hits / rows:.1%} reused, {counts['saved_seconds']:.2f} s saved"
    return "; ".join([text, *notes])
