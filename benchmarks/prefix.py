"""Time of a language model that keeps prefixes against the original: ``python -m benchmarks.prefix [--small]``.

``--steps 10000`` decodes so many tokens with both instead, on a model of 2 layers, behind many prompts that begin
alike, and counts those that differ.

The model is of GPT-2's kind, exported without a cache: 6 layers of 768, a vocabulary of 50,257 and random weights that
are made on the spot. Two sessions take turns, on two threads each:

- greedy decoding: 64 tokens are given, 128 are written, one call a token. The tokens have to be the same;
- a shared beginning: 960 of 1,024 positions were seen before, with another end;
- nothing shared: every call is new, with default settings and behind eight such calls. (Elsewhere regions are never
  bypassed: what is measured is the cache.)

Each is measured for a caller that reads all positions and for one that reads the last alone (``--reads logits:last``).
Prints a line for each; the exit code is 1 if a bar is missed or a token differs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx

import actcache
from benchmarks.decoders import Decoder
from benchmarks.prefix_pair import BUDGET, Bar, Pair, timed, token_ids

GPT2 = Decoder(layers=6, width=768, heads=12, vocabulary=50257, longest=1024)
TINY = Decoder(layers=2, width=64, heads=4, vocabulary=1009, longest=256)
SMALL = Decoder(layers=4, width=192, heads=6, vocabulary=5003, longest=1024)


def measured(sizes: Decoder, folder: Path, pairs: int) -> Iterator[Bar]:
    """Measure and yield the lines, one by one."""
    source = folder / "decoder.onnx"
    onnx.save_model(sizes.model(), source)
    for reads, bar in (((), 0.45), (("logits:last",), 0.25)):
        pair = Pair(source, folder / f"decoder.{len(reads)}.onnx", token_ids(sizes.vocabulary), reads)
        who = "last position read" if reads else "all positions read"
        yield pair.decode(64, 128, bar, who)
        if reads:
            yield timed(f"960 of 1,024 positions seen, {who}", pair.shared(960, 1024, pairs), 0.15)
        yield timed(f"nothing shared, 256 positions, {who}", pair.nothing_shared(256, pairs), 1.02)


def compared(steps: int, folder: Path) -> Iterator[Bar]:
    """Decode so many tokens, and yield a line for each kind of caller."""
    source = folder / "decoder.onnx"
    onnx.save_model(TINY.model(), source)
    for reads in ((), ("logits:last",)):
        pair = Pair(source, folder / f"decoder.{len(reads)}.onnx", token_ids(TINY.vocabulary), reads)
        yield pair.same_tokens(steps, "last position read" if reads else "all positions read")


def report(lines: Iterable[Bar]) -> int:
    """Print the lines as they come; return the exit code."""
    os.environ["ACTCACHE_BYPASS"] = "off"  # what is measured is the cache, however little these calls repeat
    actcache.configure(budget_bytes=BUDGET)
    print("| what | value | bar | |\n|---|---|---|---|", flush=True)
    missed = 0
    for found in lines:
        print(found.row(), flush=True)
        missed += found.missed
    return 1 if missed else 0


def main() -> int:
    """Measure and print: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefix", description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="interleaved pairs per measurement (default: 8)")
    parser.add_argument("--small", action="store_true", help="a model of 4 layers of 192, to see that all works")
    parser.add_argument("--steps", type=int, help="compare so many tokens instead, on a model of 2 layers of 64")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.steps is not None:
            return report(compared(options.steps, Path(folder)))
        return report(measured(SMALL if options.small else GPT2, Path(folder), options.pairs))


if __name__ == "__main__":
    sys.exit(main())
