"""What the store would keep of a stream of requests, within a byte budget: the library's own store is asked, with
entries that have sizes and no values.
"""

from __future__ import annotations

import ctypes
import math

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

    def touch_chains(
        self,
        keys: npt.NDArray[np.uint64],
        size: float,
        saving: float,
        region: int = 0,
        *,
        min_suffix: int,
        end_size: float = 0,
        hands_ends_on: bool = False,
    ) -> int:
        """Look a call of a region of prefixes up, and offer to the store what it would compute.

        Args:
            keys: Of its positions, uint64 [rows, positions]; each stands for all before it in its row, too
                (:mod:`actcache.passes.choice.chained_keys`).
            size: Bytes of the values of a position.
            saving: Seconds that a hit on a position saves.
            region: As for :meth:`touch`.
            min_suffix: Fewest positions that are computed, if any are.
            end_size: Bytes that are known behind the last position of a call alone; 0: there are none.
            hands_ends_on: Whether they are read behind the region.

        Returns:
            How many positions of each row would have been found and used.

        Raises:
            MemoryError: There is no memory for the bookkeeping.
        """
        given = np.ascontiguousarray(keys, np.uint64)
        rows, length = given.shape
        saving_ns = max(round(saving * 1e9), 0)
        at = given.ctypes.data_as(ctypes.c_void_p)
        bytes_of = round(size), math.ceil(end_size)
        call = _Chains(region, rows, length, min_suffix, at, *bytes_of, saving_ns, hands_ends_on)
        used = int(self._handle.actcache_simulate_chains(self._store, ctypes.byref(call)))
        if used < 0:
            raise MemoryError
        return used


class _Chains(ctypes.Structure):
    """``struct actcache_simulated_chains``."""

    _fields_ = (
        ("region", ctypes.c_uint32),
        ("rows", ctypes.c_size_t),
        ("length", ctypes.c_size_t),
        ("min_suffix", ctypes.c_size_t),
        ("keys", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("end_bytes", ctypes.c_uint64),
        ("saving_ns", ctypes.c_uint64),
        ("hands_ends_on", ctypes.c_int),
    )


def _column(values: _Numbers, count: int, dtype: type[np.generic]) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values).astype(dtype), (count,)))
