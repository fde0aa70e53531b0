"""What ``actcache run`` costs a program in which nothing repeats: ``python -m benchmarks.run [MODEL ...]``.

Programs take turns: plain, under ``actcache run`` for the first time, and again after its model was looked at and
refused. What counts is the median over the pairs. Processor time is that of the whole process (with its background
thread, without the compiling process), because wall time says little on a machine that others use, too. What a start
costs is measured with one model, and so is what a program loses while it learns: that is kept to one core, and the
compiling process to another. The exit code is 1 if a bar is missed.

It takes about three minutes on two cores that do nothing else, and very long on others.
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
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actcache.learn import cache, calls_by_key, job, sampling
from benchmarks.sessions import Workload
from models.fetch import fetch

_SUBJECT = Path(__file__).with_name("run_subject.py")
#: Small models with short calls, where any cost shows, and one whose calls are long. Calls: some seconds of them.
WORKLOADS = {
    "silero_vad": (Workload("silero_vad", 1), 8000),
    "magika_v3_3": (Workload("magika_v3_3", 1), 200),
    "paraphrase_minilm_l3": (Workload("paraphrase_minilm_l3", 4, 32), 200),
    "open_nsfw_resnet": (Workload("open_nsfw_resnet", 1), 150),  # inputs of 600 KB
}
#: What is measured while a program learns, unless models are named, and how many times the calls of above that makes.
_LEARNS, _LONGER = "paraphrase_minilm_l3", 3
#: The compiling process does not wait for its moment then.
_NICE = "18"
#: As users call it, where it is installed; ``python -m`` loads more.
_SCRIPT = Path(sys.executable).with_name("actcache")
_COMMAND = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "actcache"]
#: A start is short: so many times the pairs of other measurements.
_STARTS = 6
_NOTHING = "1000000000"  # calls that never come: nothing is compiled


@dataclass(frozen=True)
class Run:
    """One run of the program.

    Attributes:
        cpu, wall: Processor time of its calls, and their time, in seconds.
        whole, elapsed: The same of the whole process.
        peak: The most memory that it held, in bytes.
    """

    cpu: float
    wall: float
    whole: float
    elapsed: float
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

    def run(self, wrapped: bool, calls: int, learns: bool = False, beside: bool = False) -> Run:
        """Run it once.

        Args:
            wrapped: Whether under ``actcache run``.
            calls: How many calls it makes.
            learns: Whether its model is compiled meanwhile, on another core.
            beside: Whether it is one of two programs, of which one learns: parts of its inputs repeat.
        """
        left = {k: v for k, v in os.environ.items() if not k.startswith(("ACTCACHE_", "PYTHONDONTWRITE"))}
        own = {"ACTCACHE_CACHE_DIR": str(self.cache), "ACTCACHE_AUTO_CALLS": "64" if learns else _NOTHING}
        # Installed packages come with their bytecode; a source tree may have none, and would be compiled at each start.
        env = {**left, **own, "PYTHONPYCACHEPREFIX": str(self.bytecode)}
        if learns:
            env["ACTCACHE_AUTO_NICE"] = _NICE
        else:  # what its starts did adds up, and would be looked at beside the next one
            env["ACTCACHE_AUTO_PYTHON"] = "/bin/true"
        cores = sorted(os.sched_getaffinity(0))
        kept = ["taskset", "-c", str(cores[0])] if beside else []
        learn_on = ["--learn-on", str(cores[-1])] if learns else []
        wrapper = [*_COMMAND, "run", *learn_on, "--"] if wrapped else []
        told = [str(self.model), str(self.feed), str(calls), "ends" if beside else "start"]
        began = time.perf_counter()
        started = subprocess.Popen(
            [*kept, *wrapper, sys.executable, str(_SUBJECT), *told], env=env, stdout=subprocess.PIPE
        )
        assert started.stdout is not None
        answer = json.loads(started.stdout.read())
        _, status, usage = os.wait4(started.pid, 0)
        elapsed = time.perf_counter() - began
        started.returncode = os.waitstatus_to_exitcode(status)
        return Run(answer["cpu"], answer["wall"], usage.ru_utime + usage.ru_stime, elapsed, answer["peak"])

    def sample(self) -> int:
        """Return the bytes of the calls that the last run held in memory, at most."""
        recorded = sum(file.stat().st_size for file in self.cache.glob("places/*/calls/*.calls"))
        return min(recorded, sampling.MOST_WAITING + sampling.MOST_LATEST + calls_by_key.MOST_BYTES)

    def forget(self) -> None:
        """Empty the cache folder."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def learn(self) -> str:
        """Do what the compiling process does, and return what came of it."""
        for place in sorted((self.cache / "places").iterdir()):
            job.run(self.cache, place.name)
        (record,) = (self.cache / "models").glob("*/record.json")
        return str((cache.read_json(record) or {}).get("state"))

    def learnt(self) -> float:
        """Wait until nobody compiles, and return the processor time that it took, in seconds."""
        job.wait_for_all(self.cache)
        records = map(cache.read_json, (self.cache / "models").glob("*/record.json"))
        return float(sum((record or {}).get("processor_seconds", 0.0) for record in records))


