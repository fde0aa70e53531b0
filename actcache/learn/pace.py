"""How many of a session's calls are recorded: what that costs stays a small share of the program's time.

There is a purse of time to record with. It is full at first, so the first calls are recorded one after the other, and
fills again as time passes. Once it is empty, the session's calls go by as if nobody recorded, until it is half full.
Where little is to be learnt, stretches of neighbouring calls are recorded, with long rests between them.
"""

from __future__ import annotations

import time

#: What the purse holds when it is full, in seconds, and the share of the passing time that fills it.
_PURSE, _SHARE = 0.020, 0.005
#: Once a model is compiled, or refused, so many neighbouring calls are recorded in one of so many stretches of time.
_STRETCH, _STRETCHES = 64, 64


class ProgramTime:
    """A clock of what the program has done, in seconds: of wall and processor time, whichever passes more slowly.

    A program that waits does nothing, on a busy machine it does less than time passes, and on many threads no more.
    """

    def __init__(self) -> None:
        self._wall, self._processor, self._passed = time.perf_counter(), time.process_time(), 0.0

    def __call__(self) -> float:
        """Return how late it is."""
        wall, processor = time.perf_counter(), time.process_time()
        self._passed += min(wall - self._wall, processor - self._processor)
        self._wall, self._processor = wall, processor
        return self._passed


class Pace:
    """Says when to record, by what recording has cost so far. All times are of one clock, in seconds."""

    def __init__(self, now: float) -> None:
        self._purse, self._at = _PURSE, now
        self._resume = now
        self._seldom = False
        self._began, self._calls = now, 0

    def seldom(self, now: float) -> None:
        """From now on, record in stretches only; one begins now."""
        self._seldom = True
        self._resume = now
        self._began, self._calls = now, 0

    def pay(self, now: float, cost: float) -> None:
        """Note what was spent."""
        self._purse = min(_PURSE, self._purse + _SHARE * (now - self._at)) - cost
        self._at = now

    def goes_on(self, now: float, cost: float) -> bool:
        """Note what recording a call has cost, and return whether the next call is recorded, too."""
        self.pay(now, cost)
        self._calls += 1
        rest = (_PURSE / 2 - self._purse) / _SHARE if self._purse < 0 else 0.0
        if self._seldom and self._calls >= _STRETCH:
            rest = max(rest, (_STRETCHES - 1) * (now - self._began))
        self._resume = now + rest
        return rest == 0.0

    def may_resume(self, now: float) -> bool:
        """Whether the rest is over; if it is, a new stretch begins."""
        if now < self._resume:
            return False
        self._began, self._calls = now, 0
        return True
