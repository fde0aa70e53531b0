"""Time of a language model that keeps prefixes against the original: ``python -m benchmarks.prefix [--small]``.

The model is of GPT-2's kind, exported without a cache: 6 layers of 768, a vocabulary of 50,257 and random weights that
are made on the spot. Two sessions take turns, on two threads each:

- greedy decoding: 64 tokens are given, 128 are written, one call a token. The tokens have to be the same;
- a shared beginning: 960 of 1,024 positions were seen before, with another end;
- nothing shared: every call is new.

Each is measured for a caller that reads all positions and for one that reads the last alone (``--reads logits:last``).
Prints a line for each; the exit code is 1 if a bar is missed or a token differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

import actcache
from benchmarks.decoders import Decoder
from benchmarks.interleaved import Ratio, interleaved
from benchmarks.sessions import THREADS

Ids = NDArray[np.int64]
Run = Callable[[Ids], NDArray[np.float32]]

GPT2 = Decoder(layers=6, width=768, heads=12, vocabulary=50257, longest=1024)
SMALL = Decoder(layers=4, width=192, heads=6, vocabulary=5003, longest=1024)
#: Enough for what is played: two sequences of 1,024 positions with all their logits.
BUDGET = 1 << 30


@dataclass(frozen=True)
class Bar:
    """One line of the result."""

    what: str
    value: float
    bar: float
    detail: str

    @property
    def missed(self) -> bool:
        """Whether it is."""
        return self.value > self.bar

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        return f"| {self.what} | {self.value:.3f} | {self.bar:.2f} | {self.detail}{' **missed**' * self.missed} |"


class Pair:
    """The original and a compiled model, each in a session.

    Args:
        sizes: Of the model.
        folder: Where to write both.
        reads: As for :func:`actcache.compile_model`.
    """

    def __init__(self, sizes: Decoder, folder: Path, reads: tuple[str, ...]) -> None:
        self.sizes = sizes
        self._random = np.random.default_rng(1)
        source = folder / "decoder.onnx"
        if not source.exists():
            onnx.save_model(sizes.model(), source)
        target = folder / f"decoder.{'last' if reads else 'all'}.onnx"
        sample = {"input_ids": self.new(192)}
        actcache.compile_model(source, target, samples=[sample], granularity="prefix", reads=reads, budget_bytes=BUDGET)
        self.original, self.compiled = _session(source), _session(target)

    def new(self, length: int) -> Ids:
        """Return a sequence that nobody has seen."""
        return self._random.integers(0, self.sizes.vocabulary, (1, length))

    def decode(self, given: int, written: int) -> Bar:
        """Decode greedily with both, in turn."""
        actcache.invalidate()
        ids = [self.new(given)] * 2
        seconds = [0.0, 0.0]
        for step in range(written):
            for which in (0, 1) if step % 2 else (1, 0):
                start = time.perf_counter()
                logits = (self.original, self.compiled)[which](ids[which])
                seconds[which] += time.perf_counter() - start
                token = np.argmax(logits[:, -1:], -1)
                ids[which] = np.concatenate([ids[which], token], 1)
        same = int((ids[0] == ids[1]).sum()) - given
        value = seconds[1] / seconds[0] if same == written else float("inf")
        detail = f"{seconds[1]:.2f} s against {seconds[0]:.2f} s; {same} of {written} tokens equal"
        return Bar(f"greedy decoding, {written} tokens after {given}", value, 0.0, detail)

    def shared(self, known: int, length: int, pairs: int) -> Ratio:
        """Run sequences that begin as one that was seen."""
        beginning = self.new(known)
        actcache.invalidate()
        self.compiled(np.concatenate([beginning, self.new(length - known)], 1))
        feeds = [np.concatenate([beginning, self.new(length - known)], 1) for _ in range(pairs + 2)]
        return self._ratio(feeds, pairs)

    def nothing_shared(self, length: int, pairs: int) -> Ratio:
        """Run sequences that nobody has seen."""
        actcache.invalidate()
        return self._ratio([self.new(length) for _ in range(pairs + 2)], pairs)

    def _ratio(self, feeds: list[Ids], pairs: int) -> Ratio:
        return interleaved(lambda i: lambda: self.compiled(feeds[i]), lambda i: lambda: self.original(feeds[i]), pairs)


def _session(path: Path) -> Run:
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.register_custom_ops_library(actcache.library_path())
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(ids: Ids) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run(None, {"input_ids": ids})[0]
        return logits

    return run


def _timed(what: str, ratio: Ratio, bar: float) -> Bar:
    times = f"{ratio.first * 1e3:.1f} ms against {ratio.second * 1e3:.1f} ms"
    return Bar(what, ratio.ratio, bar, f"{times}, quartiles {ratio.low:.3f}–{ratio.high:.3f}, {ratio.pairs} pairs")


def measured(sizes: Decoder, folder: Path, pairs: int) -> Iterator[Bar]:
    """Measure and yield the lines, one by one."""
    for reads, bar in (((), 0.45), (("logits:last",), 0.25)):
        pair = Pair(sizes, folder, reads)
        who = "last position read" if reads else "all positions read"
        found = pair.decode(64, 128)
        yield Bar(f"{found.what}, {who}", found.value, bar, found.detail)
        if reads:
            yield _timed(f"960 of 1,024 positions seen, {who}", pair.shared(960, 1024, pairs), 0.15)
        yield _timed(f"nothing shared, 256 positions, {who}", pair.nothing_shared(256, pairs), 1.02)


def main() -> int:
    """Measure and print: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefix", description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="interleaved pairs per measurement (default: 8)")
    parser.add_argument("--small", action="store_true", help="a model of 4 layers of 192, to see that all works")
    options = parser.parse_args()
    os.environ["ACTCACHE_BYPASS"] = "off"  # what is measured is the cache, however little these calls repeat
    actcache.configure(budget_bytes=BUDGET)
    print("| what | value | bar | |\n|---|---|---|---|", flush=True)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for found in measured(SMALL if options.small else GPT2, Path(folder), options.pairs):
            print(found.row(), flush=True)
            missed += found.missed
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
