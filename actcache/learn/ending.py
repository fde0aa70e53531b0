"""What this package's thread has onnxruntime do, broken off when the program ends or forks.

onnxruntime aborts the process if it is taken down while a thread is loading or running a model. A child of ``fork()``
has no such thread, and every lock that it held stays locked there. So both wait for the thread, and that wait is kept
short: loading is cancelled, and running stops at the next node.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

from actcache.learn import threads

#: For onnxruntime's logger: nothing is as grave.
_SILENT = 4
#: For so long a fork waits, in seconds.
_PATIENCE = 0.5

_at_work = threads.new_lock()
_begun = _forks = False
#: Threads of the program that hold the lock while they fork.
_forking: set[int] = set()
#: Options of sessions that are being loaded, and of calls that are being made.
_loads: weakref.WeakSet[Any] = weakref.WeakSet()
_calls: weakref.WeakSet[Any] = weakref.WeakSet()


class BrokenOff(Exception):
    """The program ends, or it forks: then the thread begins anew."""


def at_work() -> Any:
    """Return the lock that the thread holds while it may use onnxruntime."""
    return _at_work


def has_begun() -> bool:
    """Whether the program ends."""
    return _begun


def is_broken_off() -> bool:
    """Whether what the thread does has been broken off."""
    return _begun or _forks


def check() -> None:
    """Go no further if what the thread does has been broken off.

    Raises:
        BrokenOff: It has.
    """
    if is_broken_off():
        raise BrokenOff("the program ends, or forks")


def heeding_load(options: Any) -> Any:
    """Return the options of a session that is about to be loaded; that can be broken off.

    Raises:
        BrokenOff: It has been.
    """
    _loads.add(options)
    check()
    return options


def heeding_call(options: Any) -> Any:
    """Return the options of a call that is about to be made; it can be broken off, and says nothing.

    Raises:
        BrokenOff: It has been.
    """
    options.log_severity_level = _SILENT
    _calls.add(options)
    check()
    return options


def begin() -> None:
    """The program ends: break off what the thread does, and wait until it does nothing more."""
    global _begun
    _begun = True
    _break_off()
    _at_work.acquire()
    _at_work.release()


def before_fork() -> None:
    """The program forks: break off what the thread does, and keep it from doing more until :func:`after_fork`."""
    global _forks
    _forks = True
    _break_off()
    if _at_work.acquire(timeout=_PATIENCE):
        _forking.add(threads.this_thread())


def after_fork() -> None:
    """The program has forked."""
    if threads.this_thread() in _forking:
        _forking.discard(threads.this_thread())
        _at_work.release()


def begin_anew() -> None:
    """The thread begins anew, with the lock held: of what was broken off nothing is left."""
    global _forks
    _forks = False


def _break_off() -> None:
    for options in list(_loads):
        with suppress(Exception):  # older versions cannot cancel
            options.set_load_cancellation_flag(True)
    for options in list(_calls):
        with suppress(Exception):
            options.terminate = True


def forget() -> None:
    """In the child of a fork: the thread is the parent's, and so may be the end."""
    global _at_work, _begun, _forks
    _at_work, _begun, _forks = threads.new_lock(), False, False
    _forking.clear()
    _loads.clear()
    _calls.clear()
