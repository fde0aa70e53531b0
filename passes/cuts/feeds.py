"""Inputs of calls: taking rows of them, and making more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Feed = dict[str, Any]  # arrays; lists and dicts of them for sequences and maps


def row_count(feed: Feed, axes: Mapping[str, int]) -> int:
    """Return the size of the batch."""
    return min(int(feed[name].shape[axis]) for name, axis in axes.items())


def take(feed: Feed, axes: Mapping[str, int], rows: npt.NDArray[np.int64]) -> Feed:
    """Return the feed with only (or in another order, or repeated) the given rows."""
    return {name: np.take(a, rows, axes[name]) if name in axes else a for name, a in feed.items()}


def first_rows(feed: Feed, axes: Mapping[str, int], count: int) -> Feed:
    """Return the feed with its first rows only. Its arrays are views: no bytes are copied."""
    return {name: a[(slice(None),) * axes[name] + (slice(count),)] if name in axes else a for name, a in feed.items()}


def more_rows(feed: Feed, axes: Mapping[str, int], count: int) -> Feed:
    """Make a batch `count` times as large. Each further copy of the rows has its values rotated, which keeps neighbours
    together; once that has come round, its values are mixed, and floats lie between values that were given.
    """
    result = dict(feed)
    for name, axis in axes.items():
        row = feed[name]
        rounds = row.size // max(row.shape[axis], 1)
        copies = [_rotated(row, shift) if shift < max(rounds, 1) else _mixed(row, shift) for shift in range(count)]
        result[name] = np.concatenate(copies, axis)
    return result


def _rotated(array: Array, shift: int) -> Array:
    return np.roll(array.reshape(-1), shift).reshape(array.shape)


def _mixed(array: Array, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    mixed: Array = generator.permutation(array.reshape(-1)).reshape(array.shape)
    if array.dtype.kind == "f":
        mixed = (mixed + (_rotated(mixed, 1) - mixed) * generator.random(array.shape)).astype(array.dtype)
    return mixed
