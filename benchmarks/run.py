"""What ``actcache run`` costs a program in which nothing repeats: ``python -m benchmarks.run [MODEL ...]``.

Programs take turns: plain, under ``actcache run`` for the first time, and again after its model was looked at and
refused. What counts is the median over the pairs. Processor time is that of the whole process (with its background
thread, without the compiling process), because wall time says little on a machine that others use, too. The exit code
is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actcache.learn import cache, job
from benchmarks.sessions import Workload
from models.fetch import fetch

_SUBJECT = Path(__file__).with_name("run_subject.py")
#: Small models with short calls, where any cost shows, and one whose calls are long. Calls: some seconds of them.
WORKLOADS = {
    "silero_vad": (Workload("silero_vad", 1), 8000),
    "magika_v3_3": (Workload("magika_v3_3", 1), 200),
    "paraphrase_minilm_l3": (Workload("paraphrase_minilm_l3", 4, 32), 200),
}
#: As users call it, where it is installed; ``python -m`` loads more.
_SCRIPT = Path(sys.executable).with_name("actcache")
_COMMAND = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "actcache"]
_NOTHING = "1000000000"  # calls that never come: nothing is compiled


@dataclass(frozen=True)
class Run:
    """One run of the program: seconds in its calls, processor time of the whole process, and bytes of memory."""

    cpu: float
    wall: float
    whole: float
    peak: float


@dataclass(frozen=True)
class Row:
    """A line of the table; ``value`` may be at most ``bar``."""

    what: str
    value: float
    bar: float
    detail: str


class Programs:
    """The program of one model, run in three ways."""

    def __init__(self, name: str, folder: Path) -> None:
        workload, self.calls = WORKLOADS[name]
        self.model, self.feed, self.cache = fetch(workload.model), folder / "feed.npz", folder / "cache"
        self.bytecode = folder / "bytecode"
        np.savez(self.feed, **workload.feed(workload.rows, seed=0))  # type: ignore[arg-type]

    def run(self, wrapped: bool, calls: int, compile_after: str = _NOTHING) -> Run:
        """Run it once."""
        left = {k: v for k, v in os.environ.items() if not k.startswith(("ACTCACHE_", "PYTHONDONTWRITE"))}
        own = {"ACTCACHE_CACHE_DIR": str(self.cache), "ACTCACHE_AUTO_CALLS": compile_after}
        # Installed packages come with their bytecode; a source tree may have none, and would be compiled at each start.
        env = {**left, **own, "PYTHONPYCACHEPREFIX": str(self.bytecode)}
        if compile_after == _NOTHING:  # what its starts did adds up, and would be looked at beside the next one
            env["ACTCACHE_AUTO_PYTHON"] = "/bin/true"
        wrapper = [*_COMMAND, "run", "--"] if wrapped else []
        command = [*wrapper, sys.executable, str(_SUBJECT), str(self.model), str(self.feed), str(calls)]
        started = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        assert started.stdout is not None
        told = json.loads(started.stdout.read())
        _, status, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        return Run(told["cpu"], told["wall"], usage.ru_utime + usage.ru_stime, told["peak"])

    def forget(self) -> None:
        """Empty the cache folder."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def learn(self) -> str:
        """Do what the compiling process does, and return what came of it."""
        for place in sorted((self.cache / "places").iterdir()):
            job.run(self.cache, place.name)
        (record,) = (self.cache / "models").glob("*/record.json")
        return str((cache.read_json(record) or {}).get("state"))

    def wait(self) -> None:
        """Wait until nobody compiles."""
        job.wait_for_all(self.cache)


def measure(name: str, pairs: int, idle_core: bool) -> list[Row]:
    """Return the rows of one model."""
    with tempfile.TemporaryDirectory(prefix="actcache-run-", ignore_cleanup_errors=True) as folder:
        programs = Programs(name, Path(folder))
        programs.run(True, 1)  # brings the files into memory, and has their bytecode written
        rows = [_start(programs, pairs), *_first(programs, pairs)]
        programs.forget()
        programs.run(True, programs.calls)
        rows.append(_after(programs, pairs, programs.learn()))
        if idle_core:
            rows.append(_beside(programs, pairs))
        return rows


def _start(programs: Programs, pairs: int) -> Row:
    more, plain = [], []
    for _ in range(3 * pairs):
        programs.forget()
        plain.append(1e3 * programs.run(False, 1).whole)
        more.append(1e3 * programs.run(True, 1).whole - plain[-1])
    detail = f"processor time, quartiles {_quartiles(more)}; the plain program's: {statistics.median(plain):.0f} ms"
    return Row("start without a compiled model, ms more", statistics.median(more), 50, detail)


def _first(programs: Programs, pairs: int) -> list[Row]:
    times, peaks = [], []
    for _ in range(pairs):
        programs.forget()
        first, plain = programs.run(True, programs.calls), programs.run(False, programs.calls)
        times.append(first.cpu / plain.cpu)
        peaks.append(first.peak / plain.peak)
    return [
        Row("processor time while it records", statistics.median(times), 1 / 0.98, f"quartiles {_quartiles(times)}"),
        Row("peak memory, with the sample", statistics.median(peaks), 1.1, f"quartiles {_quartiles(peaks)}"),
    ]


def _after(programs: Programs, pairs: int, state: str) -> Row:
    times = [programs.run(True, programs.calls).cpu / programs.run(False, programs.calls).cpu for _ in range(pairs)]
    return Row(f"processor time, then ({state})", statistics.median(times), 1 / 0.97, f"quartiles {_quartiles(times)}")


def _beside(programs: Programs, pairs: int) -> Row:
    """Time the calls while a process compiles, which goes behind all others: on a busy machine this takes very long."""
    times = []
    for _ in range(pairs):
        programs.forget()
        first = programs.run(True, programs.calls, "64")
        times.append(first.wall / programs.run(False, programs.calls).wall)
        programs.wait()
    return Row("wall time while it compiles", statistics.median(times), 1 / 0.97, f"quartiles {_quartiles(times)}")


def _quartiles(values: list[float]) -> str:
    if len(values) < 2:
        return "unknown"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3f}–{high:.3f}, {len(values)} pairs"


def main() -> int:
    """Print the table: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("models", nargs="*", choices=[*WORKLOADS, []], help="all, if none is named")
    parser.add_argument("--pairs", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--idle-core", action="store_true", help="measure wall time beside the compiling process, too")
    options = parser.parse_args()
    missed = False
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| model | measurement | value | at most | detail |\n|---|---|---|---|---|")
    for name in options.models or WORKLOADS:
        for row in measure(name, options.pairs, options.idle_core):
            missed |= row.value > row.bar
            print(f"| {name} | {row.what} | {row.value:.3f} | {row.bar:.3f} | {row.detail} |", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
