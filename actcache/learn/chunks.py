"""Chunks: files of recorded calls.

A chunk is a line of JSON, which tells the names, types and shapes of every call, and the bytes of the arrays. It costs
the program little; the compiling process makes samples of it (:func:`read_chunk`). Its name tells how many calls it
holds, and how long they took, so what programs did over all their starts is added up without opening a file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from actcache.learn import cache

if TYPE_CHECKING:  # some milliseconds, at the start of every program
    from typing import Any

    import numpy.typing as npt

    from actcache.learn.cache import AnyPath

Feed: TypeAlias = "dict[str, npt.NDArray[Any]]"

#: Kinds of arrays that are recorded, as numpy names them.
KINDS = frozenset("biufcU")
#: More chunks than that, or more bytes, do not wait to be looked at.
_MOST_CHUNKS, _MOST_BYTES = 256, 64 << 20
_SUFFIX = ".calls"


class Waiting(NamedTuple):
    """Chunks that nobody has looked at yet, of all programs: their number, their calls, and the seconds of these."""

    chunks: int = 0
    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether no more are to be written."""
        return self.chunks >= _MOST_CHUNKS or self.bytes >= _MOST_BYTES


def chunk_name(number: int, calls: int, seconds: float) -> str:
    """Return a name that sorts by time, for the chunk of a number of this process."""
    return f"{time.time_ns():020d}-{os.getpid()}-{number}-{calls}-{round(seconds * 1e6)}{_SUFFIX}"


def waiting(folder: AnyPath) -> Waiting:
    """Add up the chunks of a folder; what others take away meanwhile does not count."""
    found = Waiting()
    try:
        entries = os.scandir(folder)
    except OSError:
        return found
    with entries:
        for entry in entries:
            told = entry.name.removesuffix(_SUFFIX).split("-")
            if entry.name.endswith(_SUFFIX) and len(told) == 5 and all(part.isdecimal() for part in told):
                with suppress(OSError):
                    size = entry.stat(follow_symlinks=False).st_size
                    calls, seconds = int(told[3]), int(told[4]) / 1e6
                    found = Waiting(found.chunks + 1, found.calls + calls, found.seconds + seconds, found.bytes + size)
    return found


def write_chunk(path: AnyPath, calls: list[Feed]) -> None:
    """Write calls to a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    heads, bodies = [], []
    for call in calls:
        head = {}
        for name, array in call.items():
            stored = array.astype(np.str_) if array.dtype.kind == "O" else array
            head[name] = [stored.dtype.str, list(stored.shape)]
            bodies.append(stored.tobytes())
        heads.append(head)
    temporary = cache.beside(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(json.dumps(heads).encode() + b"\n")
            file.writelines(bodies)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def read_chunk(path: AnyPath) -> Iterator[Feed]:
    """Yield the calls of a chunk.

    Raises:
        ValueError: It is none.
        OSError, cache.Untrusted: It cannot be read, or may be another user's.
    """
    cache.check_owner(path)
    with open(path, "rb") as file:
        for head in json.loads(file.readline()):
            call: Feed = {}
            for name, (kind, shape) in head.items():
                dtype = np.dtype(kind)
                if dtype.kind not in KINDS:
                    raise ValueError(f"{path}: type {kind}")
                count = int(np.prod(shape, dtype=np.int64))
                data = file.read(count * dtype.itemsize)
                call[name] = np.frombuffer(data, dtype, count).reshape(shape)
            yield call
