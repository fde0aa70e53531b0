"""What the native parts of every call take: ``python -m benchmarks.native [--repetitions N] [--json]``.

Builds and runs ``custom_ops/bench`` (Google Benchmark: ``apt-get install libbenchmark-dev``), its measurements in a
random order and each several times, and holds the medians to the bars:

- lookups that hit, without the copy, each thread's of its own entries: at least 5 million a second on one thread, and
  1.7 times the rate on two;
- rows copied out of entries: at least 0.9 of memcpy's rate from 64 KB a row on, 0.6 at 4 KB.

Keys, misses and insertions are reported without a bar.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.native_programs import ProgramMissingError, program

#: Median rates by the benchmark's name: items a second, or bytes where those are counted.
Rates = Mapping[str, float]

_COPY = re.compile(r"CopyHits/(bytes:(\d+)/chunks:\d+)")
_KB = 1 << 10


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bar` is the least that is wanted of `value`, if there is one."""

    what: str
    value: float
    unit: str
    bar: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the bar, if any, is met."""
        return self.bar is None or self.value >= self.bar


def measure(repetitions: int) -> Rates:
    """Run everything.

    Raises:
        ProgramMissingError: There is no program to run.
    """
    command = [
        str(program("actcache_benchmarks")),
        "--benchmark_format=json",
        f"--benchmark_repetitions={repetitions}",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_min_time=0.05",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    rates: dict[str, list[float]] = {}
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] == "iteration":
            rate = run.get("bytes_per_second", run.get("items_per_second"))
            rates.setdefault(run["run_name"], []).append(rate)
    return {name: statistics.median(values) for name, values in rates.items()}


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r":(\d+)", name)]


def figures(rates: Rates) -> Iterator[Figure]:
    """Set the rates in relation to each other and to the bars."""
    for name, what, judged in (
        ("Hit", "hits", True),
        ("HitShared", "hits, same entries", False),
        ("Miss", "misses", False),
    ):
        one, two = (rates[f"{name}/real_time/threads:{threads}"] for threads in (1, 2))
        yield Figure(f"{what}, 1 thread", one / 1e6, "M/s", 5.0 if judged else None)
        yield Figure(f"{what}, 2 threads", two / 1e6, "M/s")
        yield Figure(f"{what}, 2 threads", two / one, "× 1 thread", 1.7 if judged else None)
    yield Figure("insertions that evict", rates["InsertEvict"] / 1e6, "M/s")
    for name, rate in sorted(rates.items(), key=lambda pair: _numbers(pair[0])):
        if copy := _COPY.fullmatch(name):
            size = int(copy[2])
            bar = 0.9 if size >= 64 * _KB else 0.6 if size >= 4 * _KB else None
            yield Figure(f"copy, {copy[1]}", rate / rates[f"Memcpy/{copy[1]}"], "× memcpy", bar)
    for name, rate in sorted(rates.items(), key=lambda pair: (pair[0].split(":")[0], _numbers(pair[0]))):
        if name.startswith("HashRows/"):
            yield Figure(f"keys, {name.removeprefix('HashRows/')}", rate / 1e9, "GB/s")


def _table(lines: Sequence[Figure]) -> Table:
    table = Table(title="native parts of a call")
    for column in ("measurement", "value", "unit", "at least", ""):
        table.add_column(column, justify="right" if column in ("value", "at least") else "left")
    for line in lines:
        verdict = "" if line.bar is None else "[green]met[/]" if line.passed else "[red]missed[/]"
        table.add_row(line.what, f"{line.value:.2f}", line.unit, "" if line.bar is None else f"{line.bar}", verdict)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print: 0, or 1 if a bar is missed, or 2 and one line if something is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.native", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=9, help="of each measurement (default: 9)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        with console.status("measuring"):
            lines = list(figures(measure(options.repetitions)))
    except ProgramMissingError as error:
        console.print(f"error: {error}", style="red", soft_wrap=True, markup=False, highlight=False)
        return 2
    if options.json:
        print(json.dumps([asdict(line) | {"passed": line.passed} for line in lines]))
    else:
        Console().print(_table(lines))
    return 0 if all(line.passed for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
