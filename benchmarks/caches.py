"""What people write around ``session.run`` instead of compiling the model: the peers of benchmarks.reuse_curve.

Both are called like ``InferenceSession.run`` and hold a budget in bytes. The LRU is for models whose rows do not depend
on each other, with rows on axis 0: it cannot know.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from cachetools import LRUCache
from numpy.typing import NDArray

from models import Feed

Array = NDArray[Any]


class RowLru:
    """An LRU of rows: the bytes of a row are its key, and the session gets the rows that are not there."""

    def __init__(self, session: ort.InferenceSession, budget_bytes: int) -> None:
        self._session = session
        self._inputs = [each.name for each in session.get_inputs()]
        self._kept: OrderedDict[Hashable, list[Array]] = OrderedDict()
        self._left = budget_bytes

    def run(self, _: None, feed: Feed) -> list[Array]:
        """Return all outputs."""
        columns = [np.ascontiguousarray(feed[name]) for name in self._inputs]
        kind = tuple((column.dtype.str, column.shape[1:]) for column in columns)
        keys: list[Hashable] = [
            (kind, b"".join([column[row].tobytes() for column in columns])) for row in range(len(columns[0]))
        ]
        values: dict[Hashable, list[Array]] = {}
        missing: dict[Hashable, int] = {}
        for row, key in enumerate(keys):
            if key in self._kept:
                self._kept.move_to_end(key)
                values[key] = self._kept[key]
            else:
                missing.setdefault(key, row)
        if missing:
            outputs = self._computed(columns, list(missing.values()))
            for place, key in enumerate(missing):
                # Copies: a view would keep the results of the whole batch.
                values[key] = [output[place].copy() for output in outputs]
                self._keep(key, values[key])
            if len(missing) == len(keys):
                return outputs
        return [np.stack(rows) for rows in zip(*(values[key] for key in keys), strict=True)]

    def _computed(self, columns: Sequence[Array], rows: list[int]) -> list[Array]:
        everything = len(rows) == len(columns[0])
        chosen = columns if everything else [column[rows] for column in columns]
        outputs: list[Array] = self._session.run(None, dict(zip(self._inputs, chosen, strict=True)))
        return outputs

    def _keep(self, key: Hashable, value: list[Array]) -> None:
        self._kept[key] = value
        self._left -= _size(value)
        while self._left < 0:
            _, oldest = self._kept.popitem(last=False)
            self._left += _size(oldest)


class RequestCache:
    """A cache of whole requests in cachetools' LRUCache: the bytes of all inputs are the key."""

    def __init__(self, session: ort.InferenceSession, budget_bytes: int) -> None:
        self._session = session
        self._kept: LRUCache[Hashable, list[Array]] = LRUCache(budget_bytes, getsizeof=_size)

    def run(self, _: None, feed: Feed) -> list[Array]:
        """Return all outputs; those of a request that was seen are the same arrays again, not copies."""
        key = tuple((name, array.dtype.str, array.shape, array.tobytes()) for name, array in sorted(feed.items()))
        found = self._kept.get(key)
        if found is not None:
            return found
        outputs: list[Array] = self._session.run(None, feed)
        if _size(outputs) <= self._kept.maxsize:
            self._kept[key] = outputs
        return outputs


def _size(arrays: Sequence[Array]) -> int:
    return sum(array.nbytes for array in arrays)
