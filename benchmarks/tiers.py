"""What a store on disk behind memory costs and gives: ``python -m benchmarks.tiers [--values N]``.

Exits with 1 if a bar is missed. What is compared is measured in turn, in processes that run at the same time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.tier_process import VALUE_BYTES, TierProcess, compiled

#: Values that are written before the others are waited for: fewer than the queue of writes holds.
_CHUNK = 128

#: Calls in one measurement of hits in memory: a single one is too short for the clock.
_CALLS = 50
_WORKERS = 4

_OPEN = """
import os, time, actcache
actcache.stats()  # loads the library
start = time.perf_counter()
actcache.configure(disk_path=os.environ["STORE"])
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bar` is the most that `value` may be, or with `least` the least."""

    what: str
    value: float
    unit: str
    bar: float
    detail: str
    least: bool = False

    @property
    def missed(self) -> bool:
        """Whether the bar is missed."""
        return self.value < self.bar if self.least else self.value > self.bar


def fill(model: Path, store: Path, values: int) -> tuple[int, int]:
    """Compute the rows 0 to `values` - 1 in one process; how many values the store has then, and their bytes."""
    # No row repeats here: the region would be bypassed, and nothing more be stored.
    with TierProcess(model, ACTCACHE_DISK_PATH=str(store), ACTCACHE_BYPASS="off") as process:
        for first in range(0, values, _CHUNK):
            process.do("calls", list(range(first, min(values, first + _CHUNK))))
            process.do("flush")
        held = process.do("tier")
    return held["entries"], held["bytes"]


def memory_hits(model: Path, store: Path, pairs: int) -> Iterator[Figure]:
    """Hits in memory: with no store named, and with a store, each against a process whose environment names no knob."""
    with ExitStack() as stack:
        plain = stack.enter_context(TierProcess(model))
        off = stack.enter_context(TierProcess(model, ACTCACHE_DISK_PATH=""))
        on = stack.enter_context(TierProcess(model, ACTCACHE_DISK_PATH=str(store)))
        processes = [plain, off, on]
        times: list[list[float]] = []
        for number in range(pairs + 1):
            turn = processes[number % 3 :] + processes[: number % 3]
            took = {process: statistics.median(process.do("calls", [0] * _CALLS)) for process in turn}
            if number:  # the first one computes
                times.append([took[process] for process in processes])
    for name, place, bar in (("tiers off", 1, 1.05), ("with a store", 2, 1.05)):
        ratio = statistics.median(row[place] / row[0] for row in times)
        low, _, high = statistics.quantiles([row[place] / row[0] for row in times], n=4)
        microseconds = statistics.median(row[0] for row in times) * 1e6
        detail = f"{microseconds:.0f} µs without, quartiles {low:.3f} to {high:.3f}, {pairs} turns"
        yield Figure(f"a hit in memory, {name} / no knob set", ratio, "", bar, detail)


def disk_hits(model: Path, store: Path, values: int) -> Iterator[Figure]:
    """A new process asks for everything that is in the store: each value first from disk, then from memory."""
    with TierProcess(model, ACTCACHE_DISK_PATH=str(store), ACTCACHE_BUDGET_BYTES="4GiB") as process:
        pairs = process.do("twice", list(range(values)))
        counts = process.do("counts")
    disk, memory = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    ratio = statistics.median(first / second for first, second in pairs)
    detail = f"{memory:.0f} µs from memory, {ratio:.1f} times as long, median of {values}"
    yield Figure("a call with a value of 64 KiB from disk", disk, "µs", 300, detail)
    detail = f"{counts['disk_hits']} of {values} values that the process before had"
    yield Figure("share of hits after a restart", counts["disk_hits"] / values, "", 0.95, detail, least=True)


def first_hit(model: Path, store: Path, times: int) -> Figure:
    """The first call of new processes, whose value is on disk."""
    found = []
    for number in range(times):
        with TierProcess(model, ACTCACHE_DISK_PATH=str(store)) as process:
            (seconds,) = process.do("calls", [number])
            if process.do("counts")["disk_hits"] == 1:
                found.append(seconds * 1e3)
    if not found:
        return Figure("first hit of a process", float("inf"), "ms", 50, "no process had a hit")
    detail = f"after the model was loaded; {min(found):.1f} to {max(found):.1f} in {len(found)} of {times} processes"
    return Figure("first hit of a process", statistics.median(found), "ms", 50, detail)


def opening(store: Path, held: tuple[int, int], times: int) -> Figure:
    """Opening the store in new processes."""
    command = [sys.executable, "-c", _OPEN]
    environment = {**os.environ, "STORE": str(store)}
    found = [
        float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
        for _ in range(times)
    ]
    entries, size = held
    detail = f"of {entries} values, {size / 2**20:.0f} MiB; median of {times}"
    return Figure("opening the store", statistics.median(found) * 1e3, "ms", 1000, detail)


def shared(model: Path, folder: Path, calls: int) -> Figure:
    """Hits of four processes on one store that share a stream of calls, against one process that has all of it."""
    stream = [int(number) % (calls // 2) for number in np.random.default_rng(0).zipf(1.3, calls)]
    hits = []
    for count in (1, _WORKERS):
        store = str(folder / f"shared{count}")
        with ExitStack() as stack:
            workers = [stack.enter_context(TierProcess(model, ACTCACHE_DISK_PATH=store)) for _ in range(count)]
            for number, worker in enumerate(workers):
                worker.begin("calls", stream[number::count])
            for worker in workers:
                worker.result()
            hits.append(sum(worker.do("counts")["hits"] for worker in workers))
    detail = f"{hits[1]} against {hits[0]} of {calls} calls, Zipf 1.3"
    return Figure("hits of four processes / of one", hits[1] / hits[0], "", 0.9, detail, least=True)


def measure(values: int) -> Iterator[Figure]:
    """All figures, with a store of so many values."""
    with tempfile.TemporaryDirectory(prefix="actcache-benchmarks-") as name:
        folder = Path(name)
        model, store = compiled(folder), folder / "store"
        held = fill(model, store, values)
        yield from disk_hits(model, store, min(values, 300))
        yield first_hit(model, store, 5)
        yield opening(store, held, 5)
        yield shared(model, folder, 400)
        yield from memory_hits(model, store, 24)


def main() -> int:
    """Print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiers", description=__doc__)
    parser.add_argument("--values", type=int, default=1000, help="values of 64 KiB in the store (default: 1000)")
    options = parser.parse_args()
    console = Console(width=150)
    with Console(stderr=True).status("measuring"):
        figures = list(measure(options.values))
    size = options.values * VALUE_BYTES / 2**20
    table = Table("what", "value", "to reach", "detail", title=f"A store on disk, {size:.0f} MiB of values")
    for figure in figures:
        bar = f"{'≥' if figure.least else '≤'} {figure.bar:g} {figure.unit}"
        table.add_row(figure.what, f"{figure.value:.3g} {figure.unit}", bar, figure.detail)
    console.print(table)
    missed = [figure for figure in figures if figure.missed]
    for figure in missed:
        print(f"missed: {figure.what}: {figure.value:.3g} {figure.unit}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
