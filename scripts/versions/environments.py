"""Environments with one Python and one onnxruntime, in .venv-versions: alone, or with what our package needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_USABLE = "import sys, venv; print('%d.%d' % sys.version_info[:2])"


class UnavailableError(Exception):
    """There is no such environment; the message says why."""


@dataclass(frozen=True)
class Pair:
    """A version of Python and one of onnxruntime, as "3.11" and "1.24" or "newest"."""

    python: str
    onnxruntime: str

    @property
    def requirements(self) -> list[str]:
        """What pip is asked for."""
        if self.onnxruntime == "newest":
            return ["onnxruntime", "numpy"]
        older = tuple(map(int, self.onnxruntime.split("."))) < (1, 19)  # built for the numpy of its time
        return [f"onnxruntime=={self.onnxruntime}.*", "numpy<2" if older else "numpy"]


def interpreter(version: str) -> Path | None:
    """Return the Python of a version that this machine has: in PATH, or among pyenv's."""
    return next((path for path in _candidates(version) if _version(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield Path(folder) / f"python{version}"


def _version(python: Path) -> str | None:
    if not python.exists():
        return None
    done = subprocess.run([python, "-c", _USABLE], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def dependencies() -> list[str]:
    """Return what our package asks for without any extra."""
    return [each for each in metadata.requires("actcache") or () if "extra ==" not in each]


def environment(pair: Pair, folder: Path, compiler: bool = False) -> Path:
    """Return the interpreter of the pair's environment, which is made if it is not there yet.

    Args:
        pair: The versions.
        folder: Where environments are.
        compiler: Install what our package depends on, too.

    Raises:
        UnavailableError: There is no such Python here, or no wheel for it.
    """
    place = folder / f"{'compiler-' * compiler}python{pair.python}-onnxruntime{pair.onnxruntime}"
    python, done = place / "bin" / "python", place / ".done"
    if done.exists() and pair.onnxruntime != "newest":
        return python
    base = interpreter(pair.python)
    if base is None:
        raise UnavailableError(f"no Python {pair.python} on this machine")
    if not python.exists():
        subprocess.run([base, "-m", "venv", "--clear", "--without-pip", place], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "--python",
        str(python),
        "install",
        "--no-compile",
    ]
    wanted = [*pair.requirements, *(dependencies() if compiler else ())]
    command = [*pip, "--only-binary=:all:", "--upgrade", *wanted]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    if installed.returncode:
        shutil.rmtree(place, ignore_errors=True)
        lines = [line for line in installed.stderr.splitlines() if line.startswith("ERROR: No matching")]
        raise UnavailableError((lines or installed.stderr.strip().splitlines())[-1].removeprefix("ERROR: "))
    done.touch()
    return python
