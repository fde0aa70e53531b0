"""The thread that looks after sessions: what it does not take from the program, and what it does not get from it."""

from __future__ import annotations

import ctypes
import signal
import threading

from actcache.learn import threads


def test_it_leaves_signals_and_settings_to_the_program() -> None:
    found: list[set[int]] = []
    done = threading.Event()

    def look() -> None:
        found.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        done.set()

    before = threading.stack_size(32768)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        threads.start(look)
        assert done.wait(60)
        assert threading.stack_size(32768) == 32768
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask | {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        threading.stack_size(before)
    (blocked,) = found
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1} <= blocked
    assert signal.SIGSEGV not in blocked


def test_it_has_room_where_the_programs_threads_have_little() -> None:
    found: list[int] = []
    done = threading.Event()

    def look() -> None:
        found.append(_stack_size())
        done.set()

    before = threading.stack_size(65536)
    try:
        threads.start(look)
        assert done.wait(60)
    finally:
        threading.stack_size(before)
    assert found[0] >= 8 << 20


def _stack_size() -> int:
    """Return the room of this thread, as the C library tells it."""
    libc = ctypes.CDLL(None)
    libc.pthread_self.restype = ctypes.c_void_p
    attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
    assert libc.pthread_getattr_np(ctypes.c_void_p(libc.pthread_self()), attributes) == 0
    assert libc.pthread_attr_getstacksize(attributes, ctypes.byref(size)) == 0
    return size.value
