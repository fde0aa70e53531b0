"""The programs of ``custom_ops/bench``, built when they are asked for."""

from __future__ import annotations

import subprocess
import sys
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
