"""What the counters of the library say of a workload, and how a round of it begins as if nothing had been before."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import onnxruntime as ort

import actcache
from models import Feed

_NUMBERS = itertools.count()


def use_other_namespace() -> None:
    """Give sessions that are loaded from now on a namespace of their own: no region remembers to have seen its rows."""
    actcache.configure(namespace=f"round {next(_NUMBERS)}")


def begin_anew(compiled: ort.InferenceSession, warm: Feed) -> None:
    """Empty the store, and have all regions of a model learn anew whether lookups pay.

    A region takes notice of a setting in its next call: so each setting is followed by one.
    """
    for bypass in ("off", "auto"):
        actcache.configure(bypass=bypass)
        actcache.invalidate()
        compiled.run(None, warm)
    actcache.invalidate()


def states(count: int) -> list[str]:
    """Return the different states of the regions that were loaded last."""
    regions: dict[str, dict[str, Any]] = actcache.stats()["regions"]
    return sorted({region["state"] for region in list(regions.values())[-count:]})


@dataclass
class Reused:
    """Lookups and hits of all regions, of the calls between :meth:`begin` and :meth:`end`."""

    _lookups: Counter[str] = field(default_factory=Counter)
    _hits: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        """What was counted before does not count."""
        self._add(-1)

    def end(self) -> None:
        """What was counted since does."""
        self._add(1)

    def shares(self) -> dict[str, float]:
        """Return by region the share of what was looked up that was found, if it looked up at all."""
        return {name: round(self._hits[name] / count, 4) for name, count in self._lookups.items() if count > 0}

    def _add(self, sign: int) -> None:
        for name, region in actcache.stats()["regions"].items():
            self._lookups[name] += sign * region["lookups"]
            self._hits[name] += sign * region["hits"]
