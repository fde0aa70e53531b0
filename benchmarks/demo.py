"""A real model in, a cached model out: `python -m benchmarks.demo` (what `make demo` runs).

Fetches an image model and a text encoder, compiles them, and answers a stream of real inputs with
the original and with the compiled model, both in plain onnxruntime, batch by batch in turns. Then
it plays the same stream again, as when a page or a report is submitted once more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

import actcache
from models.fetch import FetchError, cache_folder, fetch_all
from models.workloads import WORKLOADS, Batch, Workload

_DEFAULT = ("table-cells", "strike-remarks", "artwork-media")
_THREADS = 2


@dataclass
class Measurement:
    """What playing a stream once gave. Times in seconds, of `InferenceSession.run` alone."""

    rows: int
    original: float
    compiled: float
    reuse: float  # hits / lookups, as the cache counts them
    difference: float  # the largest, over all elements of all outputs
    computing: float  # of the compiled model's time: in regions, on what was missing
    overhead: float  # of the same: keys, lookups, copies


@dataclass
class Pair:
    """The two sessions of one model."""

    original: onnxruntime.InferenceSession
    compiled: onnxruntime.InferenceSession
    regions: int
    seconds: float  # that compiling took, verification included


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    # Otherwise the threads of the session that has just run go on spinning while the other one is
    # being timed, and each is measured against a busy core.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3  # the original models make onnxruntime warn; not our subject
    return options


def make_pair(model: str, sample: Batch, folder: Path) -> Pair:
    """Compiles a model of the cache folder into `folder`, and loads both."""
    source = cache_folder() / f"{model}.onnx"
    started = time.perf_counter()
    result = actcache.compile_model(source, folder / f"{model}.cached.onnx", samples=[sample])
    seconds = time.perf_counter() - started
    with_library = _options()
    actcache.register(with_library)
    providers = ["CPUExecutionProvider"]
    return Pair(
        onnxruntime.InferenceSession(source, _options(), providers=providers),
        onnxruntime.InferenceSession(result.output, with_library, providers=providers),
        len(result.regions),
        seconds,
    )


def _counts() -> NDArray[np.float64]:
    """Rows looked up and found, seconds in regions and in the cache: so far, over all regions."""
    names = ("lookups", "hits", "compute_seconds", "overhead_seconds")
    regions = actcache.stats()["regions"].values()
    return np.array([sum(region[name] for region in regions) for name in names], np.float64)


def _difference(left: NDArray[np.generic], right: NDArray[np.generic]) -> float:
    """The largest difference; infinite where shapes, types or the places of NaN are not the same."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return float("inf")
    if left.size == 0 or np.array_equal(left, right):
        return 0.0
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    apart = np.abs(left[~same].astype(np.float64) - right[~same].astype(np.float64))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))


def play(pair: Pair, batches: Iterable[Batch]) -> Measurement:
    """Answers every batch with both models, in turns, and compares all outputs."""
    sessions = {"original": pair.original, "compiled": pair.compiled}
    seconds = dict.fromkeys(sessions, 0.0)
    rows, difference = 0, 0.0
    before = _counts()
    for index, batch in enumerate(batches):
        outputs = {}
        # Who goes first alternates: the first finds the batch's bytes cold in the processor's cache.
        for name in sorted(sessions, reverse=index % 2 == 0):
            started = time.perf_counter()
            outputs[name] = sessions[name].run(None, batch)
            seconds[name] += time.perf_counter() - started
        for left, right in zip(outputs["original"], outputs["compiled"], strict=True):
            difference = max(difference, _difference(left, right))
        rows += len(next(iter(batch.values())))
    lookups, hits, computing, overhead = (_counts() - before).tolist()
    reuse = hits / max(1, lookups)
    return Measurement(rows, seconds["original"], seconds["compiled"], reuse, difference, computing, overhead)


def shares(measured: Measurement) -> str:
    """Say where the compiled model's time went."""
    computing, overhead = measured.computing / measured.compiled, measured.overhead / measured.compiled
    outside = max(1 - computing - overhead, 0.0)
    return (
        f"{computing:.0%} computing what was missing, {overhead:.1%} keys, lookups and copies, {outside:.0%} the rest"
    )


def _add(table: Table, name: str, measured: Measurement) -> None:
    table.add_row(
        name,
        f"{measured.rows:,}",
        f"{measured.reuse:.1%}",
        f"{measured.original:.2f} s",
        f"{measured.compiled:.2f} s",
        f"{measured.compiled / measured.original:.3f}",
        f"{measured.difference:.1e}" if measured.difference else "0",
    )


def _table() -> Table:
    table = Table("workload", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for heading in ("rows", "reuse", "time original", "time compiled", "ratio", "largest difference"):
        table.add_column(heading, justify="right")
    table.columns[0].no_wrap = True
    return table


def _demonstrate(chosen: Sequence[Workload], count: int, rows: int, folder: Path, console: Console) -> None:
    fetch_all([name for w in chosen for name in (w.model, *w.data)], console)
    table = _table()
    went: list[str] = []
    pairs: dict[str, Pair] = {}
    for workload in chosen:
        batches = list(workload.batches(count, rows))
        if workload.model not in pairs:
            with console.status(f"compiling {workload.model}"):
                pair = pairs[workload.model] = make_pair(workload.model, batches[0], folder)
            console.print(f"{workload.model}: {pair.regions} region(s), compiled and verified in {pair.seconds:.1f} s")
        pair = pairs[workload.model]
        for session in (pair.original, pair.compiled):
            session.run(None, batches[0])  # onnxruntime allocates on the first run of a shape
        actcache.invalidate()
        for title in (workload.name, f"{workload.name}, again"):
            shown = track(batches, title, console=console, transient=True, disable=not console.is_terminal)
            measured = play(pair, shown)
            _add(table, title, measured)
            went.append(f"  {title}: {shares(measured)}")
    console.print(table)
    console.print("Where the compiled models' time went:", *went, sep="\n", soft_wrap=True, highlight=False)
    for workload in chosen:
        console.print(f"[bold]{workload.name}[/]: {workload.description} {workload.repeats}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0, or 1 and one line where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}")
    parser.add_argument("--batches", type=int, default=30, help="batches per workload (default: 30)")
    parser.add_argument("--rows", type=int, default=16, help="rows per batch (default: 16)")
    options = parser.parse_args(arguments)
    names = options.workloads or list(_DEFAULT)
    for name in names:
        if name not in WORKLOADS:
            parser.error(f"no workload named {name!r}; there are: {', '.join(WORKLOADS)}")
    if options.batches < 1 or options.rows < 1:
        parser.error("--batches and --rows must be 1 or more")
    console = Console()
    try:
        with tempfile.TemporaryDirectory(prefix="actcache-demo-") as folder:
            _demonstrate([WORKLOADS[name] for name in names], options.batches, options.rows, Path(folder), console)
    except (actcache.ActcacheError, FetchError, ModuleNotFoundError, ValueError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", soft_wrap=True, markup=False, highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
