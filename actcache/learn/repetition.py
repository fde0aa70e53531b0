"""Whether anything in recorded calls may have come before: without that, compiling is not worth its time.

Looking takes some milliseconds, and compiling seconds. So it is only said that nothing repeats where that is certain of
what a region could find again: equal rows, equal inputs beside others, beginnings of sequences.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Feed = Mapping[str, "npt.NDArray[Any]"]


def may_repeat(calls: Iterable[Feed]) -> bool:
    """Whether a part of a call may be equal to a part of another one, or of the same.

    An input that always has one value says nothing, unless all inputs are like that. Where sizes other than the first
    vary, the input may be a sequence, whose beginnings are not compared here.

    Args:
        calls: The inputs of each.
    """
    parts: dict[str, list[bytes]] = defaultdict(list)
    sizes: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for feed in calls:
        for name, array in feed.items():
            if array.dtype.kind == "O":
                return True
            sizes[name].add(array.shape[1:])
            parts[name] += _digests(array)
    if any(len(found) > 1 for found in sizes.values()):
        return True
    varying = [found for found in parts.values() if len(set(found)) > 1]
    return not varying or any(len(set(found)) < len(found) for found in varying)


def _digests(array: npt.NDArray[Any]) -> Iterator[bytes]:
    """Yield digests of what may be a row: along the first axis, and along the second if there are several of both."""
    if array.ndim == 0:
        yield _digest(array)
        return
    for row in array:
        yield _digest(np.asarray(row))
    if array.ndim > 1 and array.shape[0] > 1:
        for row in np.moveaxis(array, 1, 0):
            yield b"second axis" + _digest(row)


def _digest(array: npt.NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()
