"""Time of the compiled model against the original when nothing, everything, or 40 % of the rows repeats."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

import actcache
from benchmarks.interleaved import Call, Ratio, interleaved
from benchmarks.rows import NewRows, mixed
from benchmarks.sessions import Workload, compiled_path, session
from models import Feed
from models.fetch import fetch


class Reuse:
    """Both sessions of one workload, and the three measurements."""

    def __init__(self, workload: Workload, pairs: int) -> None:
        self.workload, self.pairs = workload, pairs
        self.original = session(fetch(workload.model), compiled=False)
        self.compiled = session(compiled_path(workload), compiled=True)
        self._new = NewRows(workload)

    def nothing_repeats(self) -> Ratio:
        """Every batch is new to both."""
        feeds = [self._new.take(self.workload.rows) for _ in range(self.pairs + 2)]
        actcache.invalidate()
        return interleaved(lambda i: _run(self.compiled, feeds[i]), lambda i: _run(self.original, feeds[i]), self.pairs)

    def everything_repeats(self) -> Ratio:
        """One batch again and again."""
        feed = self._new.take(self.workload.rows)
        self.compiled.run(None, feed)
        return interleaved(lambda _: _run(self.compiled, feed), lambda _: _run(self.original, feed), self.pairs)

    def forty_percent_seen(self) -> Ratio:
        """40 % of the rows have been seen; the original gets only the other 60 %."""
        rows = max(self.workload.rows // 5, 1) * 5
        seen = self._new.take(rows)
        self.compiled.run(None, seen)
        random = np.random.default_rng(0)
        calls = [mixed([seen], rows * 2 // 5, self._new, random) for _ in range(self.pairs + 2)]
        whole, new = [call.calls[0] for call in calls], [call.new_alone()[0] for call in calls]
        return interleaved(lambda i: _run(self.compiled, whole[i]), lambda i: _run(self.original, new[i]), self.pairs)


def _run(session: ort.InferenceSession, feed: Feed) -> Call:
    return lambda: session.run(None, feed)
