"""What this package's thread has onnxruntime do, broken off when the program ends.

onnxruntime aborts the process if it is taken down while a thread is loading or running a model. So the end of a program
waits for that thread, and that wait is kept short: loading is cancelled, and running stops at the next node.
"""

from __future__ import annotations

import _thread
import weakref
from contextlib import suppress
from typing import Any

# Taken now: gevent replaces it.
_new_lock = _thread.allocate_lock

#: For onnxruntime's logger: nothing is as grave.
_SILENT = 4

_at_work = _new_lock()
_begun = False
#: Options of sessions that are being loaded, and of calls that are being made.
_loads: weakref.WeakSet[Any] = weakref.WeakSet()
_calls: weakref.WeakSet[Any] = weakref.WeakSet()


class Ended(Exception):
    """The program ends."""


def at_work() -> Any:
    """Return the lock that the thread holds while it may use onnxruntime."""
    return _at_work


def has_begun() -> bool:
    """Whether the program ends."""
    return _begun


def check() -> None:
    """Go no further if the program ends.

    Raises:
        Ended: It does.
    """
    if _begun:
        raise Ended("the program ends")


def heeding_load(options: Any) -> Any:
    """Return the options of a session that is about to be loaded; that ends when the program does.

    Raises:
        Ended: It has ended.
    """
    _loads.add(options)
    check()
    return options


def heeding_call(options: Any) -> Any:
    """Return the options of a call that is about to be made; it ends when the program does, and says nothing.

    Raises:
        Ended: It has ended.
    """
    options.log_severity_level = _SILENT
    _calls.add(options)
    check()
    return options


def begin() -> None:
    """The program ends: break off what the thread does, and wait until it does nothing more."""
    global _begun
    _begun = True
    for options in list(_loads):
        with suppress(Exception):  # older versions cannot cancel
            options.set_load_cancellation_flag(True)
    for options in list(_calls):
        with suppress(Exception):
            options.terminate = True
    _at_work.acquire()
    _at_work.release()


def forget() -> None:
    """After a fork: the thread is the parent's, and so may be the end."""
    global _at_work, _begun
    _at_work, _begun = _new_lock(), False
    _loads.clear()
    _calls.clear()
