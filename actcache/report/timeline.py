"""Sums over time, in a bounded number of intervals."""

from __future__ import annotations

import numpy as np

from actcache.report.rows import Floats

#: There are between half as many intervals and as many, once enough time has passed.
MOST_INTERVALS = 160


class Timeline:
    """Adds up columns per interval. When time outgrows the intervals, each two of them become one.

    Args:
        columns: How many numbers an interval has.

    Attributes:
        start: Seconds since 1970 at which the first interval begins; None: nothing was added.
        width: Seconds of an interval.
    """

    def __init__(self, columns: int) -> None:
        self.start: float | None = None
        self.width = 1e-3
        self._sums = np.zeros((MOST_INTERVALS, columns))
        self._last = -1

    def add(self, times: Floats, values: Floats) -> None:
        """Add a row of `values` at each of `times`; what is before the start counts for the first interval."""
        if not len(times):
            return
        if self.start is None:
            self.start = float(times.min())
        offsets = np.maximum(times - self.start, 0.0)
        while offsets.max() >= self.width * MOST_INTERVALS:
            self._fold()
        places = (offsets / self.width).astype(np.int64)
        np.add.at(self._sums, places, values)
        self._last = max(self._last, int(places.max()))

    def sums(self) -> Floats:
        """Return the sums, intervals × columns, up to the last interval in which something was added."""
        return self._sums[: self._last + 1]

    def steps(self, like: Timeline, count: int) -> Floats:
        """Return the sums in `count` steps at most, of the time that `like` spans; `like` began no later."""
        length = len(like.sums())
        together = -(-length // count) or 1
        found = np.zeros((-(-length // together), self._sums.shape[1]))
        if self.start is None or like.start is None:
            return found
        sums = self.sums()
        middles = self.start - like.start + (np.arange(len(sums)) + 0.5) * self.width
        np.add.at(found, np.minimum((middles / like.width).astype(np.int64) // together, len(found) - 1), sums)
        return found

    def _fold(self) -> None:
        folded = np.zeros_like(self._sums)
        folded[: MOST_INTERVALS // 2] = self._sums[0::2] + self._sums[1::2]
        self._sums = folded
        self._last //= 2
        self.width *= 2
