"""The most frequent keys of a stream, in bounded memory.

Misra and Gries, "Finding repeated elements" (1982), in the form whose summaries can be merged (Agarwal and others,
"Mergeable summaries", 2012): of more than `capacity` counters, the next largest count is taken off all.
"""

from __future__ import annotations

import numpy as np

from actcache.report.rows import Keys


class FrequentKeys:
    """Counts keys. Any that makes up more than 1/(capacity + 1) of all is found.

    Args:
        capacity: How many counters there are.

    Attributes:
        error: By how much a count may be too small, at most total/(capacity + 1). None is too large.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self.error = 0
        self._capacity = capacity
        self._keys = np.zeros(0, np.uint64)
        self._counts = np.zeros(0, np.int64)

    def add(self, keys: Keys) -> None:
        """Count each of `keys` once."""
        new, counts = np.unique(keys, return_counts=True)
        merged, places = np.unique(np.concatenate([self._keys, new]), return_inverse=True)
        sums = np.zeros(len(merged), np.int64)
        np.add.at(sums, places, np.concatenate([self._counts, counts]))
        if len(merged) > self._capacity:
            excess = int(np.partition(sums, -self._capacity - 1)[-self._capacity - 1])
            self.error += excess
            sums -= excess
            merged, sums = merged[sums > 0], sums[sums > 0]
        self._keys, self._counts = merged, sums

    def top(self, count: int) -> list[tuple[int, int]]:
        """Return the `count` most frequent keys, each with its count (too small by at most :attr:`error`)."""
        order = np.argsort(-self._counts, kind="stable")[:count]
        return [(int(self._keys[i]), int(self._counts[i])) for i in order]
