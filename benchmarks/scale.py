"""How cost grows: ``python -m benchmarks.scale [AXIS ...] [--small]``.

Each axis is one table: the same measurement at sizes that are far apart, beside what limits it.

- entries: entries of the store in memory, 1,000 to 10 million;
- threads: threads that ask it at the same time, 1 to 8;
- values: bytes of a value, 1 KiB to 16 MiB, stored and fetched, beside memcpy of the same bytes;
- regions: regions of a model, 1 to 50: what compiling and a call of hits take;
- models: bytes of weights, 64 MiB to 2 GiB: what compiling and loading take;
- stores: bytes of a store on disk, 100 MB to 10 GB: what opening it and one value take.

There are no bars here: this is for people who want to know what their size will cost. The machine needs about 4 GiB
of memory, and 16 GB on disk for the last two. --small leaves out the largest sizes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import actcache
from benchmarks.compile_time import compile_cost
from benchmarks.interleaved import interleaved
from benchmarks.native_programs import ProgramMissingError, asked
from benchmarks.scale_models import LAYER_BYTES, row, save_chain, save_heavy
from benchmarks.sessions import session

#: Calls in one measurement of a model with many regions: a single one is too short for the clock.
_CALLS = 50
_PAIRS = 7
_LOADS = 5

Row = tuple[str, ...]


def entries(small: bool) -> Iterator[Row]:
    """Store in memory, entries of 64 bytes: ns for each."""
    yield "entries", "insert", "hit", "miss", "insert that evicts", "bytes charged", "bytes resident"
    for count in (10**power for power in range(3, 6 if small else 8)):
        found = asked("scale_bench", "entries", count)
        times = (f"{found[name] / 1000:.0f}" for name in ("insert", "hit", "miss", "evict"))
        yield f"{count:,}", *times, str(found["charged"]), str(found["resident"])


def threads(small: bool) -> Iterator[Row]:
    """Lookups of all threads together, million a second; the limit is one thread's rate times the processors."""
    yield "threads", "entries of their own", "the same entries", "limit"
    single = 0.0
    for count in (1, 2) if small else (1, 2, 4, 8):
        found = asked("scale_bench", "threads", count)
        single = single or found["own"] / 1e6
        limit = single * min(count, os.cpu_count() or 1)
        yield str(count), f"{found['own'] / 1e6:.1f}", f"{found['shared'] / 1e6:.1f}", f"{limit:.1f}"


def values(small: bool) -> Iterator[Row]:
    """Values in memory, µs for each: stored, fetched with their copy, and memcpy of the same bytes as the limit."""
    yield "KiB", "store", "fetch", "memcpy"
    for size in (1 << power for power in range(10, 19 if small else 25, 2)):
        found = asked("scale_bench", "value", size)
        yield str(size >> 10), *(f"{found[name] / 1e3:.2f}" for name in ("store", "fetch", "memcpy"))


def regions(small: bool) -> Iterator[Row]:
    """Regions of one small layer each: compiling without verification, and a call in which all of them hit."""
    yield "regions", "compile, s", "a call of hits, µs", "the original's, µs", "each region adds, µs"
    with tempfile.TemporaryDirectory(prefix="actcache-benchmarks-") as name:
        for count in (1, 5) if small else (1, 5, 10, 25, 50):
            plain, cached = Path(name, f"{count}.onnx"), Path(name, f"{count}.cached.onnx")
            named = save_chain(plain, count)
            started = time.perf_counter()
            actcache.compile_model(plain, cached, regions=named, verify=False)
            seconds = time.perf_counter() - started
            found = interleaved(_calls(cached, compiled=True), _calls(plain, compiled=False), _PAIRS)
            hits, original = (1e6 * took / _CALLS for took in (found.first, found.second))
            yield (
                str(count),
                f"{seconds:.2f}",
                f"{hits:.0f}",
                f"{original:.0f}",
                f"{(hits - original) / count:.1f}",
            )


