"""How far a long proof is, for who waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

#: Told what is being done, how much of it is done, and how much there is.
Tell: TypeAlias = Callable[[str, int, int], object]

#: Seconds between two lines.
_PERIOD = 10.0


class Progress:
    """Prints a line now and then, and nothing for what is done sooner."""

    def __init__(self, period: float = _PERIOD) -> None:
        self._period, self._begin = period, time.monotonic()
        self._next = self._begin + period

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell that so much of a part is done."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._period
        print(f"{what}: {done} of {total}, {now - self._begin:.0f} s since the start", flush=True)


def silent(what: str, done: int, total: int) -> None:
    """What is told nobody."""
