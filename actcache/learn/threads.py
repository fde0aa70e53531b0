"""Threads, locks and processes as Python itself has them, taken before a program replaces them (gevent, eventlet).

Loaded with ``hook.py``, at the start of Python, so nothing is imported that is not there by then.
"""

from __future__ import annotations

import _thread
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

new_lock, new_rlock, this_thread = _thread.allocate_lock, _thread.RLock, _thread.get_ident
sleep, read, waitpid, posix_spawn = time.sleep, os.read, os.waitpid, os.posix_spawn
_start, _stack_size = _thread.start_new_thread, _thread.stack_size

#: onnxruntime loads models there, whatever room a program gives to threads of its own.
_STACK = 8 << 20
#: What the thread itself may bring about; whoever waits for another signal gets it.
_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")


def start(function: Callable[[], None]) -> None:
    """Run a function in a thread of its own, which gets none of the program's signals.

    A program that blocks a signal to wait for it, after this, would else be ended by it: this thread does not block it.

    Raises:
        RuntimeError: There is no room for one more thread.
    """
    import _signal  # type: ignore[import-not-found]  # what ``signal`` wraps, and that loads more

    faults = {getattr(_signal, name) for name in _FAULTS if hasattr(_signal, name)}
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals() - faults)
    size = _stack_size(_STACK)  # asking alone would set it, too
    try:
        if size > _STACK:
            _stack_size(size)
        _start(function, ())
    finally:
        _stack_size(size)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
