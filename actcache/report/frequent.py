"""The most frequent keys of a stream, in bounded memory; and beginnings of sequences, whose positions have a key each.

Misra and Gries, "Finding repeated elements" (1982), in the form whose summaries can be merged (Agarwal and others,
"Mergeable summaries", 2012): of more than `capacity` counters, the next largest count is taken off all.
"""

from __future__ import annotations

import numpy as np

from actcache.report.rows import Ints, Keys


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
        self._roots = np.zeros(0, np.uint64)
        self._depths = np.zeros(0, np.int64)

    def add(self, keys: Keys, roots: Keys | None = None, depths: Ints | None = None) -> None:
        """Count each of `keys` once. Those of positions come with the key of the first position of their row, and with
        their place in it, from 1.
        """
        new, first, counts = np.unique(keys, return_index=True, return_counts=True)
        everything = np.concatenate([self._keys, new])
        merged, known, places = np.unique(everything, return_index=True, return_inverse=True)
        new_roots = new if roots is None else roots[first]
        new_depths = np.ones(len(new), np.int64) if depths is None else depths[first]
        self._roots = np.concatenate([self._roots, new_roots])[known]
        self._depths = np.concatenate([self._depths, new_depths])[known]
        sums = np.zeros(len(merged), np.int64)
        np.add.at(sums, places, np.concatenate([self._counts, counts]))
        if len(merged) > self._capacity:
            excess = int(np.partition(sums, -self._capacity - 1)[-self._capacity - 1])
            self.error += excess
            sums -= excess
            kept = sums > 0
            self._roots, self._depths = self._roots[kept], self._depths[kept]
            merged, sums = merged[kept], sums[kept]
        self._keys, self._counts = merged, sums

    def top(self, count: int) -> list[tuple[int, int]]:
        """Return the `count` most frequent keys, each with its count (too small by at most :attr:`error`)."""
        order = np.argsort(-self._counts, kind="stable")[:count]
        return [(int(self._keys[i]), int(self._counts[i])) for i in order]

    def beginnings(self, count: int) -> list[tuple[int, int, int]]:
        """Return the `count` most frequent beginnings: the key of the last position, how often, how many positions.

        Of positions of one beginning that came equally often, the last one stands for all.
        """
        order = np.lexsort((-self._depths, self._roots, -self._counts))
        group = np.stack([self._counts[order], self._roots[order].view(np.int64)])
        last = np.ones(len(order), np.bool_)
        last[1:] = (group[:, 1:] != group[:, :-1]).any(axis=0)
        return [(int(self._keys[i]), int(self._counts[i]), int(self._depths[i])) for i in order[last][:count]]
