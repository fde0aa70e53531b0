"""What a workload is: a stream of real inputs for one model, in the order in which they occur."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, NDArray[Any]]  # one row of every input, without the batch axis
Batch = dict[str, NDArray[Any]]  # as InferenceSession.run takes it, rows on axis 0


@dataclass(frozen=True)
class Workload:
    """A named stream. It has no seed: the order is that of the data, and so are the repeats."""

    name: str
    model: str  # a name in models.MODELS
    description: str
    repeats: str  # where equal rows come from, and what they do not show
    data: tuple[str, ...]  # names in models.DATA; fetched on first use
    stream: Callable[[], Iterator[Row]]

    def batches(self, count: int, rows: int) -> Iterator[Batch]:
        """The first `count` batches of `rows` rows each, the same on every call.

        Raises ValueError, at the batch concerned, where the stream holds fewer rows: it never
        starts again from the beginning, which would pass off our repeats as natural ones.
        """
        if count < 0 or rows < 1:
            raise ValueError(f"count must be 0 or more and rows 1 or more, not {count} and {rows}")
        source = self.stream()
        for index in range(count):
            chunk = list(islice(source, rows))
            if len(chunk) < rows:
                whole = index * rows + len(chunk)
                raise ValueError(f"{self.name} has {whole} rows; {count} x {rows} were asked for")
            yield {name: np.stack([row[name] for row in chunk]) for name in chunk[0]}


def natural_reuse(batches: Iterable[Batch]) -> float:
    """The share of rows whose inputs, all of them, are equal byte for byte to those of an earlier
    row: the reuse that a cache of unlimited size reaches, counted here without one.
    """
    seen: set[bytes] = set()
    total = 0
    for batch in batches:
        tensors = list(batch.values())
        for row in range(len(tensors[0])):
            digest = hashlib.blake2b(digest_size=16)
            for tensor in tensors:  # shapes are equal within a stream, so bytes suffice
                digest.update(tensor[row].tobytes())
            seen.add(digest.digest())
            total += 1
    return 1 - len(seen) / total if total else 0.0
