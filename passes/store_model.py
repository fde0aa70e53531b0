"""What the store would keep: GreedyDual-Size-Frequency on a stream of keys, within a byte budget.

GreedyDual-Size-Frequency (Cherkasova 1998) evicts the entry with the smallest H = L + frequency · worth / bytes, where
L is the H of the last entry evicted. The library's store follows the same policy with an approximate frequency.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field

#: What the library keeps beside the bytes of an entry.
ENTRY_OVERHEAD = 160


@dataclass
class StoreModel:
    """A store that holds sizes instead of bytes.

    Attributes:
        budget: Bytes that it may hold.
    """

    budget: int
    _held: dict[Hashable, tuple[float, float, int, float]] = field(default_factory=dict)  # worth, bytes, uses, H
    _heap: list[tuple[float, int, Hashable]] = field(default_factory=list)
    _bytes: float = 0.0
    _level: float = 0.0
    _pushed: int = 0

    def touch(self, key: Hashable, worth: float, size: float) -> bool:
        """Look `key` up and keep it if it was not there; return whether it was.

        Args:
            key: The entry.
            worth: Seconds that a hit saves.
            size: Bytes of the entry.
        """
        held = self._held.get(key)
        size += ENTRY_OVERHEAD
        uses = held[2] + 1 if held else 1
        rank = self._level + uses * worth / size
        if held is None:
            if size > self.budget:
                return False
            self._make_room(self.budget - size)
            self._bytes += size
        self._held[key] = (worth, size, uses, rank)
        self._pushed += 1
        heapq.heappush(self._heap, (rank, self._pushed, key))
        return held is not None

    def _make_room(self, target: float) -> None:
        while self._bytes > target:
            rank, _, key = heapq.heappop(self._heap)
            held = self._held.get(key)
            if held is not None and held[3] == rank:  # else it was touched since: a later push counts
                self._level = rank
                self._bytes -= held[1]
                del self._held[key]
