"""Keys of beginnings: each stands for a position of a sequence and for all before it, as ``CacheLookup`` chains them.

Equal keys are equal beginnings, but for chance. So what a call shares with earlier ones shows in its keys alone.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Hashes: TypeAlias = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def joined(before: Hashes, part: Hashes) -> Hashes:
    """Return hashes that stand for both; their order counts."""
    key: Hashes = (before ^ part) * _MULTIPLIER
    key ^= key >> np.uint64(29)
    return key


def whole(rows: Hashes) -> Hashes:
    """Return what stands for all of some hashes, in their order; one number."""
    places = np.arange(len(rows), dtype=np.uint64) * np.uint64(2) + _MULTIPLIER
    with np.errstate(over="ignore"):
        found: Hashes = np.bitwise_xor.reduce(rows * places, keepdims=True)
    return found


def chained(starts: Hashes, positions: Hashes) -> Hashes:
    """Return the keys of the positions of some rows.

    Args:
        starts: What stands before the first position of each row, [rows].
        positions: What each position holds itself, [rows, positions].

    Returns:
        [rows, positions]: two are equal if their places in the row are, and the starts, and all positions up to there.
    """
    places = np.arange(positions.shape[1], dtype=np.uint64)
    own = joined(joined(positions, places), np.array([_MULTIPLIER]))
    with np.errstate(over="ignore"):
        return joined(starts[:, None] + np.cumsum(own, axis=1, dtype=np.uint64), places)