def measure(name: str, pairs: int, start: bool, learns: bool) -> Iterator[Row]:
    """Yield the rows of one model.

    Args:
        name: The model.
        pairs: Of runs.
        start: Whether to measure starts, too.
        learns: Whether to measure a program that learns, too.
    """
    with tempfile.TemporaryDirectory(prefix="actcache-run-", ignore_cleanup_errors=True) as folder:
        programs = Programs(name, Path(folder))
        programs.run(True, 1)  # brings the files into memory, and has their bytecode written
        if start:
            yield from _start(programs, _STARTS * pairs)
        yield from _first(programs, pairs)
        programs.forget()
        programs.run(True, programs.calls)
        yield _after(programs, pairs, programs.learn())
        if learns and len(os.sched_getaffinity(0)) > 1:
            yield from _learning(programs, pairs)


def _start(programs: Programs, pairs: int) -> list[Row]:
    plain, first = [], []
    for _ in range(pairs):
        programs.forget()
        plain.append(programs.run(False, 1))
        first.append(programs.run(True, 1))
    rows = []
    for what, of in (("processor time", "whole"), ("wall time", "elapsed")):
        alone = [1e3 * getattr(run, of) for run in plain]
        more = [1e3 * getattr(run, of) - base for run, base in zip(first, alone, strict=True)]
        detail = f"quartiles {_quartiles(more)}; the plain program's: {statistics.median(alone):.0f} ms"
        rows.append(Row(f"start without a compiled model, ms of {what} more", statistics.median(more), 50, detail))
    return rows


def _first(programs: Programs, pairs: int) -> list[Row]:
    times, peaks, samples = [], [], []
    for _ in range(pairs):
        programs.forget()
        first, plain = programs.run(True, programs.calls), programs.run(False, programs.calls)
        samples.append(programs.sample())
        times.append(first.cpu / plain.cpu)
        peaks.append((first.peak - samples[-1]) / plain.peak)
    detail = f"quartiles {_quartiles(peaks)}; the sample: {statistics.median(samples) / 1e6:.0f} MB"
    return [
        Row("processor time while it records", statistics.median(times), 1 / 0.98, f"quartiles {_quartiles(times)}"),
        Row("peak memory without the sample", statistics.median(peaks), 1.1, detail),
    ]


def _after(programs: Programs, pairs: int, state: str) -> Row:
    times = [programs.run(True, programs.calls).cpu / programs.run(False, programs.calls).cpu for _ in range(pairs)]
    return Row(f"processor time, then ({state})", statistics.median(times), 1 / 0.97, f"quartiles {_quartiles(times)}")


def _learning(programs: Programs, pairs: int) -> list[Row]:
    """Measure the calls of a program on one core while its model is compiled on another."""
    calls, seconds = _LONGER * programs.calls, []
    walls, cpus, took = [], [], []
    for _ in range(pairs):
        programs.forget()
        first = programs.run(True, calls, learns=True, beside=True)
        took.append(programs.learnt())
        plain = programs.run(False, calls, beside=True)
        walls.append(first.wall / plain.wall)
        cpus.append(first.cpu / plain.cpu)
        seconds.append(plain.wall)
    beside = f"{statistics.median(took):.1f} s of compiling beside {statistics.median(seconds):.1f} s of calls"
    return [
        Row(f"{what} while it learns on another core", statistics.median(found), 1 / 0.98, f"{beside}; {quartiles}")
        for what, found in (("wall time", walls), ("processor time", cpus))
        for quartiles in (f"quartiles {_quartiles(found)}",)
    ]


def _quartiles(values: list[float]) -> str:
    if len(values) < 2:
        return "unknown"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3f}–{high:.3f}, {len(values)} pairs"


def main() -> int:
    """Print the table: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("models", nargs="*", choices=[*WORKLOADS, []], help="all, if none is named")
    parser.add_argument("--pairs", type=int, default=3, help="of each measurement (default: 3), of starts more")
    options = parser.parse_args()
    missed = False
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| model | measurement | value | at most | detail |\n|---|---|---|---|---|")
    names = options.models or list(WORKLOADS)
    for name in names:
        learns = name in options.models or name == _LEARNS
        for row in measure(name, options.pairs, name == names[0], learns):
            missed |= row.value > row.bar
            print(f"| {name} | {row.what} | {row.value:.3f} | {row.bar:.3f} | {row.detail} |", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
