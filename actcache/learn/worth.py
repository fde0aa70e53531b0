"""Whether a compiled model still pays in this process: what its hits save against what they cost.

Both are measured by the library, for each region. A window is closed after enough calls; one that saved next to nothing
speaks against the model. Several of these in a row are a change of traffic, and no accident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actcache.learn.place import Ready

#: A window has so many calls at least, and so many seconds of them; so many failed windows in a row are enough.
_CALLS, _SECONDS, _IN_A_ROW = 256, 2.0, 2
#: What a window has to save, as a share of the time that its calls would have taken; `job.PAYS` asks for more.
_LEAST = 0.005

_known: dict[tuple[str, str], Worth] = {}


class Worth:
    """What one compiled model does for all sessions of this process that run it.

    Attributes:
        problem: Why it does not pay; None: it does, or nobody knows yet.
        paid: Whether a window has paid.
        times: How many sessions of all programs went back, this process's counted once; None: not noted yet.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self.paid = False
        self.times: int | None = None
        self._calls, self._seconds, self._failed = 0, 0.0, 0
        self._before: float | None = None

    def saw(self, seconds: float) -> None:
        """Count a call that took so long."""
        self._calls += 1
        self._seconds += seconds

    def is_due(self) -> bool:
        """Whether a window begins, or has enough calls to be closed."""
        return self._before is None or (self._calls >= _CALLS and self._seconds >= _SECONDS)

    def look(self, gained: float) -> None:
        """Close the window, and begin the next.

        Args:
            gained: Seconds saved, less those that this cost, since the process began.
        """
        if self._before is not None:
            self._judge(gained - self._before)
        self._before, self._calls, self._seconds = gained, 0, 0.0

    def _judge(self, gained: float) -> None:
        if gained >= _LEAST * (self._seconds + gained):
            self.problem, self.paid, self._failed = None, True, 0
            return
        self._failed += 1
        if self._failed >= _IN_A_ROW:
            calls, seconds = f"{self._calls:,} calls", f"{self._seconds:.2f} s"
            told = f"saved {gained:.3f} s" if gained > 0 else f"cost {-gained:.3f} s more than they saved"
            self.problem = f"its regions {told} in the last {calls} ({seconds}): the traffic repeats too little now"


def forget() -> None:
    """After a fork: what was counted is the parent's."""
    _known.clear()


def of(ready: Ready) -> Worth:
    """Return what is known of a compiled model in this process."""
    return _known.setdefault((ready.key, ready.folder), Worth())
