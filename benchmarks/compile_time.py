"""Time and peak memory of compiling a model, with calibration and verification."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

_INTERVAL = 0.02


def compile_cost(source: Path, target: Path) -> tuple[float, int]:
    """Compile a model as a user would.

    Returns:
        Seconds; the peak of resident bytes over the compiler and the process in which it runs the model (a page that
        both map counts once).
    """
    command = [sys.executable, "-m", "actcache", "compile", str(source), "-o", str(target), "--quiet"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_share(pid) for pid in (process.pid, *_children(process.pid))))
        time.sleep(_INTERVAL)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"compiling {source} failed with exit code {process.returncode}")
    return seconds, peak


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def _share(pid: int) -> int:
    """Proportional set size: resident bytes, each page divided by how many processes map it."""
    try:
        status = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) * 1024
