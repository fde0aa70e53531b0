"""What a store takes of the disk while processes use it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.force.programs import ForceError

#: What the worker gives the store, ``kMinDiskBudget``.
BUDGET = 16 << 20


def disk_usage(folder: Path) -> int:
    """Bytes that the disk gives to a folder and all below it, as du(1) counts them."""
    total = 0
    for parent, _, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in files)):
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(path).st_blocks * 512
    return total


def checked_usage(store: Path, workers: Sequence[subprocess.Popen[str]], after: str) -> int:
    """What the store takes of the disk. While processes move values a sum over files can be too high, so they stop.

    Raises:
        ForceError: It is more than the budget.
    """
    used = disk_usage(store)
    if used <= BUDGET:
        return used
    running = [worker.pid for worker in workers if worker.poll() is None]
    for pid in running:
        os.kill(pid, signal.SIGSTOP)
    for pid in running:
        _wait_until_stopped(pid)
    used = disk_usage(store)
    for pid in running:
        os.kill(pid, signal.SIGCONT)
    if used > BUDGET:
        raise ForceError(f"{after} the store takes {used} bytes of {BUDGET}")
    return used


def state(pid: int) -> str:
    """A letter: "T" for a process that is stopped, "Z" for one that has ended and whose status nobody has asked for."""
    # It follows the name in parentheses.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def _wait_until_stopped(pid: int) -> None:
    while state(pid) not in "TZ":  # if it has ended, whoever started it will see
        time.sleep(0.001)
