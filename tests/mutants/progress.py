"""How far a run is and when it may end, on stderr."""

from __future__ import annotations

import sys
import time

#: Where stderr is no terminal, a line is written only so often.
_SECONDS = 60.0


class Progress:
    """Counts outcomes of a group.

    Args:
        group: Its name.
        total: How many there are to be.
    """

    def __init__(self, group: str, total: int) -> None:
        self.group, self.total = group, total
        self.done = self.survived = 0
        self._began: float | None = None
        self._told = time.monotonic()
        self._terminal = sys.stderr.isatty()
        print(f"{group}: {total} mutants; first the tests run once without any", file=sys.stderr, flush=True)

    def add(self, killed: bool) -> None:
        """Count one more, and tell if it is time to."""
        now = time.monotonic()
        # The first comes after the run without a mutant, which says nothing of the time of the others.
        self._began = self._began or now
        self.done += 1
        self.survived += not killed
        if self._terminal or now - self._told >= _SECONDS or self.done == self.total:
            self._told = now
            left = (now - self._began) / self.done * (self.total - self.done)
            line = f"{self.group}: {self.done} of {self.total}, {self.survived} survived, {left / 60:.0f} minutes left"
            end = "\r" if self._terminal and self.done < self.total else "\n"
            print(line, end=end, file=sys.stderr, flush=True)
