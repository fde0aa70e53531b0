"""A store on disk by itself, without a model: ``python -m benchmarks.disk_store [--gigabytes N] [--folder DIR]``.

Opens a store of 10 GB, and tells from which size on a value should have a file of its own. Writes that many bytes and
removes them. Exits with 1 if opening takes more than a second.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.native_programs import ProgramMissingError, asked

#: The longest that opening a store may take, in nanoseconds.
BAR = 1_000_000_000
#: Bytes of the values in each of the stores that are opened: in the index, and in files of their own.
KINDS = {"in the index": 16 << 10, "in files": 128 << 10}
_TIMES = 9

#: What ``disk_bench sizes`` measures.
QUESTIONS = {
    "put": "to put one",
    "put 16": "to put 16 at once, each",
    "get": "to get one",
    "cold": "to get one, not in memory",
}


def opening(folder: Path, size: int, total: int) -> tuple[int, dict[str, list[int]]]:
    """Fill a store with `total` bytes of values of `size`, and open it in new processes.

    Returns:
        How many values there are, and the nanoseconds that opening and the first value took, warm and cold.
    """
    store = folder / "store"
    entries = asked("disk_bench", "fill", store, size, total // size)["entries"]
    times: dict[str, list[int]] = {}
    for _ in range(_TIMES):
        for heat in ("warm", "cold"):
            found = asked("disk_bench", "open", store, *([heat] if heat == "cold" else []))
            for name in ("open", "first"):
                times.setdefault(f"{name} {heat}", []).append(found[name])
    shutil.rmtree(store)
    return entries, times


def openings(folder: Path, total: int) -> tuple[Table, bool]:
    """A table of opening stores, and whether all were fast enough."""
    table = Table("values", "to open", "slowest", "first value", title=f"Opening a store of {total / 1e9:g} GB, in ms")
    slowest = 0
    for kind, size in KINDS.items():
        entries, times = opening(folder, size, total)
        for heat, says in (("warm", ""), ("cold", ", not in memory")):
            opened, first = times[f"open {heat}"], times[f"first {heat}"]
            slowest = max(slowest, *opened)
            row = [statistics.median(opened), max(opened), statistics.median(first)]
            name = f"{entries} of {size >> 10} KiB, {kind}{says}"
            table.add_row(name, *(f"{nanoseconds / 1e6:.2f}" for nanoseconds in row))
    return table, slowest <= BAR


def sizes(found: dict[str, int]) -> Table:
    """A table of values in the index against values in files of their own, of each size."""
    table = Table("bytes", *QUESTIONS.values(), title="In the index / in a file of its own, in µs")
    for size in sorted({int(name.rsplit(" ", 1)[1]) for name in found}):
        pairs = [(found[f"{key} index {size}"] / 1e3, found[f"{key} file {size}"] / 1e3) for key in QUESTIONS]
        table.add_row(f"{size >> 10} KiB", *(f"{index:.0f} / {file:.0f}" for index, file in pairs))
    return table


def main() -> int:
    """Print both tables; 1 if opening is too slow, or nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disk_store", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10, help="size of the store to open (default: 10)")
    parser.add_argument("--folder", type=Path, help="where to write (default: the folder for temporary files)")
    options = parser.parse_args()
    total = int(options.gigabytes * 1e9)
    try:
        with tempfile.TemporaryDirectory(prefix="actcache-benchmarks-", dir=options.folder) as name:
            free = shutil.disk_usage(name).free
            if free < total * 1.5:
                print(
                    f"benchmarks.disk_store: {name} has {free / 1e9:.1f} GB left; name another --folder",
                    file=sys.stderr,
                )
                return 1
            console = Console(width=150)
            console.print(sizes(asked("disk_bench", "sizes", Path(name) / "sizes")))
            table, fast = openings(Path(name), total)
            console.print(table)
    except ProgramMissingError as error:
        print(f"benchmarks.disk_store: {error}", file=sys.stderr)
        return 1
    if not fast:
        print("missed: opening took more than a second", file=sys.stderr)
    return 0 if fast else 1


if __name__ == "__main__":
    sys.exit(main())
