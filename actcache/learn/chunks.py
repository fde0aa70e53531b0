"""Chunks: files of recorded calls.

A chunk is a line of JSON, which tells the names, types and shapes of every call, and the bytes of the arrays. It costs
the program little; the compiling process makes samples of it (:func:`read_chunk`). Its name tells how many calls it
stands for, and how long they took, so what programs did over all their starts is added up without opening a file. Of
calls that were kept by their keys (``calls_by_key.py``), it tells the least level, too.
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
    """Chunks that nobody has looked at yet, of all programs: their number, their calls, and the seconds of these.

    Bytes of calls that were kept by their keys count apart.
    """

    chunks: int = 0
    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0
    bytes_by_key: int = 0

    @property
    def full(self) -> bool:
        """Whether no more are to be written."""
        return self.chunks >= _MOST_CHUNKS or self.bytes >= _MOST_BYTES

    @property
    def full_by_key(self) -> bool:
        """Whether no more calls that were kept by their keys are to be written."""
        return self.chunks >= _MOST_CHUNKS or self.bytes_by_key >= _MOST_BYTES


class Told(NamedTuple):
    """What the name of a chunk tells: its process and number, calls, their seconds, and their least level."""

    origin: str
    calls: int
    seconds: float
    level: int | None


def chunk_name(number: int, calls: int, seconds: float, began: int | None = None, level: int | None = None) -> str:
    """Return a name that sorts by time, for the chunk of a number of this process.

    Args:
        number: The number.
        calls: The calls that it stands for.
        seconds: What they took.
        began: Nanoseconds of the clock; None: now.
        level: The least level of calls that are kept by their keys; None: they are neighbours.
    """
    when = time.time_ns() if began is None else began
    kept = "" if level is None else f"-{level}"
    return f"{when:020d}-{os.getpid()}-{number}-{calls}-{round(seconds * 1e6)}{kept}{_SUFFIX}"


def told(name: str) -> Told | None:
    """Return what the name of a chunk tells; None: it is none."""
    parts = name.removesuffix(_SUFFIX).split("-")
    if not name.endswith(_SUFFIX) or len(parts) not in (5, 6) or not all(part.isdecimal() for part in parts):
        return None
    level = int(parts[5]) if len(parts) == 6 else None
    return Told("-".join(parts[:3]), int(parts[3]), int(parts[4]) / 1e6, level)


def sample_name(chunk: str, number: int) -> str:
    """Return the name of the sample that is made of a call of a chunk."""
    return f"{chunk.removesuffix(_SUFFIX)}-{number:04d}.npz"


def level_in(sample: str) -> int | None:
    """Return the least level that was kept when a sample was; None: it was kept with its neighbours."""
    found = told(sample.rpartition("-")[0] + _SUFFIX)
    return found.level if found is not None else None


def waiting(folder: AnyPath) -> Waiting:
    """Add up the chunks of a folder; what others take away meanwhile does not count."""
    found = Waiting()
    try:
        entries = os.scandir(folder)
    except OSError:
        return found
    with entries:
        for entry in entries:
            name = told(entry.name)
            if name is not None:
                with suppress(OSError):
                    size = entry.stat(follow_symlinks=False).st_size
                    found = Waiting(
                        found.chunks + 1,
                        found.calls + name.calls,
                        found.seconds + name.seconds,
                        found.bytes + (size if name.level is None else 0),
                        found.bytes_by_key + (size if name.level is not None else 0),
                    )
    return found


def bytes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the bytes of an array in their order; they are copied only if they lie elsewhere."""
    content: npt.NDArray[np.uint8] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return content


def write_chunk(path: AnyPath, calls: list[Feed]) -> None:
    """Write calls to a file, whole or not at all; one that is the same object as an earlier one takes no room.

    Raises:
        OSError: It cannot be written.
    """
    heads: list[Any] = []
    bodies: list[memoryview] = []
    first: dict[int, int] = {}
    for number, call in enumerate(calls):
        if first.setdefault(id(call), number) != number:
            heads.append(first[id(call)])
            continue
        head = {}
        for name, array in call.items():
            stored = array.astype(np.str_) if array.dtype.kind == "O" else array
            head[name] = [stored.dtype.str, list(stored.shape)]
            bodies.append(bytes_of(stored).data)
        heads.append(head)
    with cache.replacing(path) as file:
        file.write(json.dumps(heads).encode() + b"\n")
        file.writelines(bodies)


def read_chunk(path: AnyPath) -> Iterator[Feed]:
    """Yield the calls of a chunk; one that took no room is the same object as the earlier one.

    Raises:
        ValueError: It is none.
        OSError, cache.Untrusted: It cannot be read, or may be another user's.
    """
    cache.check_owner(path)
    calls: list[Feed] = []
    with open(path, "rb") as file:
        for head in json.loads(file.readline()):
            if isinstance(head, int):
                if not 0 <= head < len(calls):
                    raise ValueError(f"{path}: call {head}")
                calls.append(calls[head])
                yield calls[head]
                continue
            call: Feed = {}
            for name, (kind, shape) in head.items():
                dtype = np.dtype(kind)
                if dtype.kind not in KINDS:
                    raise ValueError(f"{path}: type {kind}")
                count = int(np.prod(shape, dtype=np.int64))
                data = file.read(count * dtype.itemsize)
                call[name] = np.frombuffer(data, dtype, count).reshape(shape)
            calls.append(call)
            yield call
