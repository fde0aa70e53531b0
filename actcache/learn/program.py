"""Which process has learnt, so that the compiling process finds it again: whether it still runs, and for how long."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What ``/proc/<pid>/stat`` tells after the name: the state, and when the process began, in ticks of the machine.
_STATE, _BEGAN = 0, 19


def this() -> dict[str, float]:
    """Return what identifies this process, as numbers of processes are given out again, and how long it has run.

    Where the system does not tell (``/proc`` is not there), nothing is known of it.
    """
    try:
        told: dict[str, float] = {"pid": os.getpid(), "began": int(_fields(os.getpid())[_BEGAN])}
    except (OSError, LookupError, ValueError):
        return {}
    return {**told, "ran": round(age(told) or 0.0, 3)}


def age(told: Mapping[str, Any]) -> float | None:
    """Return for how many seconds a process has run.

    Args:
        told: What :func:`this` returned there.

    Returns:
        The seconds; None: it has ended, or nothing is known of it.
    """
    try:
        fields = _fields(told["pid"])
        if fields[_STATE] in (b"Z", b"X") or int(fields[_BEGAN]) != told["began"]:
            return None
    except (OSError, LookupError, TypeError, ValueError):
        return None
    began: int = told["began"]
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
