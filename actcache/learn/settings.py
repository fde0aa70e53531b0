"""What the environment says of learning. Read at every start of Python, so nothing is imported but ``os``."""

from __future__ import annotations

import os

#: ``1``: learn; ``0``: leave every session as it is, also where the code asks for learning.
SWITCH = "ACTCACHE_AUTO"
#: Where compiled models are kept.
FOLDER = "ACTCACHE_CACHE_DIR"
#: What the folder may hold.
FOLDER_BYTES = "ACTCACHE_CACHE_BYTES"
#: ``1``: one line on stderr when the program ends.
SUMMARY = "ACTCACHE_AUTO_SUMMARY"
#: The Python that compiles, where the program's own is none (a server that embeds it).
PYTHON = "ACTCACHE_AUTO_PYTHON"
#: Calls after which a model is compiled for the first time.
CALLS = "ACTCACHE_AUTO_CALLS"
#: How far the compiling process steps back for others, as ``nice`` counts it.
NICE = "ACTCACHE_AUTO_NICE"
#: The cores that it runs on, as ``taskset`` lists them.
CORES = "ACTCACHE_AUTO_CPUS"

DEFAULT_FOLDER_BYTES = 4 << 30
DEFAULT_CALLS = 64
DEFAULT_NICE = 19
#: No system numbers cores as high as that.
_MOST_CORES = 1 << 16


def switched_off() -> bool:
    """Whether the user wants no learning at all."""
    return os.environ.get(SWITCH) == "0"


def cache_folder() -> str:
    """Return the folder of compiled models."""
    named = os.environ.get(FOLDER)
    if named:
        return os.path.abspath(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification has relative ones ignored
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "actcache")


def folder_bytes() -> int:
    """Return what the folder may hold; what is no number counts as not given."""
    return _number(FOLDER_BYTES, DEFAULT_FOLDER_BYTES)


def first_calls() -> int:
    """Return how many calls are recorded before the first attempt."""
    return max(1, _number(CALLS, DEFAULT_CALLS))


def niceness() -> int:
    """Return the niceness of the compiling process."""
    return _number(NICE, DEFAULT_NICE)


def cores() -> set[int]:
    """Return the cores that the compiling process is to run on; none: all of them.

    Raises:
        ValueError: What is given is no list of cores.
    """
    text = os.environ.get(CORES, "").strip()
    found: set[int] = set()
    for part in text.split(",") if text else ():
        ends = [int(end) if end.isascii() and end.isdigit() else -1 for end in part.strip().split("-")]
        if len(ends) > 2 or not 0 <= ends[0] <= ends[-1] < _MOST_CORES:
            raise ValueError(f"'{text}' is no list of cores; write it as '1' or '0,2-3'")
        found.update(range(ends[0], ends[-1] + 1))
    return found


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default
