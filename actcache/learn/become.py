"""Becoming the program of ``actcache run``. Its start waits for this, so little is imported."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from actcache.learn import settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_BAD_INPUT, _NOT_FOUND, _NOT_EXECUTABLE = 2, 127, 126


def quickly(arguments: Sequence[str]) -> None:
    """Become the program if the arguments are ``run [OPTION ...] [--] PROGRAM ...``; else return.

    Options are ``--summary``, ``--cache-dir FOLDER`` and ``--learn-on CPUS``. What has others, or is wrong, is left to
    the command line proper, which explains.
    """
    left = list(arguments)
    if not left or left.pop(0) != "run":
        return
    folder, learn_on, summary = None, None, False
    while left and left[0].startswith("-"):
        option = left.pop(0)
        if option == "--":
            break
        if option == "--summary":
            summary = True
        elif option == "--cache-dir" and left:
            folder = left.pop(0)
        elif option == "--learn-on" and left:
            learn_on = left.pop(0)
        else:
            return
    if left:
        become(left, folder, None, summary, learn_on)


def become(
    program: Sequence[str], folder: str | None, size: int | None, summary: bool, learn_on: str | None
) -> NoReturn:
    """Replace this process by a program whose sessions learn; its exit code and its signals are its own.

    Args:
        program: The program and its arguments.
        folder: The cache folder; None: as the environment says.
        size: What that may hold, in bytes; None: as the environment says.
        summary: Whether each of its processes prints one line at its end.
        learn_on: The cores that the compiling process runs on; None: as the environment says.
    """
    folder = folder or os.environ.get(settings.FOLDER)
    if folder:
        os.environ[settings.FOLDER] = os.path.abspath(folder)
    if size is not None:
        os.environ[settings.FOLDER_BYTES] = str(size)
    if summary:
        os.environ[settings.SUMMARY] = "1"
    if learn_on is not None:
        os.environ[settings.CORES] = learn_on
    _check_cores()
    if not settings.switched_off():
        os.environ[settings.SWITCH] = "1"
    _put_on_path()
    _forget_own_locale()
    _heed_signals()
    try:
        _execute(program)
    except FileNotFoundError:
        _end(f"there is no program '{program[0]}'", _NOT_FOUND)
    except OSError as error:
        _end(f"{program[0]}: cannot be run ({error.strerror})", _NOT_EXECUTABLE)


def _execute(program: Sequence[str]) -> NoReturn:
    """Become a program as a shell would: a text that names no interpreter is for ``/bin/sh``.

    Raises:
        OSError: There is no such program, or it cannot be run.
    """
    try:
        os.execvp(program[0], list(program))
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        folders = [""] if os.sep in program[0] else os.get_exec_path()
        paths = [os.path.join(folder, program[0]) for folder in folders]
        found = next(path for path in paths if os.access(path, os.X_OK) and not os.path.isdir(path))
        os.execv("/bin/sh", ["/bin/sh", found, *program[1:]])


def _end(problem: str, code: int) -> NoReturn:
    if sys.stderr is not None:  # it may have been closed
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(code)


def _check_cores() -> None:
    """End with one line if the compiling process could not run on the cores that it is meant to run on."""
    own = os.sched_getaffinity(0)
    try:
        wanted = settings.cores()
        if not wanted:
            return
        os.sched_setaffinity(0, wanted)
        missing = wanted - os.sched_getaffinity(0)
        os.sched_setaffinity(0, own)
        problem = f"this process may not use core {min(missing)}" if missing else None
    except ValueError as error:
        problem = str(error)
    except OSError:
        problem = f"this machine has none of the cores {os.environ[settings.CORES]}, or lets nobody here use them"
    if problem is not None:
        _end(f"--learn-on, {settings.CORES}: {problem}", _BAD_INPUT)


def _put_on_path() -> None:
    """Have every Python of the program import our ``sitecustomize`` first."""
    site = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
    given = os.environ.get("PYTHONPATH")
    known = [path for path in given.split(os.pathsep) if path != site] if given else []  # empty ones mean something
    os.environ["PYTHONPATH"] = os.pathsep.join([site, *known])


def _forget_own_locale() -> None:
    """Take back what Python itself sets in the environment where the locale is C (PEP 538)."""
    with suppress(OSError), open("/proc/self/environ", "rb") as file:
        if not any(entry.startswith(b"LC_CTYPE=") for entry in file.read().split(b"\0")):
            os.environ.pop("LC_CTYPE", None)


def _heed_signals() -> None:
    """Python ignores some signals, and what is ignored would stay so in the program."""
    # What ``signal`` wraps: that loads ``enum``, and nothing else here needs it.
    import _signal  # type: ignore[import-not-found]

    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)
