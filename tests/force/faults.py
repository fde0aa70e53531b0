"""Fails each file operation of a process that uses a disk store, one after the other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.force.programs import FAULTS, PATIENCE, REFUSED, WORKER, ForceError, check_store

KINDS = ("ENOSPC", "EIO", "short")
#: The process is killed just before the operation, or when half of its bytes are written.
KILLS = ("kill", "torn")


@dataclass(frozen=True)
class Fault:
    """The ``at``-th operation fails, counted from 1, and all later ones if it ``lasts``. At 0: none.

    ``kind`` is one of KINDS, or of KILLS: then the process ends there.
    """

    kind: str
    at: int
    lasts: bool

    def __str__(self) -> str:
        return f"{self.kind} at operation {self.at}{' and all later ones' if self.lasts else ''}"


def every_fault(operations: int, step: int = 1) -> Iterator[Fault]:
    """Each kind, once and for good, and each kill, at each ``step``-th operation, beginning elsewhere for each."""
    cases = [(kind, lasts) for kind in KINDS for lasts in (False, True)] + [(kind, False) for kind in KILLS]
    for number, (kind, lasts) in enumerate(cases):
        for at in range(1 + number * step // len(cases), operations + 1, step):
            yield Fault(kind, at, lasts)


def count_operations(folder: Path) -> int:
    """How many operations the worker's script takes on a new store."""
    _script(folder, Fault("EIO", 0, lasts=False))
    return int((folder / "count").read_text())


def suffer(folder: Path, fault: Fault) -> str:
    """Runs the script on a new store under a fault, and checks the store afterwards; returns what became of the run.

    Raises:
        ForceError: A wrong value, a crash, a hang, or a store that does not work once the fault is over.
    """
    status = _script(folder, fault)
    expected = {-signal.SIGKILL: "killed"} if fault.kind in KILLS else {0: "used", REFUSED: "refused"}
    if status not in expected:
        raise ForceError(f"{fault}: the process ended with status {status}")
    check_store(folder / "store", str(fault))
    return expected[status]


def suffer_all(folder: Path, step: int = 1) -> Counter[str]:
    """Runs the script under every fault; counts the operations, and what became of the runs."""
    outcomes: Counter[str] = Counter()
    operations = count_operations(folder)
    for fault in every_fault(operations, step):
        outcomes[suffer(folder, fault)] += 1
    outcomes["operations"] = operations
    return outcomes


def _script(folder: Path, fault: Fault) -> int:
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(FAULTS),
        "FAULT_BELOW": str(store),
        "FAULT_AT": str(fault.at),
        "FAULT_KIND": fault.kind,
        "FAULT_COUNT": str(folder / "count"),
    }
    if fault.lasts:
        environment["FAULT_LASTS"] = "1"
    try:
        done = subprocess.run(
            [WORKER, "script", store], env=environment, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ForceError(f"{fault}: the process hangs") from error
    return done.returncode
