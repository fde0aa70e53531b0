"""Calls chosen by what they hold, where there is no room for all of them: of some contents, every call.

Large inputs fill the sample before any of them comes again. Of neighbouring calls few repeat then, and of calls drawn
at random fewer still, as both ends of a repetition have to be drawn. So a call has a key, a hash of its content, and
is kept if the key begins with enough zeros (its *level*). All calls of a kept content are kept, so they repeat as
often as all calls do (spatial sampling: Waldspurger et al., SHARDS, FAST 2015). When there is no more room, the level
rises by one, and half of the contents go.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from actcache.learn.chunks import Feed, bytes_of
from actcache.learn.threads import new_lock

if TYPE_CHECKING:
    import numpy.typing as npt

#: Bytes of what is kept.
MOST_BYTES = 64 << 20
#: Of a large array so many pieces are hashed, of so many words of eight bytes.
_PIECES, _WORDS = 64, 32
_KEY_BITS = 64
#: Pieces lie at another place of each stretch, so that no border or column decides.
_GOLDEN = 0.6180339887


def key_of(feed: Mapping[str, npt.NDArray[Any]]) -> int:
    """Return the key of a call, the same in every process: equal inputs have equal ones.

    Of a large array only pieces are hashed, so equal keys do not say that the inputs are equal.
    """
    digest = blake2b(digest_size=_KEY_BITS // 8)
    for name in sorted(feed):
        array = feed[name]
        text = array.dtype.kind in "OU"
        digest.update(repr((name, "text" if text else array.dtype.str, array.shape)).encode())
        digest.update("\0".join(map(str, array.flat)).encode() if text else _pieces(array))
    return int.from_bytes(digest.digest(), "big")


def level_of(key: int) -> int:
    """Return with how many zeros a key begins: half of all keys have the level 0, a quarter 1, ..."""
    return _KEY_BITS - key.bit_length()


def _pieces(array: npt.NDArray[Any]) -> bytes:
    content = bytes_of(array)
    words = len(content) // 8
    if words <= _PIECES * _WORDS:
        return content.tobytes()
    taken: npt.NDArray[np.uint64] = content[: words * 8].view(np.uint64)[_places(words)]
    return taken.tobytes()


@lru_cache(maxsize=16)
def _places(words: int) -> npt.NDArray[np.int64]:
    stretch, number = words // _PIECES, np.arange(_PIECES)
    starts = number * stretch + (number * _GOLDEN % 1 * (stretch - _WORDS)).astype(np.int64)
    places: npt.NDArray[np.int64] = (starts[:, None] + np.arange(_WORDS)).ravel()
    return places


def _equal(one: Feed, other: Feed) -> bool:
    return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind == "O":
        return bool(one.tolist() == other.tolist())
    return bool(np.array_equal(bytes_of(one), bytes_of(other)))  # NaN is equal to itself


class CallsByKey:
    """The calls of a session that are kept by their keys; safe to call from several threads.

    Attributes:
        level: The least level that is kept: one in two to the power of this contents.
        looked_at: Calls that were looked at.
    """

    def __init__(self) -> None:
        self.level = self.looked_at = 0
        self._lock = new_lock()
        self._bytes = self._repeats = 0
        self._seen: set[int] = set()
        self._contents: dict[int, list[Feed]] = {}
        self._kept: list[tuple[int, Feed]] = []

    def saw(self, feed: Feed) -> Feed | None:
        """Look at a call, and return the copy of its inputs that is kept; None: none is."""
        key = key_of(feed)
        with self._lock:
            self.looked_at += 1
            self._repeats += key in self._seen
            self._seen.add(key)
            if level_of(key) < self.level:
                return None
            copy = next((known for known in self._contents.get(key, ()) if _equal(known, feed)), None)
            if copy is None:
                copy = {name: array.copy() for name, array in feed.items()}
                self._contents.setdefault(key, []).append(copy)
                self._bytes += _size(copy)
            self._kept.append((key, copy))
            while self._bytes > MOST_BYTES:
                self._rise()
            return copy if level_of(key) >= self.level else None

    def _rise(self) -> None:
        self.level += 1
        self._kept = [(key, feed) for key, feed in self._kept if level_of(key) >= self.level]
        self._contents = {key: feeds for key, feeds in self._contents.items() if level_of(key) >= self.level}
        self._bytes = sum(_size(feed) for feeds in self._contents.values() for feed in feeds)

    def sample(self) -> list[Feed]:
        """Return the kept calls in their order, equal ones as one object.

        They repeat no more than all calls that were looked at: where a content that comes very often was kept by
        chance, the last of its calls are left out.
        """
        with self._lock:
            kept, share = list(self._kept), self._repeats / max(1, self.looked_at)
        wanted = Counter(key for key, _ in kept)
        repeats = len(kept) - len(wanted)
        often = [(-count, key) for key, count in wanted.items()]
        heapq.heapify(often)
        for _ in range(math.ceil((repeats - share * len(kept)) / (1 - share) - 1e-9) if share < 1 else 0):
            count, key = heapq.heappop(often)
            wanted[key] -= 1
            heapq.heappush(often, (count + 1, key))
        taken: Counter[int] = Counter()
        found = []
        for key, feed in kept:
            taken[key] += 1
            if taken[key] <= wanted[key]:
                found.append(feed)
        return found


def _size(feed: Feed) -> int:
    return sum(array.nbytes for array in feed.values())
