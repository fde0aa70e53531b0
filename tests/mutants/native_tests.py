"""Which C++ and Python tests reach which C++ mutant, and whether one of them notices it.

A test that fails, crashes or does not end has noticed. The C++ tests are asked first; what they leave alive is tried
with the tests that run the operators in onnxruntime, which load the library of the copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tests.mutants.native_break import NUMBERS
from tests.mutants.native_switch import ACTIVE, SECONDS, SEEN

#: Trials may take so many times the time of the tests without a mutant, and this many seconds.
_PATIENCE, _LEAST_SECONDS = 10, 30
#: Slower tests run only if the quick ones notice nothing.
_QUICK_SECONDS = 0.2
#: Python tests that are tried with one mutant take no longer than so many seconds without it.
_PYTHON_SECONDS = 60
_FEW_THREADS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": "."}


@dataclass(frozen=True)
class Test:
    """One test without a mutant.

    Attributes:
        program: The executable; empty for a test of pytest.
        name: As the program or pytest knows it.
        seconds: What it took.
        seen: The mutants that it reaches.
    """

    program: str
    name: str
    seconds: float
    seen: frozenset[int]


def native_tests(build: Path, jobs: int) -> list[Test]:
    """Run each C++ test that passes by itself, without a mutant; the answer is kept as long as the programs stay."""
    programs = [build / "tests/actcache_tests", build / "tests/actcache_allocation_tests"]

    def run() -> list[Test]:
        alone = [(program, name) for program in programs for name in _names(program)]
        with ThreadPoolExecutor(jobs) as pool:
            return [test for test in pool.map(lambda one: _alone(*one), alone) if test]

    return _kept(build / "reached.json", programs, run)


def _alone(program: Path, name: str) -> Test | None:
    began = time.monotonic()
    with _SeenFile() as seen:
        if not _ended_well([str(program), f"--gtest_filter={name}"], {SEEN: seen.path}, 600):
            return None
        return Test(str(program), name, time.monotonic() - began, frozenset(seen.numbers()))


def python_tests(build: Path, group: str, files: list[str], seconds: int) -> list[Test]:
    """Run the Python tests of a group that pass, without a mutant, for at most so many seconds; likewise kept."""
    inputs = [build / "libactcache.so", *map(Path, files)]
    return _kept(build / f"reached_{group}.json", inputs, lambda: _by_pytest(build, files, seconds))


def _kept(place: Path, inputs: list[Path], run: Callable[[], list[Test]]) -> list[Test]:
    """What a run found, the quickest first: an earlier one with the same inputs, if there was one."""
    state = [[str(path), path.stat().st_mtime_ns] for path in inputs]
    if place.exists() and (kept := json.loads(place.read_text()))["of"] == state:
        return [Test(program, name, seconds, frozenset(seen)) for program, name, seconds, seen in kept["tests"]]
    found = sorted(run(), key=lambda test: test.seconds)
    tests = [[test.program, test.name, test.seconds, sorted(test.seen)] for test in found]
    place.write_text(json.dumps({"of": state, "tests": tests}))
    return found


def _by_pytest(build: Path, files: list[str], seconds: int) -> list[Test]:
    with _SeenFile() as seen, tempfile.NamedTemporaryFile(suffix=".json") as told:
        environment = {SEEN: seen.path, **_library(build)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.mutants.native_seen"]
        subprocess.run(
            [*command, *files],
            env={**os.environ, **_FEW_THREADS, **environment, "MUTANT_REPORT": told.name, SECONDS: str(seconds)},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        lines = json.loads(Path(told.name).read_text() or "[]")
    if not lines:
        raise SystemExit(f"no Python test of {', '.join(files)} passes with the library of the copy")
    return [Test("", name, took, frozenset(numbers)) for name, took, numbers in lines]


def noticed(number: int, tests: Iterable[Test], build: Path) -> bool:
    """Whether a test fails with a mutant: the quick ones are asked first, and of Python's only those of a minute."""
    reaching = _affordable([test for test in tests if number in test.seen])
    for quick in (True, False):
        some = [test for test in reaching if (test.seconds < _QUICK_SECONDS) == quick]
        for program in dict.fromkeys(test.program for test in some):
            own = [test for test in some if test.program == program]
            limit = _LEAST_SECONDS + _PATIENCE * sum(test.seconds for test in own)
            names = [test.name for test in own]
            if program:
                command = [program, "--gtest_brief=1", "--gtest_fail_fast", f"--gtest_filter={':'.join(names)}"]
            else:
                command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names]
            if not _ended_well(command, {ACTIVE: str(number), **_library(build)}, limit):
                return True
    return False


def _affordable(tests: list[Test]) -> list[Test]:
    """All C++ tests, and the quickest Python tests that together take no longer than they may."""
    sums = accumulate(0.0 if test.program else test.seconds for test in tests)
    return [test for test, so_far in zip(tests, sums, strict=True) if so_far <= _PYTHON_SECONDS]


def _library(build: Path) -> dict[str, str]:
    return {"ACTCACHE_LIBRARY": str(build / "libactcache.so")}


def _names(program: Path) -> list[str]:
    output = subprocess.run([program, "--gtest_list_tests"], text=True, capture_output=True, check=True).stdout
    suite, names = "", []
    for line in output.splitlines():
        word = line.split("#")[0].rstrip()
        if word.endswith(".") and not word.startswith(" "):
            suite = word
        elif word.startswith("  "):
            names.append(suite + word.strip())
    return names


def _ended_well(command: list[str], environment: Mapping[str, str], seconds: float) -> bool:
    process = subprocess.Popen(
        command,
        env={**os.environ, **_FEW_THREADS, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        # Its children, too: some tests start some.
        _end_group(process.pid)
        process.wait()


def _end_group(group: int) -> None:
    """End a process and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


class _SeenFile:
    """A file of zero bytes, one for each number, in which the library marks what was reached."""

    def __enter__(self) -> _SeenFile:
        self._file = tempfile.NamedTemporaryFile()
        self._file.truncate(NUMBERS)
        self.path = self._file.name
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def numbers(self) -> list[int]:
        """The mutants that were reached."""
        return [number for number, byte in enumerate(Path(self.path).read_bytes()) if byte]
