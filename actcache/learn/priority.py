"""How the compiling process leaves the program and goes behind all others, done before it loads anything."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from actcache.learn import settings

#: How long an idle core is waited for, and how often one is looked for; seconds. What of it has to be idle.
_LONGEST, _PERIOD, _IDLE = 20.0, 0.5, 0.8


def step_back() -> None:
    """Leave the program's session, let everybody else go first, and be the first to be ended if memory runs out."""
    with suppress(OSError):  # the first of its session already
        os.setsid()
    nice = settings.niceness()
    with suppress(OSError):
        os.nice(nice)
        if nice >= settings.DEFAULT_NICE:  # even then it would hold a core for a moment after others have woken up
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # A session is scheduled as a group, whose niceness is another one. It is our own by now, or must not be touched.
    alone = [("autogroup", str(nice))] if os.getsid(0) == os.getpid() else []
    for file, value in (*alone, ("oom_score_adj", "1000")):
        with suppress(OSError), open(f"/proc/self/{file}", "w", encoding="ascii") as opened:
            opened.write(value)


def wait_for_an_idle_core() -> None:
    """Wait until the machine has a core to spare, but not for long: a program may keep all of them busy for ever.

    Even a process that goes behind all others slows them: they share caches and memory, and often halves of a core. So
    a short program is over before its model is compiled.
    """
    if settings.niceness() < settings.DEFAULT_NICE:
        return
    with suppress(OSError, ValueError):
        end = time.monotonic() + _LONGEST
        before = _idle_seconds()
        while time.monotonic() < end:
            time.sleep(_PERIOD)
            now = _idle_seconds()
            if now - before >= _IDLE * _PERIOD:
                return
            before = now


def _idle_seconds() -> float:
    """Return how long the cores that this process may use have been idle so far, all together."""
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    with open("/proc/stat", encoding="ascii") as file:
        fields = [line.split() for line in file]
    ticks = sum(int(field[4]) + int(field[5]) for field in fields if field and field[0] in names)
    return ticks / os.sysconf("SC_CLK_TCK")
