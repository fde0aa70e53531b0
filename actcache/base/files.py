"""Files that the operating system refuses: no room, no permission, a folder that is gone.

An ``OSError`` becomes one of our errors, which names the file and the way out. What is written is there whole or not at
all.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path

from actcache.errors import OutputError

#: What a file that is written by libraries of others can be tried with.
_PROBE = bytes(1 << 16)
_NO_ROOM = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "the disk quota is used up: free some space there",
    errno.EFBIG: "a limit on the size of files is in force (ulimit -f): raise it",
}
_WAYS_OUT = {
    errno.EROFS: "this file system is read-only",
    errno.EACCES: "ask for the permission",
    errno.EPERM: "ask for the permission",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check that its folder is still there",
    errno.EIO: "the disk or the network drive fails: check it",
    errno.EMFILE: "this process has too many files open (ulimit -n)",
    errno.ENOMEM: "free some memory",
    errno.EAGAIN: "too many processes run (ulimit -u)",
}
#: No word of the system's (a library means something else by it), or one about memory and processes.
_NOT_FILES = (None, errno.ENOMEM, errno.EAGAIN)
OTHER_OUTPUT = "choose another place with -o"
OTHER_SCRATCH = "name another folder in TMPDIR"


def file_error(error: OSError, file: str | PathLike[str] | None = None, other_place: str | None = None) -> OutputError:
    """Return what the system said about a file as our error.

    Args:
        error: What the system said.
        file: The file that is meant, if `error` names none or one that the user has never heard of.
        other_place: How the user names another place, as the end of a sentence.
    """
    number = error.errno or 0
    named = error.filename if isinstance(error.filename, (str, PathLike)) else None
    ways = [_NO_ROOM.get(number) or _WAYS_OUT.get(number), other_place]
    writing = number in _NO_ROOM or number == errno.EROFS or other_place is not None
    about = file if file is not None else named
    problem = "cannot be written" if writing else "cannot be used" if about is not None else "the system refuses"
    return OutputError(
        f"{problem} ({error.strerror or error})",
        file=about,
        hint=", or ".join(way for way in ways if way) or None,
    )


@contextmanager
def writing(file: str | PathLike[str], other_place: str | None = None) -> Iterator[None]:
    """What the system refuses in the block is an error about `file`.

    Raises:
        OutputError: Instead of an ``OSError`` of the block.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in _NOT_FILES:
            raise
        raise file_error(error, file, other_place) from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder, gone afterwards.

    Raises:
        OutputError: There can be none, or it is full.
    """
    name: str | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="actcache-", ignore_cleanup_errors=True) as name:
            yield Path(name)
    except OSError as error:
        if error.errno in _NOT_FILES or _is_elsewhere(error, name):
            raise
        place = tempfile.tempdir or os.environ.get("TMPDIR") or "the temporary folder"
        raise file_error(error, place, OTHER_SCRATCH) from error


def _is_elsewhere(error: OSError, folder: str | None) -> bool:
    """Whether the error is about a file that does not lie in `folder`."""
    named = error.filename
    return folder is not None and isinstance(named, str) and not named.startswith(folder)


def write_whole(path: str | PathLike[str], text: str) -> None:
    """Write a text file. If that fails, an earlier file of that name is as it was, and no part of a new one remains.

    Raises:
        OutputError: It cannot be written.
    """
    with writing(path, OTHER_OUTPUT):
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")  # a device or a pipe, which nothing can take the place of
            return
        temporary = target.with_name(f".actcache-{os.getpid()}.tmp")
        try:
            temporary.write_text(text, encoding="utf-8")
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def check_room(folder: str | PathLike[str]) -> None:
    """Find out whether a library failed because the disk is full, which few of them say.

    Raises:
        OSError: Nothing more can be written to `folder`.
    """
    probe = Path(fspath(folder), f".actcache-{os.getpid()}.probe")
    try:
        probe.write_bytes(_PROBE)
    finally:
        probe.unlink(missing_ok=True)
