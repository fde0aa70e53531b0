"""Benchmarks one after the other, their results in benchmarks/results: ``python -m benchmarks.suite [--full]``.

``make bench`` runs the quick ones, ``make bench-full`` most of them. With --resume, what was measured on this machine
with the same versions and settings stays: a run that was interrupted goes on. --list shows what would be run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import results

#: Columns of what is printed, however wide the terminal is.
_WIDTH = "160"


@dataclass(frozen=True)
class Part:
    """One program and its result.

    Attributes:
        name: Of the file in benchmarks/results.
        command: The module, and its arguments.
        writes: It takes --json FILE and --resume. Of the others, what they print is kept.
    """

    name: str
    command: str
    writes: bool = False

    @property
    def shown(self) -> str:
        """How one calls it."""
        return f"python -m {self.command}"


#: Twelve minutes on two cores: five models, and of each point five rounds at least.
_CURVE = Part(
    "reuse_curve",
    "benchmarks.reuse_curve --seconds 1"
    " --models paraphrase_minilm_l3 minilm_l6_int8 open_nsfw_resnet rapidocr_cls_v2 magika_v3_3",
    writes=True,
)
#: About a quarter of an hour on two cores.
QUICK = (
    _CURVE,
    Part("overview", "benchmarks --pairs 9"),
    Part("prefix", "benchmarks.prefix --small --pairs 3"),
)
#: Below 50 minutes on two quiet cores (an estimate), two thirds of them for the first two. Each alone does more by
#: default: more pairs, more models, larger stores.
FULL = (
    _CURVE,
    Part("natural", "benchmarks.natural --seconds 5", writes=True),
    Part("overview", "benchmarks --pairs 9"),
    Part("demo", "benchmarks.demo"),
    Part("prefix", "benchmarks.prefix"),
    Part("large_hits", "benchmarks.large_hits"),
    Part("scale", "benchmarks.scale"),
    Part(
        "bypass",
        "benchmarks.bypass --pairs 49"
        " --model open_nsfw_resnet --model paraphrase_minilm_l3 --model rapidocr_cls_v2 --model magika_v3_3",
    ),
    Part("exact_bits", "benchmarks.exact_bits paraphrase_minilm_l3"),
    Part("run", "benchmarks.run"),
    Part("native", "benchmarks.native --repetitions 5"),
    Part("tiers", "benchmarks.tiers"),
    Part("disk_store", "benchmarks.disk_store --gigabytes 2"),
    Part("remote", "benchmarks.remote"),
    Part("policy", "benchmarks.policy"),
)


def run(part: Part, folder: Path, resume: bool) -> int:
    """Run one, write its result, and return its exit code."""
    file = folder / f"{part.name}.json"
    command = [sys.executable, "-m", *shlex.split(part.command)]
    if part.writes:
        return subprocess.run([*command, "--json", str(file), *["--resume"] * resume], check=False).returncode
    document: dict[str, Any] = {"command": part.shown, "environment": results.environment()}
    if before := results.earlier(document, file, resume):
        print("kept: it was measured already", flush=True)
        return int(before["exit"])
    started, printed = time.monotonic(), list[str]()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": _WIDTH})
    with running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            printed.append(line.rstrip())
    code = running.returncode
    if code in (0, 1) and printed:  # 1: a bar is missed, which is a result, too
        seconds = round(time.monotonic() - started)
        results.write(file, {**document, "seconds": seconds, "exit": code, "printed": printed})
        return code
    return code or 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all: 0, or 1 if a bar is missed or a program could not measure."""
    options = _parser().parse_args(arguments)
    parts = FULL if options.full else QUICK
    if options.list:
        print("\n".join(part.shown for part in parts))
        return 0
    failed: dict[str, int] = {}
    began = time.monotonic()
    for part in parts:
        print(f"\n== {part.shown}", flush=True)
        started = time.monotonic()
        if code := run(part, options.folder, options.resume):
            failed[part.shown] = code
        print(f"== {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n== all of it: {(time.monotonic() - began) / 60:.0f} minutes", flush=True)
    for shown, code in failed.items():
        print(f"{'missed a bar' if code == 1 else f'exit code {code}'}: {shown}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="most benchmarks, about 50 minutes")
    parser.add_argument("--resume", action="store_true", help="keep what was measured already")
    parser.add_argument("--list", action="store_true", help="print the commands and run nothing")
    parser.add_argument("--folder", type=Path, default=results.FOLDER, help="for the results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
