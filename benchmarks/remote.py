"""What asking a server that machines share takes, on a server of its own: ``python -m benchmarks.remote``.

Exits with 1 if a hit's median is above 500 µs (values of up to 64 KB), or a call while the server is gone above 1 µs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.native_programs import ProgramMissingError, program

#: The longest median, in nanoseconds, of the questions that have one.
BARS = {"hit 1024": 500_000, "hit 65536": 500_000, "left alone": 1_000}


@contextmanager
def _server() -> Iterator[str]:
    """The address of a server that ends with the block."""
    name = shutil.which("valkey-server") or shutil.which("redis-server")
    if name is None:
        raise ProgramMissingError("neither valkey-server nor redis-server is installed: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="actcache-") as folder:
        path = Path(folder) / "socket"
        command = [name, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not path.exists():
                time.sleep(0.01)
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait()


def measure() -> dict[str, tuple[int, int]]:
    """Median and 99th percentile of each question, in nanoseconds."""
    bench = program("remote_bench")
    with _server() as address:
        lines = subprocess.run([bench, address], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.rsplit(" ", 2) for line in lines]
    return {name: (int(median), int(slow)) for name, median, slow in rows}


def main() -> int:
    """Print the table; 1 if a bar is missed or nothing can be measured."""
    argparse.ArgumentParser(prog="python -m benchmarks.remote", description=__doc__).parse_args()
    try:
        times = measure()
    except ProgramMissingError as error:
        print(f"benchmarks.remote: {error}", file=sys.stderr)
        return 1
    table = Table("question", "median", "99th percentile", "bar", title="A server on this machine, in µs")
    for name, (median, slow) in times.items():
        bar = BARS.get(name)
        table.add_row(name, f"{median / 1e3:.2f}", f"{slow / 1e3:.2f}", "" if bar is None else f"{bar / 1e3:g}")
    Console().print(table)
    missed = [name for name, bar in BARS.items() if times[name][0] > bar]
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
