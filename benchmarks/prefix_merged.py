"""Time of a merged decoder that keeps prefixes against the original: ``python -m benchmarks.prefix_merged [--small]``.

Both forms stand behind one If (:mod:`benchmarks.merged_decoders`). Two sessions take turns, on two threads each:

- first calls (``use_cache_branch`` is false): 448 of 512 tokens were seen before, with another end;
- later calls: one token behind a past of 512 positions. They pass by the cache.

Callers read the last position (``--reads logits:last``). Prints a line for each; the exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import actcache
from benchmarks.decoders import Decoder
from benchmarks.interleaved import interleaved
from benchmarks.merged_decoders import CONDITION, merged_decoder
from benchmarks.prefix import report
from benchmarks.prefix_pair import BUDGET, Bar, open_session, timed

Feed = dict[str, NDArray[Any]]
KNOWN, LENGTH = 448, 512
GPT2 = Decoder(layers=6, width=768, heads=12, vocabulary=50257, longest=1024, past=True)
SMALL = Decoder(layers=4, width=192, heads=6, vocabulary=5003, longest=1024, past=True)


def feed_of(sizes: Decoder, tokens: NDArray[Any], before: int, *, later: bool) -> Feed:
    """Return a call with a past of so many positions."""
    shape = (1, sizes.heads, before, sizes.width // sizes.heads)
    names = [f"past_key_values.{layer}.{part}" for layer in range(sizes.layers) for part in ("key", "value")]
    past = {name: np.random.default_rng(0).standard_normal(shape, np.float32) for name in names}
    return {"input_ids": tokens, CONDITION: np.array([later]), **past}


def measured(sizes: Decoder, folder: Path, pairs: int) -> Iterator[Bar]:
    """Measure and yield the lines, one by one."""
    random, source, target = np.random.default_rng(1), folder / "merged.onnx", folder / "compiled.onnx"
    onnx.save_model(merged_decoder(sizes), source)

    def drawn(length: int) -> NDArray[Any]:
        return random.integers(0, sizes.vocabulary, (1, length))

    sample = feed_of(sizes, drawn(192), 0, later=False)
    actcache.compile_model(source, target, samples=[sample], reads=["logits:last"], budget_bytes=BUDGET)
    original, compiled = _session(source), _session(target)

    beginning = drawn(KNOWN)
    first = [
        feed_of(sizes, np.concatenate([beginning, drawn(LENGTH - KNOWN)], 1), 0, later=False) for _ in range(pairs + 2)
    ]
    compiled(feed_of(sizes, np.concatenate([beginning, drawn(4)], 1), 0, later=False))
    ratio = interleaved(lambda i: lambda: compiled(first[i]), lambda i: lambda: original(first[i]), pairs)
    yield timed(f"first calls, {KNOWN} of {LENGTH} positions seen", ratio, 0.25)
    later = feed_of(sizes, drawn(1), LENGTH, later=True)
    ratio = interleaved(lambda _: lambda: compiled(later), lambda _: lambda: original(later), 4 * pairs)
    yield timed(f"later calls, one position behind {LENGTH}", ratio, 1.02)


def _session(path: Path) -> Callable[[Feed], object]:
    session = open_session(path)
    return lambda feed: session.run(None, feed)


def main() -> int:
    """Measure and print: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefix_merged", description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="interleaved pairs per measurement (default: 8)")
    parser.add_argument("--small", action="store_true", help="a model of 4 layers of 192, to see that all works")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(measured(SMALL if options.small else GPT2, Path(folder), options.pairs))


if __name__ == "__main__":
    sys.exit(main())
