"""Hours of traffic in minutes: compiled models under many threads, with every output compared with the original's.

``python -m benchmarks.soak [--minutes 30] [--threads 8] [--share 0.25]``

Each subject has a population of inputs, whose original outputs are computed first. Then the threads draw rows by a Zipf
law, run the compiled models on them and compare, while one more thread keeps turning the knobs: invalidates, moves the
budget down and up, verifies hits, switches single flight and bypass, pins, reads the statistics, replaces sessions.
The budget is `share` of what the whole population takes, so the store is full and evicts all the time.

A line each minute (of short runs more often) says what was seen since the last. At the end comes the verdict; the exit
status is 0 if it is good:

- no output differed from the original's by more than the subject's tolerance, no verified hit from what was computed,
  and no call failed;
- the store never held more than its budget, and holds nothing after it was emptied;
- memory is flat. Resident bytes, without the store's and what the allocator merely keeps, go up and down with sessions
  that are replaced and calls in flight; a leak lifts their floor. So the second half is cut into :data:`WINDOWS`, and a
  line fitted to the least reading of each may rise by less than :data:`GROWTH` of their mean over that half.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort

import actcache
from actcache.base.free_memory import release_memory
from actcache.serve.byte_size import format_bytes
from benchmarks.memory import resident_bytes
from benchmarks.soak_subjects import Subject, difference, subjects

#: How much the resident memory may rise over the second half, as a share of it.
GROWTH = 0.02
#: Of the second half.
WINDOWS = 10
#: Seconds between two readings of the resident memory.
READING = 1.0
#: Seconds between two control calls.
CONTROL = 0.25
#: How many control calls come between two sessions that are replaced.
SESSION = 40
#: Exponent of the Zipf law by which rows are drawn.
ZIPF = 1.1


@dataclass
class Tally:
    """What the threads have seen. Each counts in one of its own, so that none waits for another."""

    calls: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def add_problem(self, text: str) -> None:
        """Count it, and keep the first few."""
        self.problem_count += 1
        if len(self.problems) < 5:
            self.problems.append(text)


class Traffic:
    """A thread that runs calls and compares their outputs."""

    def __init__(self, number: int, among: Sequence[Subject], stop: threading.Event) -> None:
        self.tally = Tally()
        self._random = np.random.default_rng([7, number])
        self._subjects = among
        self._stop = stop
        self.thread = threading.Thread(target=self._run, name=f"traffic {number}")

    def _run(self) -> None:
        while not self._stop.is_set():
            subject = self._subjects[int(self._random.integers(len(self._subjects)))]
            drawn = self._random.zipf(ZIPF, int(self._random.integers(1, subject.most_rows + 1)))
            rows = ((drawn - 1) % subject.population).tolist()
            try:
                self._compare(subject, rows)
            except Exception as error:
                self.tally.add_problem(f"{subject.name}, rows {rows}: {error!r}")
            self.tally.calls += 1
            self.tally.rows += len(rows)

    def _compare(self, subject: Subject, rows: list[int]) -> None:
        outputs = subject.session.run(None, subject.take(rows))
        for name, got, expected in zip(subject.outputs, outputs, subject.expected(rows), strict=True):
            off = difference(got, expected)
            if off > subject.tolerance:
                self.tally.add_problem(f"{subject.name}, rows {rows}: {name} is off by {off:.3g}")


class Operator:
    """A thread that turns knobs, as someone who operates a server might, only faster."""

    def __init__(self, among: Sequence[Subject], budget: int, stop: threading.Event) -> None:
        self.tally = Tally()
        self._random = np.random.default_rng(99)
        self._subjects = among
        self._budget = budget
        self._stop = stop
        self.thread = threading.Thread(target=self._run, name="operator")

    def _run(self) -> None:
        # What is listed more often happens more often.
        acts: list[Callable[[], object]] = [
            *[self._read_statistics] * 8,
            *[self._move_budget] * 3,
            *[self._invalidate] * 2,
            self._pin,
            self._verify,
            lambda: actcache.configure(single_flight=self._one_of("on", "off")),
            lambda: actcache.configure(bypass=self._one_of("auto", "off")),
        ]
        while not self._stop.wait(CONTROL):
            try:
                acts[self._random.integers(len(acts))]()
                if self.tally.calls % SESSION == 0:
                    self._replace_session()
            except Exception as error:
                self.tally.add_problem(f"control: {error!r}")
            self.tally.calls += 1
        actcache.unpin()
        actcache.configure(budget_bytes=self._budget, verify_fraction=0, bypass="auto", single_flight="on")

    def _one_of(self, *choices: str) -> str:
        return str(choices[self._random.integers(len(choices))])

    def _read_statistics(self) -> None:
        statistics = actcache.stats()
        store = statistics["store"]
        if store["bytes"] > self._budget:
            self.tally.add_problem(f"the store holds {store['bytes']} bytes of a budget of {self._budget}")
        for name, region in statistics["regions"].items():
            if region["lookups"] != region["hits"] + region["misses"] + region["bypassed"]:
                self.tally.add_problem(f"counts of region {name} do not add up: {region}")
            if region["mismatches"]:
                self.tally.add_problem(f"region {name} had hits that differ from what is computed: {region}")

    def _move_budget(self) -> None:
        share = self._random.choice([0.25, 0.75, 1.0, 1.0, 1.0])
        actcache.configure(budget_bytes=int(self._budget * share))

    def _invalidate(self) -> None:
        regions = list(actcache.stats()["regions"])
        actcache.invalidate(region=self._one_of(*regions), older_than=float(self._random.choice([0, 1, 10])))

    def _pin(self) -> None:
        actcache.unpin()
        actcache.pin(region=self._one_of(*actcache.stats()["regions"]), older_than=5)

    def _verify(self) -> None:
        actcache.configure(verify_fraction=float(self._random.choice([0.0, 0.0, 0.02])))

    def _replace_session(self) -> None:
        self._subjects[int(self._random.integers(len(self._subjects)))].open_session()


@dataclass
class Meter:
    """Reads memory and statistics, prints what changed, and keeps the memory's readings."""

    traffic: Sequence[Traffic]
    start: float = field(default_factory=time.monotonic)
    times: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    beside_store: list[int] = field(default_factory=list)
    _before: dict[str, int] = field(default_factory=dict)

    def read(self) -> None:
        """Take one reading of the resident memory."""
        release_memory()
        self.times.append(time.monotonic() - self.start)
        self.resident.append(resident_bytes())
        self.beside_store.append(self.resident[-1] - int(actcache.stats()["store"]["bytes"]))

    def report(self) -> None:
        """Print a line about the time since the last one."""
        now = self._counts()
        change = {name: count - self._before.get(name, 0) for name, count in now.items()}
        self._before = now
        store = actcache.stats()["store"]
        looked_up = max(1, change["hits"] + change["misses"])
        print(
            f"{self.times[-1] / 60:6.1f} min  {format_bytes(self.resident[-1]):>10} resident"
            f"  {format_bytes(store['bytes']):>10} of {format_bytes(store['budget_bytes']):>10} held"
            f"  {change['calls']:7} calls  {change['hits'] / looked_up:4.0%} hits  {change['bypassed']:6} bypassed"
            f"  {change['evictions']:7} evicted  {now['problems']} problems",
            flush=True,
        )

    def growth(self) -> float:
        """Return by how much the floor of memory rose over the second half, as a share of it."""
        second_half = np.array(self.beside_store[len(self.beside_store) // 2 :], np.float64)
        floor = np.array([window.min() for window in np.array_split(second_half, WINDOWS)])
        slope = float(np.polyfit(np.arange(WINDOWS), floor, 1)[0])
        return slope * WINDOWS / float(floor.mean())

    def _counts(self) -> dict[str, int]:
        statistics = actcache.stats()
        counts = {
            name: sum(region[name] for region in statistics["regions"].values())
            for name in ("hits", "misses", "bypassed")
        }
        counts["evictions"] = statistics["store"]["evictions"]
        counts["calls"] = sum(traffic.tally.calls for traffic in self.traffic)
        counts["problems"] = sum(traffic.tally.problem_count for traffic in self.traffic)
        return counts


def warm_up(among: Sequence[Subject], share: float) -> int:
    """Run every row once with room for all, and return `share` of what they take, as a budget."""
    actcache.configure(budget_bytes="50%", bypass="off")
    for subject in among:
        for row in range(subject.population):
            subject.session.run(None, subject.take([row]))
    taken = int(actcache.stats()["store"]["bytes"])
    actcache.configure(bypass="auto")
    for subject in among:
        print(f"{subject.name}: {subject.population} rows, tolerance {subject.tolerance:.1e}")
    print(f"all {sum(subject.population for subject in among)} rows take {format_bytes(taken)}", flush=True)
    return int(taken * share)


def soak(minutes: float, threads: int, share: float) -> bool:
    """Run the soak and print it; True if the verdict is good."""
    print(f"onnxruntime {ort.__version__}, {threads} threads, {minutes:g} minutes", flush=True)
    among = subjects()
    budget = warm_up(among, share)
    actcache.configure(budget_bytes=budget, verify_tolerance=max(subject.tolerance for subject in among))
    stop = threading.Event()
    traffic = [Traffic(number, among, stop) for number in range(threads)]
    operator = Operator(among, budget, stop)
    meter = Meter(traffic)
    threads_of_all = [*(worker.thread for worker in traffic), operator.thread]
    for thread in threads_of_all:
        thread.start()
    seconds, interval = minutes * 60, min(60.0, minutes * 60 / 8)
    due = interval
    while time.monotonic() - meter.start < seconds:
        time.sleep(READING)
        meter.read()
        if meter.times[-1] >= due:
            meter.report()
            due += interval
    stop.set()
    for thread in threads_of_all:
        thread.join()
    return verdict(meter, [*(worker.tally for worker in traffic), operator.tally])


def verdict(meter: Meter, tallies: Sequence[Tally]) -> bool:
    """Print what was found; True if all of it is good."""
    growth = meter.growth()
    problems = sum(tally.problem_count for tally in tallies)
    actcache.invalidate()
    left = actcache.stats()["store"]["bytes"]
    for tally in tallies:
        for text in tally.problems:
            print(text)
    print(f"{sum(tally.calls for tally in tallies[:-1])} calls, {tallies[-1].calls} control calls")
    for good, text in (
        (problems == 0, f"outputs: {problems} problems"),
        (left == 0, f"store: {left} bytes left after it was emptied"),
        (growth < GROWTH, f"memory: {growth:+.2%} over the second half (bound {GROWTH:.0%})"),
    ):
        print(("good  " if good else "BAD   ") + text)
    return problems == 0 and left == 0 and growth < GROWTH


def main() -> int:
    """Run the command line; 0 if the verdict is good."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=30, help="how long, after the warm-up (default: 30)")
    parser.add_argument("--threads", type=int, default=8, help="threads that run calls (default: 8)")
    parser.add_argument("--share", type=float, default=0.25, help="budget, of what all rows take (default: 0.25)")
    options = parser.parse_args()
    return 0 if soak(options.minutes, options.threads, options.share) else 1


if __name__ == "__main__":
    sys.exit(main())
