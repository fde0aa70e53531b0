"""The programs of ``custom_ops/tests/faults``, which the C++ tests' build makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

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
