"""A running process as its metrics file shows it, in whatever language the process is written.

The library writes the file anew about every second while the knob ``metrics_path`` names it
(``custom_ops/src/metrics/metrics_file.h``); two of its snapshots give what happens per second.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actcache.errors import InvalidMetrics

#: The version of the file's form that this module reads.
SCHEMA = 1

#: Seconds without a new snapshot after which the process has ended, hangs, or cannot write.
STALE = 5.0

_SETTING = "set the knob metrics_path of the process to a file whose name does not end in .prom"

#: What the table needs of a region, of the store and of a tier.
_REGION_NUMBERS = ("hits", "misses", "bypassed", "mismatches", "evicted", "bytes", "saved_seconds", "overhead_seconds")
_STORE_NUMBERS = ("bytes", "entries", "budget_bytes", "evictions")
_TIER_NUMBERS = ("hits", "misses", "damaged", "stored", "refused", "dropped", "entries", "bytes", "budget_bytes")


@dataclass(frozen=True)
class Snapshot:
    """What a metrics file says.

    Attributes:
        time: When it was written, in seconds since 1970.
        pid: The process.
        version: Of its library.
        regions: As ``actcache.stats()["regions"]``.
        store: As ``actcache.stats()["store"]``.
        tiers: As ``actcache.stats()["tiers"]``.
    """

    time: float
    pid: int
    version: str
    regions: Mapping[str, Mapping[str, Any]]
    store: Mapping[str, Any]
    tiers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_snapshot(path: Path) -> Snapshot:
    """Read a metrics file.

    Raises:
        InvalidMetrics: There is none, or it is no metrics file of this schema.
    """
    content = _object(path, _text(path))
    if content.get("schema") != SCHEMA:
        written = f"schema {content['schema']}" if "schema" in content else "no schema"
        raise InvalidMetrics(
            f"this file has {written}, actcache {_version()} reads schema {SCHEMA}",
            file=path,
            hint="use the actcache of the process that writes it" if "schema" in content else _SETTING,
        )
    try:
        return _snapshot(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidMetrics(
            f"this metrics file is incomplete: a member of its schema is missing or wrong ({error})", file=path
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidMetrics("no such file", file=path, hint=_SETTING) from None
    except UnicodeDecodeError:
        raise InvalidMetrics("this is not a metrics file", file=path, hint=_SETTING) from None
    except OSError as error:
        raise InvalidMetrics(f"cannot be read: {error.strerror}", file=path) from error


def _object(path: Path, text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        problem = "this metrics file is cut off" if text.startswith('{"schema"') else "this is not a metrics file"
        if not text:
            problem = "this file is empty"
        elif text.startswith("# HELP actcache_"):
            problem = "this is the metrics file for Prometheus"
        raise InvalidMetrics(problem, file=path, hint=_SETTING) from None
    if not isinstance(content, dict):
        raise InvalidMetrics("this is not a metrics file", file=path, hint=_SETTING)
    return content


def _snapshot(content: Mapping[str, Any]) -> Snapshot:
    regions, store = content["regions"], content["store"]
    for region in regions.values():
        for name in _REGION_NUMBERS:
            float(region[name])
        str(region["state"])
    for name in _STORE_NUMBERS:
        float(store[name])
    tiers = content.get("tiers", {})  # a process of an earlier version has none
    for tier in tiers.values():
        for name in _TIER_NUMBERS:
            float(tier[name])
    return Snapshot(float(content["time"]), int(content["pid"]), str(content["version"]), regions, store, tiers)


def _version() -> str:
    from actcache._version import __version__

    return __version__


def staleness(snapshot: Snapshot) -> str | None:
    """Return why a snapshot tells nothing of now, as a sentence; None if it does.

    Only a process of this machine (and of this container) can be looked for; so that there is none is a guess.
    """
    age = time.time() - snapshot.time
    if age <= STALE:
        return None
    ago = f"{age:.0f} s" if age < 600 else f"{age / 60:.0f} min"
    if _runs(snapshot.pid):
        return (
            f"stale: process {snapshot.pid} has written nothing for {ago}; it hangs, cannot write, or writes elsewhere"
        )
    return f"stale: process {snapshot.pid} has ended; its last snapshot is {ago} old"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@dataclass(frozen=True)
class Activity:
    """What a region does, in all and per second.

    Attributes:
        rows: Rows looked up (bypassed ones included) since the process started.
        hit_ratio: Of those, the share that was not computed; None if there are none.
        recent_hit_ratio: The same since the snapshot before; None if nothing was looked up, or there is none before.
        rows_per_second: Since the snapshot before, or None.
        saved_per_second: Seconds of computing saved per second, less what the cache itself took; or None.
    """

    rows: int
    hit_ratio: float | None
    recent_hit_ratio: float | None
    rows_per_second: float | None
    saved_per_second: float | None


def activity(before: Snapshot | None, now: Snapshot, region: str) -> Activity:
    """Return what a region of `now` has done, per second since `before` if that is an earlier one of the process."""
    here = now.regions[region]
    rows, hits = _rows(here), int(here["hits"])
    ratio = hits / rows if rows else None
    if before is None or before.pid != now.pid or before.time >= now.time:
        return Activity(rows, ratio, None, None, None)
    seconds = now.time - before.time
    there = before.regions.get(region)
    new_rows = rows - (_rows(there) if there else 0)
    new_hits = hits - (int(there["hits"]) if there else 0)
    saved = saved_seconds(here) - (saved_seconds(there) if there else 0)
    return Activity(rows, ratio, new_hits / new_rows if new_rows > 0 else None, new_rows / seconds, saved / seconds)


def saved_seconds(region: Mapping[str, Any]) -> float:
    """Return the seconds that a region's hits have saved, less those that the cache took; negative if it lost."""
    return float(region["saved_seconds"]) - float(region["overhead_seconds"])


def _rows(region: Mapping[str, Any]) -> int:
    return int(region["hits"] + region["misses"] + region["bypassed"])
