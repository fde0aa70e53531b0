"""What the store would keep of a stream of requests, within a byte budget: the library's own store is asked, with
entries that have sizes and no values.
"""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

from actcache.base.library import library

#: About what the library keeps beside the bytes of an entry.
ENTRY_OVERHEAD = 128

_Numbers = npt.ArrayLike


class StoreSimulation:
    """A store of its own, empty at first.

    Args:
        budget: Bytes that it may hold.
    """

    def __init__(self, budget: int) -> None:
        self._handle = library().handle
        self._store = self._handle.actcache_simulation_new(max(int(budget), 0))
        if not self._store:
            raise MemoryError

    def __del__(self) -> None:
        if getattr(self, "_store", None):
            self._handle.actcache_simulation_free(self._store)

    def touch(
        self, keys: npt.NDArray[np.uint64], sizes: _Numbers, savings: _Numbers, regions: _Numbers = 0
    ) -> npt.NDArray[np.bool_]:
        """Look entries up, one after the other, and offer to the store what is not there.

        Args:
            keys: The entries, uint64 [n].
            sizes: Bytes of their values, [n] or one for all.
            savings: Seconds that a hit saves, likewise.
            regions: Numbers that tell equal keys apart, likewise.

        Returns:
            Whether each was there, bool [n].

        Raises:
            MemoryError: There is no memory for the bookkeeping.
        """
        count = len(keys)
        columns = [
            _column(regions, count, np.uint32),
            _column(keys, count, np.uint64),
            _column(sizes, count, np.uint64),
            _column(np.maximum(np.rint(np.asarray(savings) * 1e9), 0), count, np.uint64),
        ]
        hits = np.zeros(count, np.uint8)
        pointers = [column.ctypes.data_as(ctypes.c_void_p) for column in (*columns, hits)]
        if self._handle.actcache_simulate(self._store, count, *pointers) != 0:
            raise MemoryError
        return hits.astype(bool)


def _column(values: _Numbers, count: int, dtype: type[np.generic]) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values).astype(dtype), (count,)))
