"""Chunks: files of recorded calls.

A chunk is a line of JSON, which tells the names, types and shapes of every call, and the bytes of the arrays. It costs
the program little; the compiling process makes samples of it (:func:`read_chunk`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.learn import cache

Feed = dict[str, npt.NDArray[Any]]

#: Kinds of arrays that are recorded, as numpy names them.
KINDS = frozenset("biufcU")


def write_chunk(path: Path, calls: list[Feed]) -> None:
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
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(json.dumps(heads).encode() + b"\n")
            file.writelines(bodies)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_chunk(path: Path) -> Iterator[Feed]:
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
