"""What a process has once for all its sessions: their learners, the thread that serves them, and what the end takes."""

from __future__ import annotations

import atexit
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from actcache.learn import ending, launch, settings, threads

if TYPE_CHECKING:
    from actcache.learn.learner import Learner

#: How often the thread looks after its learners, in seconds. What they saved is written down after the second of these
#: times, and whenever so much more time has passed as until then, at most the third: not all programs end in order.
_PERIOD, _FIRST_TOTALS, _TOTALS_PERIOD = 0.5, 1.0, 30.0

_learners: set[Learner] = set()
_notes: list[str] = []
_lock = threads.new_lock()
_started_in = 0
_heeded = _ended = False


def note(reason: str) -> None:
    """Keep a reason that no record can take."""
    if reason not in _notes:
        _notes.append(reason)
    _heed_the_end()


def notes() -> list[str]:
    """Return the reasons that no record took."""
    return list(_notes)


def add(learner: Learner) -> None:
    """Look after a learner from now on.

    Raises:
        RuntimeError: There is no room for one more thread.
    """
    global _started_in
    with _lock:
        _learners.add(learner)
        if _started_in != os.getpid():
            _heed_the_end()
            _heed_a_workers_end()
            threads.start(_serve)
            _started_in = os.getpid()


def _heed_the_end() -> None:
    """Have the end of the program, and its forks, known here."""
    global _heeded
    if not _heeded:
        _heeded = True
        atexit.register(_end)
        os.register_at_fork(before=ending.before_fork, after_in_parent=ending.after_fork, after_in_child=_forget)


def _heed_a_workers_end() -> None:
    """Have the end known of a worker that multiprocessing has forked: it leaves out what ``atexit`` knows."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _end, exitpriority=-1)  # after what the program has put there


def learners() -> list[Learner]:
    """Return the learners that are looked after."""
    with _lock:
        return list(_learners)


def _serve() -> None:
    began = time.monotonic()
    totals_at = began + _FIRST_TOTALS
    while True:
        threads.sleep(_PERIOD)
        with ending.at_work():
            if ending.has_begun():
                return
            ending.begin_anew()
            write_totals = time.monotonic() > totals_at
            for learner in learners():
                if not learner.tick():
                    learner.end()
                    with _lock:
                        _learners.discard(learner)
            launch.wait_for_ended()
            if write_totals:
                now = time.monotonic()
                totals_at = now + min(now - began, _TOTALS_PERIOD)
                _write_totals()


def _write_totals() -> None:
    totals = sys.modules.get("actcache.learn.totals")  # loaded with the first compiled model
    if totals is not None:
        with suppress(Exception):
            totals.write()


def _end() -> None:
    """Write what is left when the program ends, and have it looked at; nothing of this may disturb its end."""
    global _ended
    if _ended or _started_in not in (0, os.getpid()):
        return
    _ended = True
    ending.begin()
    for learner in learners():
        learner.end()
    _write_totals()
    if os.environ.get(settings.SUMMARY) == "1" and sys.stderr is not None:  # None: the program was started without it
        with suppress(Exception):
            from actcache.learn import totals

            print(totals.summary(notes()), file=sys.stderr, flush=True)


def _forget() -> None:
    """A child of fork() has no thread, and its sessions are the parent's: they do not learn. New ones do."""
    global _started_in, _lock, _ended
    _lock, _ended = threads.new_lock(), False
    ending.forget()
    for learner in _learners:
        learner.forget()
    _learners.clear()
    _started_in = 0
    totals = sys.modules.get("actcache.learn.totals")
    if totals is not None:
        totals.forget()
