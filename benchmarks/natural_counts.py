"""What the counters of the library say of a workload, and how it begins anew."""

from __future__ import annotations

from typing import Any

import actcache

Counts = dict[str, tuple[int, int]]


def begin_anew() -> None:
    """Empty the store, and forget what was learnt about lookups."""
    actcache.invalidate()
    actcache.configure(bypass="off")
    actcache.configure(bypass="auto")


def states(count: int) -> list[str]:
    """Return the different states of the regions that were loaded last."""
    regions: dict[str, dict[str, Any]] = actcache.stats()["regions"]
    return sorted({region["state"] for region in list(regions.values())[-count:]})


def counts() -> Counts:
    """Return lookups and hits so far, by region."""
    regions: dict[str, dict[str, Any]] = actcache.stats()["regions"]
    return {name: (each["lookups"], each["hits"]) for name, each in regions.items()}


def reused(before: Counts, after: Counts) -> dict[str, float]:
    """Return by region the share of what was looked up that was found; regions of other models did not move."""
    moved = {
        name: (now[0] - before.get(name, (0, 0))[0], now[1] - before.get(name, (0, 0))[1])
        for name, now in after.items()
    }
    return {name: round(hits / lookups, 4) for name, (lookups, hits) in moved.items() if lookups}
