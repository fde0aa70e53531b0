"""How the compiling process leaves the program and goes behind all others, done before it loads anything."""

from __future__ import annotations

import os
from contextlib import suppress

from actcache.learn import settings


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
