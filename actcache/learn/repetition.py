"""Whether anything in recorded calls may have come before: without that, compiling is not worth its time.

Looking takes some milliseconds, and compiling seconds. It is only said that nothing repeats where no sixteenth of a row
does: a model may take its inputs apart, as where the features of a user and of an article are in one row.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.learn.whole_rows import share_that_came_before

Feed = Mapping[str, "npt.NDArray[Any]"]
#: Into so many pieces a row is divided; each is held against the same piece of other rows.
_PIECES = 16

#: Of every place in the inputs (name, axis, number of the piece) the digests of what was there, in their order.
_Parts = dict[tuple[str, int, int], list[bytes]]


def may_repeat(calls: Iterable[Feed]) -> bool:
    """Whether a part of a call may be equal to a part of another one, or of the same.

    A piece that always has one value says nothing, unless all are like that. Where sizes other than the first
    vary, the input may be a sequence, whose beginnings are not compared here.

    Args:
        calls: The inputs of each.
    """
    varying = _varying(calls)
    if varying is None or all(axis > 0 for _, axis, _ in varying):
        return True
    return any(len(set(found)) < len(found) for found in varying.values())


def repeating_share(calls: Iterable[Feed]) -> float:
    """Return how much came before at the place where most does, in the newer half of what was there, of 1.

    Where beginnings would have to be compared, that is taken to be everything, as nothing is known.
    """
    varying = _varying(calls)
    if varying is None:
        return 1.0
    return max((share_that_came_before(found) for found in varying.values()), default=1.0)


def _varying(calls: Iterable[Feed]) -> _Parts | None:
    """Return the parts that do not always have one value; None: texts, or what may be sequences."""
    parts: _Parts = defaultdict(list)
    sizes: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for feed in calls:
        for name, array in feed.items():
            if array.dtype.kind == "O":
                return None
            sizes[name].add(array.shape[1:])
            for axis, piece, digest in _digests(array):
                parts[name, axis, piece].append(digest)
    if any(len(found) > 1 for found in sizes.values()):
        return None
    return {place: found for place, found in parts.items() if len(set(found)) > 1}


def _digests(array: npt.NDArray[Any]) -> Iterator[tuple[int, int, bytes]]:
    """Yield axis, number and digest of the pieces of all rows: along the first axis, and along the second.

    A call of one row has it along the first axis alone.
    """
    axes = range(min(array.ndim, 1 if array.shape[:1] == (1,) else 2))
    for axis, row in [(a, row) for a in axes for row in np.moveaxis(array, a, 0)] or [(0, array)]:
        for number, piece in enumerate(np.array_split(np.asarray(row).reshape(-1), _PIECES)):
            if piece.size:
                yield axis, number, hashlib.blake2b(piece.tobytes(), digest_size=16).digest()
