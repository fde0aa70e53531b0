"""Starting the compiling process so that the program does not notice: no child of its own, no files, no output.

The program starts a shell, which starts Python in the background and ends at once; it waits for that shell, some
milliseconds. So nobody is signalled when the compilation ends, and nothing is left to be waited for. Where there is no
shell, a Python that forks stands in for it.

A process that has lost its parent becomes the child of the first process, or of one that asked for that. If this is
the program itself, it is waited for here, as nobody else may.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actcache.base.start_code import start_code
from actcache.learn import settings, threads

if TYPE_CHECKING:
    from actcache.learn.cache import AnyPath

_SHELL = "/bin/sh"
_IN_BACKGROUND = '"$@" >/dev/null & echo $!'
_CODE = """
from actcache.learn.priority import leave
leave()
from actcache.learn.job import main
main({job!r})
"""
_FORKING = """
import os
child = os.fork()
if child:
    os.write(1, b"%d" % child)
    os._exit(0)
os.dup2(0, 1)
"""
#: Of what the environment tells Python, this says where it finds itself, and how names of files are written. The rest
#: (warnings that are errors, say) is for the program.
_KEPT = frozenset(
    f"PYTHON{name}"
    for name in "HOME PLATLIBDIR USERBASE NOUSERSITE PYCACHEPREFIX DONTWRITEBYTECODE UTF8 COERCECLOCALE".split()
)
#: Compiling processes that have become children of this one.
_adopted: list[int] = []


def start(root: AnyPath, place: str) -> None:
    """Have a place looked at.

    Raises:
        OSError: No process can be started, or there is no Python to start.
    """
    code = start_code(_paths()) + _CODE.format(job=[str(root), place])
    command = [_python(), "-c", code]
    if os.access(_SHELL, os.X_OK):
        command = [_SHELL, "-c", _IN_BACKGROUND, "actcache", *command]
    else:
        command[2] = _FORKING + code
    read, write = os.pipe()
    try:
        process = threads.posix_spawn(
            command[0],
            command,
            _environment(),
            file_actions=_files(write),
            setsigmask=[],
            setsigdef=_signals(),
            setsid=True,  # it gets no signals of the program's terminal
        )
        with suppress(ChildProcessError):  # the program waits for any child, and was faster
            threads.waitpid(process, 0)
        os.set_blocking(read, False)  # all that is told is there by now; who has forked meanwhile keeps it open
        with suppress(OSError, ValueError):
            _adopted.append(int(threads.read(read, 32)))
    finally:
        os.close(read)
        os.close(write)
    wait_for_ended()


def wait_for_ended() -> None:
    """Leave nothing behind of compiling processes that were children of this one and have ended."""
    for process in list(_adopted):
        try:
            ended = threads.waitpid(process, os.WNOHANG)[0] == process
        except OSError:  # it has another parent, or the program has waited for it
            ended = True
        if ended:
            _adopted.remove(process)


def _signals() -> set[int]:
    """Return the signals that a process may ignore: one that ignores SIGCHLD cannot tell how its own children end."""
    import _signal  # type: ignore[import-not-found]  # what ``signal`` wraps, and that loads more

    found: set[int] = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
    return found


def _files(output: int) -> list[Any]:
    """Return what is done to the open files of the new process: it keeps none of the program's.

    Args:
        output: What it writes to. That may be 0 or 2, if the program has closed these.
    """
    opened = [(os.POSIX_SPAWN_OPEN, file, os.devnull, os.O_RDWR, 0) for file in (0, 2)]
    closed = [(os.POSIX_SPAWN_CLOSE, file) for file in _inherited()]
    return [(os.POSIX_SPAWN_DUP2, output, 1), *opened, *closed]


def _inherited() -> list[int]:
    """Return the open files that a new process would get, without the standard ones."""
    found: list[int] = []
    names = []
    with suppress(OSError):
        names = os.listdir("/proc/self/fd")  # noqa: PTH208
    for name in names:
        with suppress(OSError):  # closed meanwhile: the one that listed this folder, say
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


def _python() -> str:
    """Return the Python that this program runs in.

    Raises:
        FileNotFoundError: The program embeds Python.
    """
    named = os.environ.get(settings.PYTHON)
    if named:
        return named
    candidates = [sys.executable or "", os.path.join(sys.prefix, "bin", "python3")]
    for candidate in candidates:
        if os.path.basename(candidate).startswith("python") and os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(f"there is no Python beside this program; name one in {settings.PYTHON}")


def _paths() -> list[str]:
    """Return the folders of the packages that compiling needs, as this program found them."""
    found = []
    for name in ("actcache", "onnxruntime", "numpy"):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            folder = os.path.dirname(os.path.dirname(os.path.abspath(file)))
            if folder not in found:
                found.append(folder)
    return found


def _environment() -> dict[str, str]:
    left = {n: value for n, value in os.environ.items() if not n.startswith("PYTHON") or n in _KEPT}
    return {**left, settings.SWITCH: "0"}
