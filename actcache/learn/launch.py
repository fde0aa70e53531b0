"""Starting the compiling process so that the program does not notice: no child of its own, no files, no output.

The first process that is started forks, and ends at once; the program waits for that one. So nobody is signalled when
the compilation ends, and nothing is left to be waited for.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from actcache.learn import settings

#: The program's packages come behind the standard library, so that nothing of theirs takes the place of a standard
#: module, and before those of this Python.
_CODE = """
import sys
sys.path.remove('')
behind = next((i for i, p in enumerate(sys.path) if p.endswith(('site-packages', 'dist-packages'))), len(sys.path))
sys.path[behind:behind] = {paths!r}
from actcache.learn.job import main
main({job!r})
"""


def start(root: Path, place: str) -> None:
    """Have a place looked at.

    Raises:
        OSError: No process can be started, or there is no Python to start.
    """
    code = _CODE.format(paths=_paths(), job=[str(root), place])
    process = os.posix_spawn(
        _python(),
        [_python(), "-c", code],
        _environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setsigmask=[],
    )
    with suppress(ChildProcessError):  # the program waits for any child, and was faster
        os.waitpid(process, 0)


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
    left = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSTARTUP")}
    return {**left, settings.SWITCH: "0"}
