"""How many recorded rows came before as a whole, told by chunks as they lie there.

The compiling process asks this while it waits, so neither numpy nor a model is loaded: a row is the bytes that all
inputs have for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from actcache.learn import cache

#: More rows are not looked at.
_MOST_ROWS = 1 << 16


class WholeRows:
    """The rows of a folder of chunks, which may get more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at: set[str] = set()
        self._rows: dict[str, list[bytes]] = {}  # of each chunk; calls kept by their keys are written again and again
        self._share = 0.0

    def share(self) -> float:
        """Return how many of the newer half of the rows came before, of 1: that is what the next ones will do."""
        new = [chunk for chunk in sorted(self._folder.glob("*.calls")) if chunk.name not in self._looked_at]
        for chunk in new:
            self._looked_at.add(chunk.name)
            origin = "-".join(chunk.name.split("-")[:3])  # time, process and number: ``chunks.py`` would load numpy
            rows = self._rows[origin] = []
            with suppress(OSError, LookupError, TypeError, ValueError, cache.Untrusted):  # cut off, or not ours
                rows.extend(islice(_rows(chunk), _MOST_ROWS))
        if new:
            self._share = self._counted()
        return self._share

    def _counted(self) -> float:
        rows = chain.from_iterable(rows for _, rows in sorted(self._rows.items()))
        return share_that_came_before(list(islice(rows, _MOST_ROWS)))


def share_that_came_before(digests: Sequence[bytes]) -> float:
    """Return how many of the newer half came before, of 1."""
    half = len(digests) // 2
    seen = set(digests[:half])
    repeats = 0
    for digest in digests[half:]:
        repeats += digest in seen
        seen.add(digest)
    return repeats / max(1, len(digests) - half)


def _rows(chunk: Path) -> Iterator[bytes]:
    """Yield the digests of a chunk's rows."""
    cache.check_owner(chunk)
    calls: list[list[bytes]] = []
    with open(chunk, "rb") as file:
        for head in json.loads(file.readline()):
            if isinstance(head, int):  # the same as an earlier call
                calls.append(calls[head])
            else:
                calls.append(list(_rows_of(head, file)))
            yield from calls[-1]


def _rows_of(head: dict[str, Any], file: BinaryIO) -> Iterator[bytes]:
    """Yield the digests of a call's rows; a call whose inputs have no common number of rows is one row."""
    inputs = [(name, kind, shape, file.read(_size(kind, shape))) for name, (kind, shape) in head.items()]
    counts = {shape[0] for _, _, shape, _ in inputs if shape}
    count = counts.pop() if len(counts) == 1 else 1
    for number in range(count):
        digest = blake2b(digest_size=16)
        for name, kind, shape, content in inputs:
            width = len(content) // count
            divided = bool(shape) and shape[0] == count
            digest.update(json.dumps([name, kind, shape[1:] if divided else shape]).encode())
            digest.update(content[number * width : (number + 1) * width] if divided else content)
        yield digest.digest()


def _size(kind: str, shape: list[int]) -> int:
    """Return the bytes of an array, by what numpy calls its type: ``<f4``, ``|b1``, ``<U7`` (of four bytes each)."""
    return int(kind[2:]) * (4 if kind[1] == "U" else 1) * math.prod(shape)
