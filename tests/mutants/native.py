"""Tries mutants of the C++ library, each in a copy of its sources that is built anew as far as the change reaches.

A test executable that fails, crashes or does not end has noticed. A change that does not compile is no mutant: it is
told as such, and counts as not noticed until the list is mended. A lock that is left out has to be noticed by clang's
thread safety analysis, the same that ``make check`` runs.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.groups import NATIVE, NATIVE_FIRST
from tests.mutants.native_break import Break
from tests.mutants.outcome import Outcome

#: Copies of the sources and their builds, kept from run to run.
COPIES = Path("build/mutants")
_SECONDS = 300
#: clang-tidy compiles nothing where only diagnostics are asked for, hence one cheap check beside them.
_ANALYSIS = "-checks=-*,clang-diagnostic-thread-safety*,modernize-deprecated-headers"


def run(breaks: Sequence[Break], *, sample: int, seed: int, jobs: int) -> Iterator[Outcome]:
    """Try the breaks of a group: `sample` of them, 0 for all.

    Raises:
        SystemExit: A break finds nothing to change, or the sources cannot be built or fail without one.
    """
    chosen = list(breaks)
    if sample and sample < len(chosen):
        chosen = random.Random(seed).sample(chosen, sample)
    try:
        for one in chosen:
            one.applied(Path())
    except LookupError as problem:
        raise SystemExit(f"{problem}\nMend the entry in tests/mutants/native_*.py, or take it out.") from None
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(min(jobs, len(chosen))):
        copies.put(Copy(COPIES / f"native-{number}"))

    def tried(one: Break) -> Outcome:
        copy = copies.get()
        try:
            return copy.tried(one)
        finally:
            copies.put(copy)

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(tried, chosen)


class Copy:
    """A copy of the C++ sources with a build folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.build = self.root / "build"
        self.root.mkdir(parents=True, exist_ok=True)
        _mirror(Path("custom_ops"), self.root / "custom_ops")
        settings = "CMAKE_CXX_FLAGS_DEBUG=-O1"
        code = (
            "import sys; sys.path.insert(0, 'custom_ops'); import build; from pathlib import Path; "
            "build.configure(build.find_cmake(), Path('build'), {**build.VARIANTS['debug'], "
            "**build.find_compiler('debug'), **build.find_xxhash(), **build.find_blake3(), 'ACTCACHE_TESTS': 'ON', "
            f"'{settings.partition('=')[0]}': '{settings.partition('=')[2]}'}})"
        )
        _run([sys.executable, "-c", code], self.root, check=True)
        self._make(check=True)
        if not self._passes():
            raise SystemExit(f"{self.build}/tests/actcache_tests fails without a mutant")

    def tried(self, one: Break) -> Outcome:
        """Apply a break, see whether it is noticed, and take it back."""
        path = self.root / one.path
        before = path.read_text()
        changed, line = one.applied(self.root)
        path.write_text(changed)
        try:
            result = self._analysis(one) if one.lock else self._tests(one)
        finally:
            path.write_text(before)
        return Outcome(one.path, one.promise, one.change, line, result)

    def _tests(self, one: Break) -> str:
        made = self._make(check=False)
        if made.returncode:
            error = next((line for line in made.stdout.splitlines() if "error" in line), made.stdout[-200:])
            return f"no mutant, for it does not compile: {error.strip()}"
        first = NATIVE_FIRST[one.file.split("/")[0]]
        return "survived: all tests pass" if self._passes(first) and self._passes() else "killed"

    def _analysis(self, one: Break) -> str:
        unit = self.root / (one.path if one.file.endswith(".cc") else _includer(one.file))
        tool = shutil.which("clang-tidy", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
        if tool is None:
            raise SystemExit("clang-tidy is not installed: pip install clang-tidy")
        checks = [_ANALYSIS, "--warnings-as-errors=*", "--quiet", "--header-filter=.*"]
        extra = ["--extra-arg=-Wthread-safety", "--extra-arg=-Wthread-safety-beta"]
        done = _run([tool, "-p", str(self.build), *checks, *extra, str(unit)], self.root)
        noticed = "[clang-diagnostic-thread-safety" in done.stdout
        if done.returncode and not noticed:
            raise SystemExit(f"clang-tidy cannot read {unit}:\n{done.stdout[-2000:]}")
        return "killed" if noticed else "survived: no warning"

    def _make(self, *, check: bool) -> subprocess.CompletedProcess[str]:
        command = ["cmake", "--build", str(self.build), "--target", "actcache_tests", "--parallel"]
        return _run(
            [*command, "1" if self.build.joinpath("tests/actcache_tests").exists() else "2"], self.root, check=check
        )

    def _passes(self, tests: str = "*") -> bool:
        try:
            command = [
                str(self.build / "tests/actcache_tests"),
                "--gtest_brief=1",
                "--gtest_fail_fast",
                f"--gtest_filter={tests}",
            ]
            return _run(command, self.root, timeout=_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def _mirror(source: Path, target: Path) -> None:
    """Make `target` the same as `source`; files that are the same already keep their time, so they are not built."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file() and "build" not in path.parts}
    for path in target.rglob("*") if target.exists() else ():
        if path.is_file() and path.relative_to(target) not in wanted:
            path.unlink()
    for name in wanted:
        there = target / name
        if not there.exists() or there.read_bytes() != (source / name).read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, there)


def _includer(header: str) -> str:
    """A source file that includes a header."""
    for path in sorted(Path(NATIVE).rglob("*.cc")):
        if f'#include "{header}"' in path.read_text():
            return str(path)
    raise SystemExit(f"no file of {NATIVE} includes {header}")


def _run(
    command: list[str], folder: Path, *, check: bool = False, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a tool with its output kept; with `check` an error ends the program, with that output."""
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, text=True, timeout=timeout, env={**os.environ, "PATH": path}, check=False, **output
    )  # type: ignore[call-overload]
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{done.stdout[-3000:]}")
    return done  # type: ignore[no-any-return]
