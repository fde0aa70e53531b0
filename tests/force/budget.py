"""Lets processes use one store, and measures all the time what it takes of the disk."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.force.programs import WORKER, ForceError, check_store
from tests.force.progress import Tell, silent
from tests.force.usage import checked_usage

PROCESSES = 4
#: Seconds between two looks at the folder, which take about a millisecond.
PERIOD = 0.01


def keep_busy(store: Path, operations: int, seed: int, progress: Tell = silent) -> Counter[str]:
    """Lets four processes make so many random calls together; counts what happened, and the most bytes that were taken.

    Raises:
        ForceError: The store was over its budget, a process found a wrong value, or the store does not work afterwards.
    """
    each = operations // PROCESSES
    counts: Counter[str] = Counter()
    workers = [
        subprocess.Popen(
            [WORKER, "busy", store, str(seed + number), str(each)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        for number in range(PROCESSES)
    ]
    try:
        while any(worker.poll() is None for worker in workers):
            used = checked_usage(store, workers, f"seed {seed}: after {counts['looks']} looks")
            counts["most bytes"] = max(counts["most bytes"], used)
            counts["looks"] += 1
            progress(
                f"operations, {counts['looks']} looks at the folder; processes that are done", _done(workers), PROCESSES
            )
            time.sleep(PERIOD)
        for worker in workers:
            said, problem = worker.communicate()
            if worker.returncode != 0 or problem:
                raise ForceError(f"seed {seed}: a process ended with status {worker.returncode}: {problem.strip()}")
            puts, hits = map(int, said.split())
            counts.update({"operations": each, "puts": puts, "hits": hits})
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    counts["checked values"] += check_store(store, f"{operations} calls, seed {seed}")
    return counts


def _done(workers: Sequence[subprocess.Popen[str]]) -> int:
    return sum(worker.poll() is not None for worker in workers)
