"""Time of the compiled model against the original when nothing, everything, or 40 % of the rows repeats."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import actcache
from benchmarks.interleaved import Call, Ratio, interleaved
from benchmarks.sessions import Workload, compiled_path, session
from models import Feed
from models.fetch import fetch


class Reuse:
    """Both sessions of one workload, and the three measurements."""

    def __init__(self, workload: Workload, pairs: int) -> None:
        self.workload, self.pairs = workload, pairs
        self.original = session(fetch(workload.model), compiled=False)
        self.compiled = session(compiled_path(workload), compiled=True)
        self._seed = 1000

    def nothing_repeats(self) -> Ratio:
        """Every batch is new to both."""
        feeds = [self._fresh(self.workload.rows) for _ in range(self.pairs + 2)]
        actcache.invalidate()
        return interleaved(lambda i: _run(self.compiled, feeds[i]), lambda i: _run(self.original, feeds[i]), self.pairs)

    def everything_repeats(self) -> Ratio:
        """One batch again and again."""
        feed = self._fresh(self.workload.rows)
        self.compiled.run(None, feed)
        return interleaved(lambda _: _run(self.compiled, feed), lambda _: _run(self.original, feed), self.pairs)

    def forty_percent_seen(self) -> Ratio:
        """40 % of the rows have been seen; the original gets only the other 60 %."""
        rows = max(self.workload.rows // 5, 1) * 5
        seen = self._fresh(rows * 2 // 5)
        self.compiled.run(None, seen)
        order = np.random.default_rng(0).permutation(rows)
        fresh = [self._fresh(rows - rows * 2 // 5) for _ in range(self.pairs + 2)]
        mixed = [_joined(seen, new, order) for new in fresh]
        return interleaved(lambda i: _run(self.compiled, mixed[i]), lambda i: _run(self.original, fresh[i]), self.pairs)

    def _fresh(self, rows: int) -> Feed:
        self._seed += 1
        return self.workload.feed(rows, self._seed)


def _joined(seen: Feed, new: Feed, order: NDArray[np.int64]) -> Feed:
    """Both batches as one, in another order. The models measured here have their rows on axis 0."""
    return {name: np.concatenate([array, new[name]])[order] for name, array in seen.items()}


def _run(session: ort.InferenceSession, feed: Feed) -> Call:
    return lambda: session.run(None, feed)
