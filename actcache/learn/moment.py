"""When the compiling process begins, and whether it goes behind all others or takes a share beside the program.

Even a process that goes behind all others slows them: they share caches and memory, and often halves of a core. So it
waits while the program keeps all cores busy, until the program has ended. It does not wait if that would be worse: what
it takes comes back soon, or is little against what the program has run.

Who has gone behind all others cannot come back. So this is decided before, and asked again and again, while next to
nothing is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from actcache.learn import cache, priority, program, settings
from actcache.learn.whole_rows import WholeRows

#: How often it is asked, in seconds: seldom once it has waited for long, as a program may have many models.
_PERIOD, _LONGEST_PERIOD, _OF_WAITING = 0.5, 5.0, 0.02
#: What compiling may take of a program that gains nothing, as a share of what that has run.
_LITTLE = 0.03
#: What has to come back of what is invested.
_CLEARLY = 2.0
#: Of a program that has run less, in seconds, more calls are waited for if no row came before: few calls say little.
_LONG_RUN = 20.0
#: Seconds of processor time that an attempt takes, where none was made yet.
_FIRST_COST = 10.0


class Moment(Enum):
    """What is to be done now."""

    LATER = "wait"
    BEHIND = "compile, and let everybody else go first"
    BESIDE = "compile, with the priority that the program has"


def decide(ran: float | None, idle: bool, share: float, calls_took: float, cost: float) -> Moment:
    """Decide what is to be done.

    A program is taken to go on for as long as it has run. While it shares its cores with the compiling process, its
    calls save nothing.

    Args:
        ran: How long the program has run, in seconds; None: it has ended.
        idle: Whether a core is idle.
        share: Of the rows, how many came before.
        calls_took: How long the session's calls took of what the program has run.
        cost: Processor time of compiling.
    """
    if ran is None or (idle and (share > 0 or ran >= _LONG_RUN)):
        return Moment.BEHIND
    saving = share * (min(calls_took, ran) - cost)
    if saving >= _CLEARLY * cost or cost <= _LITTLE * ran:
        return Moment.BESIDE
    return Moment.LATER


@contextmanager
def awaited(root: Path, folder: Path) -> Iterator[None]:
    """Wait for the moment to look at a place, with the cache folder locked from then on."""
    waits = settings.niceness() >= settings.DEFAULT_NICE
    began = time.monotonic()
    idle, rows, cost = priority.IdleCore(), WholeRows(folder / "calls"), expected_cost(root, folder)
    while True:
        moment = _now(folder, idle.found(), rows, cost) if waits else Moment.BEHIND
        if moment is not Moment.LATER:
            with cache.locked(root / "lock", wait=False) as held:
                if held:
                    if moment is Moment.BEHIND:
                        priority.step_back()
                    yield
                    return
        time.sleep(min(_LONGEST_PERIOD, _PERIOD + _OF_WAITING * (time.monotonic() - began)))


def _now(folder: Path, idle: bool, rows: WholeRows, cost: float) -> Moment:
    told = (cache.read_json(folder / "request.json") or {}).get("program") or {}
    ran = program.age(told)
    if ran is None:
        return Moment.BEHIND
    took = told["calls_took"] * ran / max(told["ran"], 1e-3)  # it has gone on since
    return decide(ran, idle, rows.share(), took, cost)


def expected_cost(root: Path, folder: Path) -> float:
    """Return the seconds of processor time that compiling a place's model will take.

    That is what it took the last time; for a new model, what others took.
    """
    key = (cache.read_json(folder / "answer.json") or {}).get("key", "")
    known = {
        record.parent.name: found["processor_seconds"]
        for record in (root / "models").glob("*/record.json")
        if (found := cache.read_json(record)) is not None and "processor_seconds" in found
    }
    others = sorted(known.values()) or [_FIRST_COST]
    return float(known.get(key) or others[len(others) // 2])
