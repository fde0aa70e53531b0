"""Times of calls that the original and the compiled model made in turn: which of them takes less, and is that clear?"""

from __future__ import annotations

import numpy as np

#: They are looked at after every so many calls, once they took so many seconds in all.
_CALLS, _SECONDS = 32, 1.0
#: So many standard errors belong to a ratio. With them, it has to be below this, or not below 1.
_ERRORS, _PAYS = 3.0, 0.95


class PairedTimes:
    """Seconds of the same calls, made in two ways."""

    def __init__(self) -> None:
        self._pairs: list[tuple[float, float]] = []
        self.original = self.compiled = 0.0

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, original: float, compiled: float) -> None:
        """Add a call."""
        self._pairs.append((original, compiled))
        self.original += original
        self.compiled += compiled

    def are_clear(self, calls: int) -> bool:
        """Whether they say that the compiled model takes clearly less time, or no less.

        The first calls find little in the cache. So it takes no less only if that is true of the later half, too, and
        half of all calls were made.

        Args:
            calls: How many there are in all.
        """
        if not self._pairs or len(self._pairs) % _CALLS or self.original + self.compiled < _SECONDS:
            return False
        every = np.array(self._pairs)
        low, high = _interval(every)
        late_low, late_high = _interval(every[len(every) // 2 :])
        lost = 2 * len(every) >= calls and min(low, late_low) >= 1.0
        return lost or max(high, late_high) < _PAYS


def _interval(pairs: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[float, float]:
    """Return the bounds of the ratio of the sums: its standard error is that of a ratio (Cochran 1977, 6.4)."""
    original, compiled = pairs.T
    ratio = compiled.sum() / original.sum()
    error = np.sqrt(((compiled - ratio * original) ** 2).sum() * len(pairs) / (len(pairs) - 1)) / original.sum()
    return float(ratio - _ERRORS * error), float(ratio + _ERRORS * error)
