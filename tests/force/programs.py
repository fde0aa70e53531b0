"""The programs of ``custom_ops/tests/faults``, which the C++ tests' build makes."""

from __future__ import annotations

import subprocess
from pathlib import Path
from subprocess import PIPE

_BUILT = Path(__file__).resolve().parents[2] / "custom_ops" / "build" / "release" / "tests"
WORKER = _BUILT / "store_worker"
FAULTS = _BUILT / "libfailing_files.so"

#: What ``store_worker`` ends with.
REFUSED = 10

#: Seconds for what takes milliseconds: whoever takes longer hangs.
PATIENCE = 60


class ForceError(AssertionError):
    """The store broke a promise; the message says under which force."""


def missing() -> list[str]:
    """The programs that are not built; ``custom_ops/build.py --tests`` builds them."""
    return [str(path) for path in (WORKER, FAULTS) if not path.is_file()]


class Neighbour:
    """Another process that has a store open, and uses it."""

    def __init__(self, store: Path) -> None:
        self._process = subprocess.Popen(
            [str(WORKER), "beside", str(store)], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
        )
        self._answer()

    def longest_read(self) -> int:
        """Milliseconds that the longest of some reads takes now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._answer())

    def finish(self, after: str) -> None:
        """Ends the process, which checks all values before, and that new ones are kept.

        Raises:
            ForceError: A value is wrong, or none is kept.
        """
        _, problem = self._process.communicate(timeout=PATIENCE)
        if self._process.returncode != 0:
            status = self._process.returncode
            raise ForceError(f"after {after} another process fails (status {status}): {problem.strip()}")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def check_store(store: Path, after: str, *, quiet: bool = True) -> int:
    """A new process finds no wrong value, and keeps new ones if the store is ``quiet``; returns how many it found.

    Raises:
        ForceError: It does not.
    """
    done = subprocess.run(
        [WORKER, "works" if quiet else "values", store],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise ForceError(f"after {after} the store does not work (status {done.returncode}): {done.stderr.strip()}")
    return int(done.stdout)
