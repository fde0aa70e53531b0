"""Fails each file operation of a process that uses a disk store, one after the other, and kills or stops it there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.force.programs import FAULTS, PATIENCE, REFUSED, WORKER, ForceError, Neighbour, check_store
from tests.force.progress import Tell, silent
from tests.force.usage import state

KINDS = ("ENOSPC", "EIO", "short")
#: The process is killed just before the operation, or when half of its bytes are written; or it is stopped there.
ENDS = ("kill", "torn", "stop")

#: Milliseconds that a read may take beside a process that is stopped: its deadline is 50 (``store_worker``). The rest
#: is for a busy machine. SQLite would wait for ten seconds.
LONGEST_READ = 1000


@dataclass(frozen=True)
class Fault:
    """The ``at``-th operation fails, counted from 1, and all later ones if it ``lasts``. At 0: none.

    ``kind`` is one of KINDS, or of ENDS: then the process ends there. ``beside``: another process has the store open.
    Then what is in the memory that they share stays, and locks matter. ``stores``: operations are stores into that
    memory, not those on files.
    """

    kind: str
    at: int = 0
    lasts: bool = False
    beside: bool = False
    stores: bool = False

    @property
    def count(self) -> str:
        """What it counts as."""
        if self.kind not in ENDS:
            return "failed operations"
        what = "stops" if self.kind == "stop" else "kills"
        return f"{what} at {'stores' if self.stores else 'operations'}"

    def __str__(self) -> str:
        what = "store" if self.stores else "operation"
        company = ", beside another process" if self.beside else ""
        return f"{self.kind} at {what} {self.at}{' and all later ones' if self.lasts else ''}{company}"


#: Every sort of fault, at no operation yet. A store that nobody else has open forgets what was in shared memory.
SORTS = (
    *(Fault(kind, lasts=lasts) for kind in KINDS for lasts in (False, True)),
    *(Fault(kind, beside=beside) for kind in ("kill", "torn") for beside in (False, True)),
    Fault("stop", beside=True),
    *(Fault(kind, beside=True, stores=True) for kind in ("kill", "stop")),
)


def every_fault(operations: Mapping[Fault, int], step: int = 1) -> Iterator[Fault]:
    """Each sort at each ``step``-th of its operations, beginning elsewhere for each."""
    for number, sort in enumerate(SORTS):
        for at in range(1 + number * step // len(SORTS), operations[sort] + 1, step):
            yield replace(sort, at=at)


def count_operations(folder: Path) -> dict[Fault, int]:
    """How many operations the worker's script takes, for each sort."""
    counts = {}
    for sort in SORTS:
        suffer(folder, sort)
        counts[sort] = int((folder / "count").read_text())
    return counts


def suffer(folder: Path, fault: Fault) -> tuple[str, int]:
    """Runs the script on a new store under a fault, and checks the store afterwards.

    Returns:
        What became of the run, and the milliseconds that the longest read took beside a process that was stopped.

    Raises:
        ForceError: A wrong value, a crash, a hang, or a store that does not work once the fault is over.
    """
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    if fault.beside:
        with Neighbour(store) as neighbour:
            status, longest = _script(folder, store, fault, neighbour)
            neighbour.finish(str(fault))
    else:
        status, longest = _script(folder, store, fault, None)
    ended = fault.kind in ENDS and fault.at > 0
    expected = {-signal.SIGKILL: "killed"} if ended else {0: "used", REFUSED: "refused"}
    if status not in expected:
        raise ForceError(f"{fault}: the process ended with status {status}")
    check_store(store, str(fault))
    return expected[status], longest


def suffer_all(folder: Path, operations: Mapping[Fault, int], step: int = 1, progress: Tell = silent) -> Counter[str]:
    """Runs the script under every fault; counts these, and what became of the runs."""
    faults = list(every_fault(operations, step))
    counts: Counter[str] = Counter({"operations on files": operations[SORTS[0]], "stores": operations[SORTS[-1]]})
    for number, fault in enumerate(faults):
        outcome, longest = suffer(folder, fault)
        counts.update([outcome, fault.count])
        counts["longest read, ms"] = max(counts["longest read, ms"], longest)
        progress("faults", number + 1, len(faults))
    return counts


def _script(folder: Path, store: Path, fault: Fault, neighbour: Neighbour | None) -> tuple[int, int]:
    """The script's status. If it is stopped, the neighbour reads, for so many milliseconds, and it is killed then."""
    took = 0
    environment = {
        **os.environ,
        "LD_PRELOAD": str(FAULTS),
        "FAULT_BELOW": str(store),
        "FAULT_AT": str(fault.at),
        "FAULT_KIND": fault.kind,
        "FAULT_STORES": "01"[fault.stores],
        "FAULT_LASTS": "01"[fault.lasts],
        "FAULT_COUNT": str(folder / "count"),
    }
    with subprocess.Popen([str(WORKER), "script", str(store)], env=environment, stderr=subprocess.PIPE) as process:
        try:
            if fault.kind == "stop" and neighbour is not None and _stops(process):
                took = neighbour.longest_read()
                process.kill()
                if took > LONGEST_READ:
                    raise ForceError(f"{fault}: a read took {took} ms")
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise ForceError(f"{fault}: the process hangs") from error
        finally:
            process.kill()
    return process.returncode, took


def _stops(process: subprocess.Popen[bytes]) -> bool:
    """Waits until the process is stopped; False if it ends."""
    until = time.monotonic() + PATIENCE
    while (now := state(process.pid)) not in "TZ":
        if time.monotonic() > until:
            raise subprocess.TimeoutExpired(process.args, PATIENCE)
        time.sleep(0.001)
    return now == "T"
