"""Tells a loss of one per cent from noise: a compiled model against its original, and the original against itself.

Two sessions of one file differ by up to two per cent for as long as they live, as their weights came to lie in other
places. A call is faster where the call before it was of the same session, as it has left the weights in the
processor's cache. And a machine that others use has slow seconds. So:

- the original is loaded twice, and the second is compared with the first in the same way as the compiled model is. What
  they differ by is what this measurement does not see;
- all three are loaded anew for each round, in an order of chance;
- calls take turns in an order of chance in which none follows one of its own session;
- of each call, its median over the rounds counts. What belongs to a place in the stream stays: the first calls, storing
  what is new. What hit one round does not;
- wall time and processor time are measured, the latter for machines that have other work.

The spread holds nine tenths of what comes out if rounds are drawn again, with replacement (the bootstrap).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.contenders import largest_difference
from benchmarks.interleaved import Spread
from benchmarks.sessions import session
from models import Feed

#: The clocks, by the name that results have.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

_ORIGINAL, _AGAIN, _COMPILED = range(3)
_DRAWS = 400

Seconds = NDArray[np.float64]


@dataclass
class AgainstItself:
    """A model that is measured in rounds.

    Attributes:
        original: The file.
        compiled: The compiled model.
        difference: The largest one of an output so far.
    """

    original: Path
    compiled: Path
    difference: float = 0.0
    _rounds: list[Seconds] = field(default_factory=list)
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    _sessions: list[ort.InferenceSession] = field(default_factory=list)

    def load(self, warm: Feed) -> ort.InferenceSession:
        """Load all three anew, run each once (onnxruntime allocates in the first run), and return the compiled one."""
        self._sessions = []  # the old ones go first
        loaded: dict[int, ort.InferenceSession] = {}
        for place in self._random.permutation(3):
            is_compiled = place == _COMPILED
            loaded[place] = session(self.compiled if is_compiled else self.original, compiled=is_compiled)
            loaded[place].run(None, warm)
        self._sessions = [loaded[place] for place in range(3)]
        return loaded[_COMPILED]

    def play(self, calls: Sequence[Feed]) -> Seconds:
        """Make each call with each session; return seconds [calls, sessions, clocks].

        Raises:
            WrongOutputError: An output is not the original's.
        """
        took = np.zeros((len(calls), len(self._sessions), len(CLOCKS)))
        orders = orders_of_chance(len(self._sessions), self._random)
        for number, (feed, order) in enumerate(zip(calls, orders, strict=False)):
            results = {}
            for place in order:
                start = [clock() for clock in CLOCKS.values()]
                results[place] = self._sessions[place].run(None, feed)
                took[number, place] = [clock() - before for clock, before in zip(CLOCKS.values(), start, strict=True)]
            found = largest_difference("actcache", [results[_COMPILED]], [results[_ORIGINAL]])
            self.difference = max(self.difference, found)
        return took

    def count(self, took: Seconds) -> None:
        """Let what :meth:`play` returned be a round. All rounds have the same number of calls."""
        self._rounds.append(took)

    @property
    def rounds(self) -> int:
        """How many rounds count so far."""
        return len(self._rounds)

    def found(self) -> dict[str, dict[str, Any]]:
        """Return, by clock, what a call of the original takes, the compiled model's ratio, and the original's own.

        The compiled model's ratio is there for the last quarter of the calls, too: when it has learnt what pays.

        REQUIRES: two rounds.
        """
        all_rounds = np.stack(self._rounds)
        late = all_rounds[:, 3 * all_rounds.shape[1] // 4 :]
        return {
            name: {**_told(all_rounds[..., clock]), "last_quarter": _told(late[..., clock])["compiled"]}
            for clock, name in enumerate(CLOCKS)
        }


def orders_of_chance(count: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Yield orders of `count` > 1 things without end; none begins with what the one before it ended with."""
    last = -1
    while True:
        order = random.permutation(count).tolist()
        if order[0] != last:
            yield order
            last = order[-1]


def ratios(seconds: Seconds) -> tuple[float, float]:
    """Return the compiled model's and the original's own ratio of seconds [rounds, calls, sessions]."""
    typical = np.median(seconds, 0).sum(0)
    originals = np.median(np.concatenate([seconds[:, :, _ORIGINAL], seconds[:, :, _AGAIN]]), 0).sum()
    return typical[_COMPILED] / originals, typical[_AGAIN] / typical[_ORIGINAL]


def spread_text(spread: dict[str, float]) -> str:
    """Return a spread of :meth:`AgainstItself.found` for tables."""
    return f"{spread['median']:.3f} ({spread['low']:.3f}–{spread['high']:.3f})"


def _told(seconds: Seconds) -> dict[str, Any]:
    random = np.random.default_rng(0)
    count = len(seconds)
    draws = np.array([ratios(seconds[random.integers(count, size=count)]) for _ in range(_DRAWS)])
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    spreads = [Spread(*map(float, each)) for each in zip(ratios(seconds), low, high, strict=True)]
    compiled, itself = ({name: round(value, 4) for name, value in asdict(spread).items()} for spread in spreads)
    originals = np.median(seconds[:, :, (_ORIGINAL, _AGAIN)], 0)
    return {"ms": round(1e3 * float(originals.mean()), 4), "compiled": compiled, "itself": itself}
