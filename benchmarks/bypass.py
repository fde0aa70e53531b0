"""What a region costs that does not pay, and how soon it is back: ``python -m benchmarks.bypass [--pairs N]``.

While a region learns, the compiled model and the original take turns. What a bypassed one costs is a per cent or so,
and measured beside what the original differs from itself (benchmarks/against_itself.py).
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

import actcache
from benchmarks.against_itself import CLOCKS, AgainstItself, spread_text
from benchmarks.counts import begin_anew
from benchmarks.interleaved import Call, Ratio, interleaved
from benchmarks.sessions import IMAGES, TEXTS, Workload, compiled_path, session
from models import Feed
from models.fetch import fetch

WORKLOADS = (
    IMAGES,
    TEXTS,
    Workload("minilm_l6_int8", 8, 64),
    Workload("vit_s_focus", 2),
    Workload("rapidocr_rec_v6s", 4, 160),
    Workload("rapidocr_cls_v2", 8),
    Workload("magika_v3_3", 16),
    Workload("silero_vad", 16),
)

#: Pairs while the region still looks up: it is bypassed after 64 calls, two of which warm up.
LEARNING_PAIRS = 60

#: Of a bypassed region: sessions are loaded anew for each.
ROUNDS = 7

#: The stream that starts to repeat: a call is one of so many with this probability, for so many calls.
POOL, SHARE, LATE_CALLS = 8, 0.75, 150


class Bypass:
    """Both sessions of one workload, whose region starts anew."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.original = session(fetch(workload.model), compiled=False)
        self.compiled = session(compiled_path(workload), compiled=True)
        self._seeds = itertools.count(1_000_000)
        begin_anew(self.compiled, self._fresh())

    def nothing_repeats(self, pairs: int) -> Ratio:
        """Every batch is new to both."""
        feeds = [self._fresh() for _ in range(pairs + 2)]
        return interleaved(
            lambda i: self._call(self.compiled, feeds[i]), lambda i: self._call(self.original, feeds[i]), pairs
        )

    def while_bypassed(self, pairs: int) -> dict[str, dict[str, Any]]:
        """As :meth:`nothing_repeats`, with sessions that are loaded anew for each round, and the original again."""
        model = AgainstItself(fetch(self.workload.model), compiled_path(self.workload))
        for _ in range(ROUNDS):
            model.load(self._fresh())
            model.count(model.play([self._fresh() for _ in range(max(pairs // ROUNDS, 1))]))
        return model.found()

    def calls_until_bypassed(self, limit: int = 1000) -> int:
        """Play new batches until the region is bypassed; return how many calls it has had then."""
        for _ in range(limit):
            statistics = self.statistics()
            if statistics["state"] == "bypassed":
                break
            self.compiled.run(None, self._fresh())
        return int(statistics["calls"])

    def regained(self) -> float:
        """Reuse of a stream that starts to repeat now, as a share of what a cache that looked up from its start had."""
        before = self.statistics()["hits"]
        generator = np.random.default_rng(0)
        pool = [self._fresh() for _ in range(POOL)]
        seen: set[int] = set()
        possible = 0
        for _ in range(LATE_CALLS):
            number = int(generator.integers(POOL))
            if generator.random() >= SHARE:
                self.compiled.run(None, self._fresh())
                continue
            possible += self.workload.rows if number in seen else 0
            seen.add(number)
            self.compiled.run(None, pool[number])
        return float((self.statistics()["hits"] - before) / possible)

    def statistics(self) -> dict[str, Any]:
        """Counters of the region, which is the one that was seen last."""
        regions: dict[str, dict[str, Any]] = actcache.stats()["regions"]
        return list(regions.values())[-1]

    def _fresh(self) -> Feed:
        return self.workload.feed(self.workload.rows, next(self._seeds))

    @staticmethod
    def _call(runner: onnxruntime.InferenceSession, feed: Feed) -> Call:
        return lambda: runner.run(None, feed)


def _ratio(measured: Ratio) -> str:
    return f"{measured.ratio:.3f} ({measured.low:.3f}–{measured.high:.3f})"


def _rows(workloads: list[Workload], pairs: int, console: Console) -> Iterator[list[str]]:
    for workload in workloads:
        with console.status(workload.title):
            bypass = Bypass(workload)
            learning = bypass.nothing_repeats(min(pairs, LEARNING_PAIRS))
            calls = bypass.calls_until_bypassed()
            clocks = bypass.while_bypassed(pairs)
            yield [
                workload.title,
                f"{clocks['wall']['ms']:.2f} ms",
                _ratio(learning),
                str(calls),
                *(spread_text(clocks[name][who]) for name in CLOCKS for who in ("compiled", "itself")),
                f"{bypass.regained():.0%}",
            ]


def main() -> None:
    """Measure every workload, or those of the models named, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bypass", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=100, help="interleaved pairs per measurement (default: 100)")
    parser.add_argument("--model", action="append", help="only this model of the catalogue; may be repeated")
    options = parser.parse_args()
    chosen = [w for w in WORKLOADS if not options.model or w.model in options.model]
    console = Console(width=220)
    table = Table(title="Nothing repeats: compiled / original (learning: quartiles; bypassed: bootstrap over rounds)")
    for column in (
        "model",
        "original",
        "learning",
        "calls until bypassed",
        "bypassed, wall time",
        "original again",
        "bypassed, processor time",
        "original again",
        "reuse regained later",
    ):
        table.add_column(column)
    for row in _rows(chosen, options.pairs, Console(stderr=True)):
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
