"""The programs of ``custom_ops/bench``, built when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_SOURCES = Path(__file__).resolve().parent.parent / "custom_ops"
_PROGRAMS = _SOURCES / "build" / "release" / "bench"


class ProgramMissingError(RuntimeError):
    """A program cannot be built here; the message says why."""


@cache
def program(name: str) -> Path:
    """Build the release library with its benchmarks, and return the path of one of their programs.

    Raises:
        ProgramMissingError: The build failed (its own message is on stderr), or the program needs Google Benchmark,
            which is not installed.
    """
    command = [sys.executable, str(_SOURCES / "build.py"), "--benchmarks"]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise ProgramMissingError("the native library could not be built; see above")
    path = _PROGRAMS / name
    if not path.is_file():
        raise ProgramMissingError(f"{name} needs Google Benchmark: apt-get install libbenchmark-dev")
    return path


def numbers(lines: Iterable[str]) -> dict[str, int]:
    """Return the figures of lines "NAME NUMBER", as the programs print them."""
    return {name: int(number) for name, number in (line.rsplit(" ", 1) for line in lines)}


def asked(name: str, *arguments: object) -> dict[str, int]:
    """Run a program and return the figures that it prints.

    Raises:
        ProgramMissingError: As :func:`program`.
        subprocess.CalledProcessError: It failed; its own message is on stderr.
    """
    command = [str(program(name)), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return numbers(done.stdout.splitlines())
