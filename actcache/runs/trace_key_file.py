"""The file in which the keys of a trace come from the process that hashed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from actcache.passes.choice.trace_keys import Hashes, Place, TraceKeys


def save_keys(path: Path, seconds: Sequence[float], hashes: Mapping[Place, Sequence[Hashes]]) -> None:
    """Write the seconds of each call, and per place the hashes of each call."""
    arrays = {"seconds": np.asarray(seconds)}
    for number, parts in enumerate(hashes.values()):
        arrays[f"hashes{number}"] = np.concatenate(parts)
        arrays[f"counts{number}"] = np.array([len(part) for part in parts])
    np.savez(path, allow_pickle=False, **arrays)


def load_keys(path: Path, places: Sequence[Place]) -> TraceKeys:
    """Read what :func:`save_keys` wrote for these places, in their order."""
    with np.load(path) as arrays:
        hashes = {
            place: np.split(arrays[f"hashes{number}"], np.cumsum(arrays[f"counts{number}"])[:-1])
            for number, place in enumerate(places)
        }
        return TraceKeys(arrays["seconds"], hashes)
