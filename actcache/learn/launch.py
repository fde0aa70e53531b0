"""Starting the compiling process so that the program does not notice: no child of its own, no files, no output.

The program starts a shell, which starts Python in the background and ends at once; it waits for that shell, some
milliseconds. So nobody is signalled when the compilation ends, and nothing is left to be waited for. Where there is no
shell, a Python that forks stands in for it.
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
_IN_BACKGROUND = '"$@" &'
_CODE = """
from actcache.learn.priority import leave
leave()
from actcache.learn.job import main
main({job!r})
"""
_FORKING = "import os\nif os.fork(): os._exit(0)\n"
#: Of what the environment tells Python, this says where it finds itself, and how names of files are written. The rest
#: (warnings that are errors, say) is for the program.
_KEPT = frozenset(
    f"PYTHON{name}"
    for name in "HOME PLATLIBDIR USERBASE NOUSERSITE PYCACHEPREFIX DONTWRITEBYTECODE UTF8 COERCECLOCALE".split()
)


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
    process = threads.posix_spawn(
        command[0],
        command,
        _environment(),
        file_actions=_files(),
        setsigmask=[],
        setsigdef=_signals(),
        setsid=True,  # it gets no signals of the program's terminal
    )
    with suppress(ChildProcessError):  # the program waits for any child, and was faster
        threads.waitpid(process, 0)


def _signals() -> set[int]:
    """Return the signals that a process may ignore: one that ignores SIGCHLD cannot tell how its own children end."""
    import _signal  # type: ignore[import-not-found]  # what ``signal`` wraps, and that loads more

    found: set[int] = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}
    return found


def _files() -> list[Any]:
    """Return what is done to the open files of the new process: it keeps none of the program's."""
    opened = [(os.POSIX_SPAWN_OPEN, file, os.devnull, os.O_RDWR, 0) for file in range(3)]
    return [*opened, *((os.POSIX_SPAWN_CLOSE, file) for file in _inherited())]


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
