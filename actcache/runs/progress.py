"""How far the process that runs models is: a line in a file of the working folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

#: Name of the file.
PROGRESS = "progress.txt"
#: Seconds between two lines.
_SECONDS = 0.2


def writes_progress(directory: Path) -> Callable[[str], None]:
    """Return what takes lines and writes them, not more than a few a second."""
    last = -_SECONDS

    def write(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS:
            last = now
            (directory / PROGRESS).write_text(line)

    return write


def read_progress(directory: Path) -> str:
    """Return the last line; empty before the first one."""
    try:
        return (directory / PROGRESS).read_text()
    except FileNotFoundError:
        return ""
