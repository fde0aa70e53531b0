"""The thread that looks after sessions: what it does not take from the program, and what it does not get from it."""

from __future__ import annotations

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
        assert threading.stack_size() == 32768
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask | {signal.SIGUSR2}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        threading.stack_size(before)
    (blocked,) = found
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1} <= blocked
    assert signal.SIGSEGV not in blocked
