"""Time of models compiled with ``--exact bits`` against the default: ``python -m benchmarks.exact_bits [MODEL ...]``.

Every model of floats in the catalogue is compiled both ways. Where both become the same graph, there is nothing to
time. Else calls of the two take turns, each in a namespace of its own: batches in which nothing repeats, 40 % of the
rows are known, or exactly one row is new. Prints a line as soon as a model is done; the exit code is 1 if a bar is
missed or nothing is cached.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

import actcache
from actcache.errors import NothingToCache
from benchmarks.interleaved import Ratio, interleaved
from benchmarks.sessions import THREADS, Workload, folder
from models import Feed
from models.fetch import fetch

#: Batches small enough for a run of some minutes.
WORKLOADS = (
    Workload("silero_vad", 10),
    Workload("magika_v3_3", 10),
    Workload("rapidocr_cls_v2", 10),
    Workload("minilm_l6_int8", 10, 32),
    Workload("paraphrase_minilm_l3", 10, 32),
    Workload("open_nsfw_resnet", 5),
    Workload("vit_s_focus", 5),
    Workload("rapidocr_rec_v6s", 5, 160),
    Workload("rapidocr_det_v6s", 5, 96),
)
#: Largest time against the default.
BAR = 1.03
SITUATIONS = ("nothing repeats", "40 % known", "one new row")
HEADER = ("model", "cached by", "compiled in", *SITUATIONS)

Axes = dict[str, int]
Run = Callable[[Feed], object]


@dataclass(frozen=True)
class Measured:
    """What was found of one model.

    Attributes:
        title: The model and its batch.
        cached_by: What its entries hold under ``--exact bits``.
        seconds: What compiling took, with ``--exact bits`` and without.
        ratios: Per situation the time against the default; none if it is the same graph, or nothing is cached.
        same: Whether it is the same graph.
    """

    title: str
    cached_by: str
    seconds: tuple[float, float]
    ratios: tuple[Ratio, ...] = ()
    same: bool = False

    @property
    def missed(self) -> bool:
        """Whether a bar is missed, or nothing is cached."""
        return not (self.ratios or self.same) or any(ratio.ratio > BAR for ratio in self.ratios)

    def row(self) -> str:
        """Return it as a row of a Markdown table."""
        times = f"{self.seconds[0]:.0f} s ({self.seconds[1]:.0f} s)"
        untimed = ["the same graph" if self.same else "–"] * len(SITUATIONS)
        found = [f"{r.ratio:.3f} ({r.low:.3f}–{r.high:.3f})" for r in self.ratios] or untimed
        return f"| {' | '.join((self.title, self.cached_by, times, *found))} |"


def measured(workload: Workload, pairs: int, clock: Callable[[], float]) -> Measured:
    """Compile a model both ways and time them."""
    started = time.perf_counter()
    try:
        bits = _compiled(workload, "bits")
    except NothingToCache as error:
        reasons = [f"{refusal.node}: {refusal.reason}" for refusal in error.refusals if refusal.rule == "exact-bits"]
        return Measured(workload.title, "; ".join(reasons[:2]) or "refused", (time.perf_counter() - started, 0.0))
    middle = time.perf_counter()
    default = _compiled(workload, None)
    seconds = (middle - started, time.perf_counter() - middle)
    if _graph(bits) == _graph(default):
        return Measured(workload.title, _cached_by(bits), seconds, same=True)
    axes: Axes = {}
    for region in (*default.regions, *bits.regions):
        axes |= region.candidate.row_axes
    exact, usual = _session(bits.output, "bits"), _session(default.output, "default")
    ratios = [
        _ratio(exact, usual, _Calls(workload, axes, known), pairs, clock)
        for known in (0, workload.rows * 2 // 5, workload.rows - 1)
    ]
    return Measured(workload.title, _cached_by(bits), seconds, tuple(ratios))


class _Calls:
    """Batches of which `known` rows are the same in each call, at other places, and all others are new."""

    def __init__(self, workload: Workload, axes: Axes, known: int) -> None:
        self._workload, self._axes = workload, axes
        self._new, self._seed = workload.rows - known, 1000 * (known + 1)
        self.known = workload.feed(known, seed=self._seed) if known else None
        self._order = np.random.default_rng(0)

    def next(self) -> Feed:
        """Return the next batch."""
        self._seed += 1
        new = self._workload.feed(self._new, seed=self._seed)
        if self.known is None:
            return new
        order = self._order.permutation(self._workload.rows)
        return {
            name: np.take(np.concatenate([self.known[name], array], axis), order, axis) if axis is not None else array
            for name, array, axis in ((name, array, self._axes.get(name)) for name, array in new.items())
        }


def _ratio(exact: Run, usual: Run, calls: _Calls, pairs: int, clock: Callable[[], float]) -> Ratio:
    actcache.invalidate()
    for run in (exact, usual):
        run(calls.known or calls.next())
    feeds = [calls.next() for _ in range(pairs + 2)]
    return interleaved(lambda i: lambda: exact(feeds[i]), lambda i: lambda: usual(feeds[i]), pairs, clock)


def _compiled(workload: Workload, exact: str | None) -> actcache.CompileResult:
    target = folder() / f"{workload.model}.{exact or 'default'}.onnx"
    sample = {name: np.asarray(array) for name, array in workload.feed(workload.rows, seed=0).items()}
    return actcache.compile_model(fetch(workload.model), target, samples=[sample], exact=exact)


def _graph(result: actcache.CompileResult) -> onnx.GraphProto:
    return onnx.load(result.output).graph


def _session(path: Path, namespace: str) -> Run:
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("actcache.namespace", namespace)
    options.register_custom_ops_library(actcache.library_path())
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)


def _cached_by(result: actcache.CompileResult) -> str:
    """Say what the entries of a model hold, and how single rows are told apart."""
    found = []
    for region in (r.candidate.region for r in result.regions):
        if region.granularity != "row":
            found.append("calls")
        elif region.cut.min_units == 1:
            found.append("rows")
        else:
            found.append(f"rows, {len(region.filled) or 'all'} nodes compute two of them")
    return "; ".join(found)


def main() -> int:
    """Measure the models and print them: 0, or 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exact_bits", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="names in the catalogue (default: all of floats)")
    parser.add_argument("--pairs", type=int, default=12, help="interleaved pairs per measurement (default: 12)")
    parser.add_argument("--cpu", action="store_true", help="measure processor time, where other work takes turns")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    os.environ["ACTCACHE_BYPASS"] = "off"  # what is measured is the cache, however little these calls repeat
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}", flush=True)
    missed = 0
    for workload in WORKLOADS:
        if not options.models or workload.model in options.models:
            found = measured(workload, options.pairs, clock)
            print(found.row(), flush=True)
            missed += found.missed
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
