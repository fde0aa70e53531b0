"""How the compiling process leaves the program and goes behind all others, and whether there is a core to spare."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress

from actcache.learn import settings

#: What has to be idle of one core, and for how long; seconds.
_IDLE, _LONG_ENOUGH = 0.8, 2.0
#: A niceness of one more divides a share of time by this.
_STEP = 1.25


def leave() -> None:
    """Leave the program's session, be the first to go if memory runs out, and keep to the cores that are named."""
    with suppress(OSError):  # the first of its session already
        os.setsid()
    _write("oom_score_adj", "1000")
    _niceness_of_group(round(math.log(os.cpu_count() or 1, _STEP)))  # as one thread of a program that has one per core
    with suppress(OSError, ValueError):  # programs check it
        cores = settings.cores()
        if cores:
            os.sched_setaffinity(0, cores)


def step_back() -> None:
    """Let everybody else go first, for good."""
    nice = settings.niceness()
    with suppress(OSError):
        os.nice(nice)
        if nice >= settings.DEFAULT_NICE:  # even then it would hold a core for a moment after others have woken up
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _niceness_of_group(nice)


def _niceness_of_group(nice: int) -> None:
    """Have the session step back, which is scheduled as a group: else it would get as much as all of the program."""
    if os.getsid(0) == os.getpid():  # it is our own by now, or must not be touched
        _write("autogroup", str(min(nice, settings.DEFAULT_NICE)))


def _write(file: str, text: str) -> None:
    with suppress(OSError), open(f"/proc/self/{file}", "w", encoding="ascii") as opened:
        opened.write(text)


class IdleCore:
    """Whether the cores that this process may use leave one of them to spare, as seen between looks at them."""

    def __init__(self) -> None:
        self._at, self._idle = time.monotonic(), _idle_seconds()

    def found(self) -> bool:
        """Return whether a core was idle since the last look, or since the last that was long enough ago."""
        now = time.monotonic()
        passed = now - self._at
        if passed < _LONG_ENOUGH:
            return False
        before, self._at, self._idle = self._idle, now, _idle_seconds()
        return self._idle - before >= _IDLE * passed


def _idle_seconds() -> float:
    """Return how long the cores that this process may use have been idle so far, all together; 0 if nobody tells."""
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    with suppress(OSError, LookupError, ValueError), open("/proc/stat", encoding="ascii") as file:
        fields = [line.split() for line in file]
        ticks = sum(int(field[4]) + int(field[5]) for field in fields if field and field[0] in names)
        return ticks / os.sysconf("SC_CLK_TCK")
    return 0.0