def _calls(path: Path, *, compiled: bool) -> Callable[[int], Callable[[], None]]:
    running, feed = session(path, compiled=compiled), row(path, 0)

    def calls() -> None:
        for _ in range(_CALLS):
            running.run(None, feed)

    return lambda _: calls


def models(small: bool) -> Iterator[Row]:
    """Weights in a file beside the model: compiling with verification, and loading in turn with the original."""
    yield "MiB", "compile, s", "its memory, MiB", "load / original's", "load, s", "a new row / original's"
    for layers in (1,) if small else (1, 4, 16, 32):
        with tempfile.TemporaryDirectory(prefix="actcache-benchmarks-") as name:
            yield _heavy(Path(name, "model.onnx"), layers)


def _heavy(plain: Path, layers: int) -> Row:
    cached = plain.with_name("cached.onnx")
    save_heavy(plain, layers)
    seconds, peak = compile_cost(plain, cached)
    load = interleaved(
        lambda _: partial(session, cached, compiled=True), lambda _: partial(session, plain, compiled=False), _LOADS
    )
    one, other = session(cached, compiled=True), session(plain, compiled=False)
    feeds = [row(plain, seed) for seed in range(_PAIRS + 2)]
    run = interleaved(
        lambda pair: partial(one.run, None, feeds[pair]), lambda pair: partial(other.run, None, feeds[pair]), _PAIRS
    )
    figures = (f"{seconds:.1f}", str(peak >> 20), f"{load.ratio:.2f}", f"{load.first:.2f}", f"{run.ratio:.2f}")
    return (str(layers * LAYER_BYTES >> 20), *figures)


def stores(small: bool) -> Iterator[Row]:
    """Stores on disk of values of 16 KiB, ms: opening, and the first value; cold: nothing of it is in memory."""
    yield "GB", "values", "open", "first value", "open, cold", "first value, cold"
    for gigabytes in (0.1,) if small else (0.1, 1, 10):
        with tempfile.TemporaryDirectory(prefix="actcache-benchmarks-") as name:
            if shutil.disk_usage(name).free < gigabytes * 1.5e9:
                yield f"{gigabytes:g}", "the disk is too full", "", "", "", ""
                continue
            size = 16 << 10
            count = asked("disk_bench", "fill", name, size, int(gigabytes * 1e9) // size)["entries"]
            medians = (_medians(name, heat) for heat in ([], ["cold"]))
            yield f"{gigabytes:g}", f"{count:,}", *(f"{each / 1e6:.2f}" for pair in medians for each in pair)


def _medians(folder: str, heat: list[str]) -> tuple[float, float]:
    found = [asked("disk_bench", "open", folder, *heat) for _ in range(_LOADS)]
    opened, first = (statistics.median(each[name] for each in found) for name in ("open", "first"))
    return opened, first


AXES: dict[str, Callable[[bool], Iterator[Row]]] = {
    axis.__name__: axis for axis in (entries, threads, values, regions, models, stores)
}


def _line(cells: Row) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Print a table for each axis as it is measured; 2 and one line if something is not installed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("axes", nargs="*", metavar="AXIS", help=f"{', '.join(AXES)} (default: all)")
    parser.add_argument("--small", action="store_true", help="leave out the largest sizes")
    options = parser.parse_args()
    if unknown := set(options.axes) - set(AXES):
        parser.error(f"no axis is called {', '.join(sorted(unknown))}; there are {', '.join(AXES)}")
    try:
        for name in options.axes or AXES:
            axis = AXES[name]
            print(f"\n{name}: {axis.__doc__}", flush=True)
            rows = axis(options.small)
            head = next(rows)
            print(f"\n{_line(head)}\n{_line(tuple('--:' for _ in head))}", flush=True)
            for cells in rows:
                print(_line(cells), flush=True)
    except ProgramMissingError as error:
        print(f"benchmarks.scale: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
