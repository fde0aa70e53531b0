"""Python in a process of its own, for tests that set knobs or limits."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap


def run_python(code: str, *, timeout: float | None = None, **environment: str) -> str:
    """Runs `code` in a fresh interpreter and returns what it printed; fails after `timeout` seconds."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
