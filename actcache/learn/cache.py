"""The cache folder: who may read it, how files get there, and where what lies.

::

    ~/.cache/actcache/        0700
      lock                    held by the one process that compiles
      places/<place>/         a model as programs name it, with the options of its session
        lock                  held by the process that looks at the place
        request.json          by the program: what to compile
        model.onnx            by the program: the model, if it was given as bytes
        answer.json           by the compiling process: which model that is, and what came of it
        job.log               by the compiling process: what it failed of
        calls/*.calls         by the program: recorded calls that are not taken over yet
      lengths/<bytes>         there is a place of a model that was given as so many bytes
      models/<key>/           a model by its content
        record.json           by the compiling process: what was found, compiled or refused, and why
        rejected.json         by programs: a compiled model that is not to be used, and why
        back.json             by programs: sessions went back to the original, and why
        saved.json            by programs: what it saved, over all of them; with saved.lock
        calls/*.npz           the sample that regions are chosen by
        compiled-<n>/         the compiled model

Files are written beside their place and renamed, so a reader finds all of a file or none. What belongs to another user,
or may be written by others, is refused.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from actcache.learn import settings

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

#: Programs have texts, the compiling process has paths: pathlib takes longer to load than all that learns.
AnyPath: TypeAlias = "str | Path"
P = TypeVar("P", bound=AnyPath)

#: More than any of our files needs.
_LARGEST_JSON = 16 << 20


class Untrusted(Exception):
    """A file or folder that another user may have written, or that is none."""


def open_cache(folder: P) -> P:
    """Return the cache folder, made if it does not exist.

    Raises:
        Untrusted: It is another user's, or root's in another user's home.
        OSError: It cannot be made, or it was to be in a home folder that this user does not have.
    """
    if not os.path.isabs(folder):
        raise OSError(errno.ENOENT, "this user has no home folder: name another in ACTCACHE_CACHE_DIR", str(folder))
    if os.geteuid() == 0 and not os.environ.get(settings.FOLDER):
        _check_home(str(folder))
    make_folder(folder)
    found = os.stat(folder)
    if found.st_uid != os.geteuid():
        raise Untrusted(f"{folder} belongs to another user")
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)
    return folder


def _check_home(folder: str) -> None:
    """Leave no folders of root's in another user's home: ``sudo`` may keep HOME.

    Raises:
        Untrusted: That is where it is.
    """
    while folder != "/":
        folder = os.path.dirname(folder)
        if os.path.isdir(folder) and os.stat(folder).st_uid != 0:
            raise Untrusted(f"{folder} belongs to another user: name a folder in ACTCACHE_CACHE_DIR")


def below(folder: P, *names: str) -> P:
    """Return what lies in a folder, of the kind that the folder is: a text or a path."""
    return type(folder)(os.path.join(folder, *names))


def make_folder(path: P) -> P:
    """Make a folder, and those that it lies in, so that nobody else can enter them."""
    _make(str(path))
    return path


def _make(folder: str) -> None:
    if not folder or os.path.isdir(folder):
        return
    _make(os.path.dirname(folder))
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:  # just made by another program
        if not os.path.isdir(folder):
            raise


def check_owner(path: AnyPath) -> os.stat_result:
    """Return what the system knows of a regular file that only this user can have written.

    Raises:
        Untrusted: It is another user's, or others may write it.
        OSError: There is none.
    """
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise Untrusted(f"{path} is no regular file")
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Untrusted(f"{path} may have been written by another user")
    return found


def read_json(path: AnyPath) -> dict[str, Any] | None:
    """Return the object in a file; None if there is none that can be trusted and read."""
    try:
        if check_owner(path).st_size > _LARGEST_JSON:
            return None
        with open(path, "rb") as file:
            content = json.loads(file.read())
    except (OSError, ValueError, Untrusted):
        return None
    return content if isinstance(content, dict) else None


@contextmanager
def replacing(path: AnyPath) -> Iterator[BinaryIO]:
    """Write a file, whole or not at all: what is written has another name until all of it is there.

    Raises:
        OSError: It cannot be written; nothing of it is left.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def write_json(path: AnyPath, content: dict[str, Any], *, lasting: bool = False) -> None:
    """Write an object, whole or not at all.

    Args:
        path: Where to.
        content: The object.
        lasting: Whether to wait until it would outlive a power cut. Programs do not wait for their disk.
    """
    with replacing(path) as file:
        file.write(json.dumps(content, indent=1).encode())
        file.flush()
        if lasting:
            os.fsync(file.fileno())


@contextmanager
def locked(path: AnyPath, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between processes; it is given back when a process ends, however it ends.

    Yields:
        Whether it is held; always, if `wait`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except BlockingIOError:
            held = False
        yield held
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open, too
        os.close(descriptor)


def place_folder(cache: P, place: str) -> P:
    """Return the folder of a model as a program names it."""
    return below(cache, "places", place)


def model_folder(cache: P, key: str) -> P:
    """Return the folder of a model by its content."""
    return below(cache, "models", key)


def folder_size(path: Path) -> int:
    """Return the bytes of all files in a folder."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total
