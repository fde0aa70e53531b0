"""Resident memory of a process that loads a model and runs 20 batches, original against compiled.

Each measurement is a process of its own (``python -m benchmarks.memory MODEL ROWS SIZE original|compiled PATH``); the
store is emptied before the reading.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.sessions import Workload, compiled_path, session
from models.fetch import fetch

BATCHES = 20


def resident_ratio(workload: Workload, repeats: int = 3) -> tuple[int, int]:
    """Return the median resident bytes of (compiled, original)."""
    paths = {"compiled": compiled_path(workload), "original": fetch(workload.model)}
    readings: dict[str, list[int]] = {kind: [] for kind in paths}
    for _ in range(repeats):
        for kind, path in paths.items():
            readings[kind].append(_in_a_process(workload, kind, path))
    return int(statistics.median(readings["compiled"])), int(statistics.median(readings["original"]))


def _in_a_process(workload: Workload, kind: str, path: Path) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", workload.model, str(workload.rows), str(workload.size or 0)]
    done = subprocess.run([*command, kind, str(path)], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def resident_bytes() -> int:
    """Return what of this process is in memory."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Run one measurement in this process and print the resident bytes."""
    name, rows, size, kind, path = sys.argv[1:]
    workload = Workload(name, int(rows), int(size) or None)
    running = session(Path(path), compiled=kind == "compiled")
    for seed in range(BATCHES):
        running.run(None, workload.feed(workload.rows, seed))
    if kind == "compiled":
        import actcache

        actcache.invalidate()
    print(resident_bytes())


if __name__ == "__main__":
    main()
