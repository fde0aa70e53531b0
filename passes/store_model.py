"""What the store would keep: GreedyDual-Size-Frequency on a stream of keys, within a byte budget.

GreedyDual-Size-Frequency (Cherkasova 1998) evicts the entry with the smallest H = L + frequency · worth / bytes, where
L is the largest H evicted so far. Like the library's store (``custom_ops/src/store/store.h``), a candidate pushes out
only what has no larger H, and all of it or nothing; a refusal moves L towards the smallest H by the candidate's share
of the budget; a candidate of more than an eighth of the budget has to have been wanted before; and how often a key was
wanted outlives its entry. The library forgets that in time, and estimates it; here it is exact.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

#: What the library keeps beside the bytes of an entry.
ENTRY_OVERHEAD = 128

#: Part of the budget beyond which a candidate pushes nothing out when it is wanted for the first time.
UNPROVEN_SHARE = 1 / 8


@dataclass
class StoreModel:
    """A store that holds sizes instead of bytes.

    Attributes:
        budget: Bytes that it may hold.
    """

    budget: int
    _held: dict[Hashable, tuple[float, int]] = field(default_factory=dict)  # bytes, last touch
    _heap: list[tuple[float, int, Hashable]] = field(default_factory=list)  # H, touch, key
    _uses: Counter[Hashable] = field(default_factory=Counter)
    _bytes: float = 0.0
    _level: float = 0.0
    _touches: int = 0

    def touch(self, key: Hashable, worth: float, size: float) -> bool:
        """Look `key` up and keep it, if it may stay, when it was not there; return whether it was.

        Args:
            key: The entry.
            worth: Seconds that a hit saves.
            size: Bytes of the entry.
        """
        held = key in self._held
        size += ENTRY_OVERHEAD
        self._uses[key] += 1
        rank = self._level + self._uses[key] * worth / size
        if not held:
            proven = self._uses[key] > 1 or size <= self.budget * UNPROVEN_SHARE
            if not self._make_room(size, rank if proven and worth > 0 else -1.0):
                return False
            self._bytes += size
        self._touches += 1
        self._held[key] = (size, self._touches)
        heapq.heappush(self._heap, (rank, self._touches, key))
        return held

    def _make_room(self, size: float, rank: float) -> bool:
        """Evict what has no larger H than `rank` (a negative one: nothing) if that makes room for `size` bytes."""
        chosen: list[tuple[float, int, Hashable]] = []
        missing = self._bytes + size - self.budget
        while missing > 0 and (smallest := self._smallest()) is not None and smallest <= rank:
            chosen.append(heapq.heappop(self._heap))
            missing -= self._held[chosen[-1][2]][0]
        if missing > 0:
            for item in chosen:
                heapq.heappush(self._heap, item)
            smallest = self._smallest()
            if rank >= 0 and size <= self.budget and smallest is not None:
                self._level += max(smallest - self._level, 0.0) * size / self.budget
            return False
        for evicted, _, key in chosen:
            self._level = max(self._level, evicted)
            self._bytes -= self._held.pop(key)[0]
        return True

    def _smallest(self) -> float | None:
        """H of the heap's first entry, after dropping those that were touched or evicted since."""
        while self._heap:
            rank, touch, key = self._heap[0]
            if key in self._held and self._held[key][1] == touch:
                return rank
            heapq.heappop(self._heap)
        return None
