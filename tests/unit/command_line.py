"""The command line as a process, for tests of what it prints and how it exits."""

from __future__ import annotations

import os
import subprocess
import sys


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "actcache", *map(str, arguments)],
        env={**os.environ, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *says: str) -> None:
    """Asserts exit 2 and one line on stderr that says all of `says`."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for text in says:
        assert text in done.stderr
