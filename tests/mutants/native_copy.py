"""A copy of the C++ sources with all mutants in it, each behind a switch, built once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.mutants.groups import NATIVE
from tests.mutants.native_break import Break
from tests.mutants.native_switch import HEADER, Switched, switched

#: Kept from run to run, so that only what changed is built again.
ROOT = Path("build/mutants/native")
_HEADER = "mutants_switch.h"
_TARGETS = ("actcache_tests", "actcache_allocation_tests", "libactcache")
_ERROR = re.compile(r"^(.+?):(\d+)(?::\d+)?: (?:fatal )?error: (.*)$", re.MULTILINE)


class Copy:
    """The copy, up to date and built.

    Attributes:
        build: Its build folder.
        files: The changed files, by their path from the root of the copy.
        broken: What the compiler says, by the numbers of mutants that do not compile.

    Args:
        breaks: All mutants, by number.

    Raises:
        SystemExit: A break finds nothing to change, or the sources cannot be built without mutants either.
    """

    def __init__(self, breaks: Mapping[int, Break]) -> None:
        self.root = ROOT.resolve()
        self.build = self.root / "build"
        self.files: dict[str, Switched] = {}
        self.broken: dict[int, str] = {}
        # Read once: the tree may change while the copy is built.
        sources = {str(path): path.read_bytes() for path in Path("custom_ops").rglob("*") if _is_source(path)}
        while True:
            self._write(sources, {number: one for number, one in breaks.items() if number not in self.broken})
            self._configure()
            made = _run(["cmake", "--build", str(self.build), "--target", *_TARGETS, "--", *self._go_on()], self.root)
            if made.returncode == 0:
                return
            found = self._blamed(made.stdout)
            if not found:
                raise SystemExit(f"the copy of the C++ sources in {self.root} cannot be built:\n{made.stdout[-3000:]}")
            self.broken |= found

    def _go_on(self) -> list[str]:
        """Ninja and make: go on after errors, so that all of them are seen at once."""
        return ["-k", "0"] if (self.build / "build.ninja").exists() else ["-k"]

    def _write(self, sources: Mapping[str, bytes], breaks: Mapping[int, Break]) -> None:
        by_file: dict[str, dict[int, Break]] = defaultdict(dict)
        for number, one in breaks.items():
            by_file[one.path][number] = one
        try:
            self.files = {path: switched(sources[path].decode(), some) for path, some in by_file.items()}
        except LookupError as problem:
            raise SystemExit(f"{problem}\nMend the entry in tests/mutants/native_*.py, or take it out.") from None
        wanted = {**sources, f"custom_ops/{_HEADER}": HEADER.encode()}
        wanted |= {path: file.text.encode() for path, file in self.files.items()}
        for there in (self.root / "custom_ops").rglob("*"):
            if there.is_file() and str(there.relative_to(self.root)) not in wanted:
                there.unlink()
        for name, content in wanted.items():
            there = self.root / name
            # What is the same keeps its time, so it is not built again.
            if not there.exists() or there.read_bytes() != content:
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(content)

    def _configure(self) -> None:
        flags = f"-O1 -include {self.root}/custom_ops/{_HEADER}"
        sources = Path("custom_ops/build/sources").resolve()
        code = (
            "import sys; sys.path.insert(0, 'custom_ops'); import build; from pathlib import Path; "
            f"sources = Path({str(sources)!r}); "
            "build.configure(build.find_cmake(), Path('build'), {**build.VARIANTS['debug'], "
            "**build.find_compiler('debug'), **build.find_dependencies(sources), **build.find_ort_headers(sources), "
            f"'ACTCACHE_TESTS': 'ON', 'CMAKE_CXX_FLAGS_DEBUG': {flags!r}}})"
        )
        done = _run([sys.executable, "-c", code], self.root)
        if done.returncode:
            raise SystemExit(f"the copy of the C++ sources in {self.root} cannot be configured:\n{done.stdout[-3000:]}")

    def _blamed(self, output: str) -> dict[int, str]:
        """Which mutants the compiler complains of."""
        found: dict[int, str] = {}
        for name, line, message in _ERROR.findall(output):
            try:
                path = str(Path(self.build, name).resolve().relative_to(self.root))
            except ValueError:
                continue
            file = self.files.get(path)
            number = file.mutant_at(int(line)) if file else None
            if number is not None:
                found.setdefault(number, message)
        return found


def _is_source(path: Path) -> bool:
    return path.is_file() and path.parts[1] not in ("build", "bench", "fuzz")


def tool(name: str) -> str:
    """Return a program that pip installed beside this Python, or one of PATH.

    Raises:
        SystemExit: It is not there.
    """
    if found := shutil.which(name, path=_path()):
        return found
    raise SystemExit(f"{name} is not installed: pip install {name}")


def _path() -> str:
    return f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        text=True,
        env={**os.environ, "PATH": _path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def unit_of(path: str) -> str:
    """Return a source file that compiles the code of `path`: itself, or one that includes the header, through others
    if need be.
    """
    waiting, seen = [path], {path}
    while waiting:
        one = waiting.pop(0)
        if one.endswith(".cc"):
            return one
        line = f'#include "{Path(one).relative_to(NATIVE)}"'
        found = [str(file) for file in sorted(Path(NATIVE).rglob("*.[ch]*")) if line in file.read_text()]
        waiting += [name for name in found if name not in seen]
        seen.update(found)
    raise SystemExit(f"no file of {NATIVE} compiles {path}")
