"""Kills processes that share a disk store, at random moments."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.force.programs import WORKER, ForceError, check_store
from tests.force.progress import Tell, silent
from tests.force.usage import checked_usage

PROCESSES = 4
#: Kills between two looks at every value.
CHECK_EVERY = 100


def kill_many(store: Path, kills: int, seed: int, progress: Tell = silent) -> Counter[str]:
    """Keeps four processes at work on one store and kills one after the other; counts what happened.

    Raises:
        ForceError: A process found a wrong value or ended by itself, the store was over its budget, or does not work.
    """
    moments = random.Random(seed)
    counts: Counter[str] = Counter()
    workers = [_start(store, moments) for _ in range(PROCESSES)]
    try:
        while counts["kills"] < kills:
            time.sleep(moments.expovariate(1 / 0.02))
            used = checked_usage(store, workers, f"after {counts['kills']} kills")
            counts["most bytes"] = max(counts["most bytes"], used)
            chosen = moments.randrange(PROCESSES)
            counts.update(_kill(workers[chosen], seed, counts["kills"]))
            workers[chosen] = _start(store, moments)
            progress("kills at random", counts["kills"], kills)
            if counts["kills"] % CHECK_EVERY == 0:
                counts["checked values"] += check_store(store, f"{counts['kills']} kills, seed {seed}", quiet=False)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    counts["checked values"] += check_store(store, f"{counts['kills']} kills, seed {seed}")
    return counts


def _start(store: Path, moments: random.Random) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [WORKER, "endless", store, str(moments.getrandbits(60))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _kill(worker: subprocess.Popen[str], seed: int, kills: int) -> Counter[str]:
    worker.kill()
    said, problem = worker.communicate()
    if worker.returncode != -signal.SIGKILL or problem:
        raise ForceError(
            f"seed {seed}, after {kills} kills: a process ended with status {worker.returncode}: {problem.strip()}"
        )
    puts, hits = map(int, said.rstrip("\n").rsplit("\n", 1)[-1].split()) if said.endswith("\n") else (0, 0)
    return Counter({"kills": 1, "puts": puts, "hits": hits})
