"""Time saved on streams as they are: ``python -m benchmarks.natural [NAMES] [--json FILE] [--resume]``.

The order and the repeats are those of the data. A model is compiled by the first third of the calls, with default
settings; the rest is played by the original and the compiled model in turn, from an empty store, with the default
budget and the bypass on. Where the compiler refuses a model because nothing repeats in these calls, as in most
controls, the model is compiled as without a trace. Every output is compared with the original's.

In a control one per cent counts. There the original is loaded a second time and measured against itself, too, and all
sessions are loaded anew for each round (benchmarks/against_itself.py). Wall and processor time are both told.

The exit code is 1 if an output is wrong, or if a bar is missed: where 40 % or more of the work repeats, the time must
fall by 38 % or more. A control must not take more than 1.01 by either clock, and more than the original differs from
itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actcache.errors import ActcacheError
from benchmarks import results
from benchmarks.contenders import WrongOutputError
from benchmarks.natural_controls import SCANS, VIDEO
from benchmarks.natural_decoding import ALONE, READ_ONCE, SHARED
from benchmarks.natural_play import Effort, Natural, measured
from benchmarks.natural_questions import QUESTIONS
from benchmarks.natural_tables import controls_table, gaps, missed, natural_table, verdict
from benchmarks.natural_texts import TEXTS, TWEETS
from benchmarks.natural_towers import MOVIELENS
from models.fetch import FetchError

WORKLOADS: dict[str, Natural] = {
    workload.name: workload
    for workload in (*TEXTS, MOVIELENS, QUESTIONS, SHARED, ALONE, TWEETS, VIDEO, SCANS, READ_ONCE)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print: 0, or 1 if a bar is missed, an output is wrong, or something cannot be read or written."""
    options = _parser().parse_args(arguments)
    clock = time.process_time if options.cpu else time.perf_counter
    effort = Effort(2, 0, clock, 2) if options.quick else Effort(seconds=options.seconds, clock=clock)
    settings = "--quick" if options.quick else f"--seconds {options.seconds:g}"
    document: dict[str, Any] = {
        "command": f"python -m benchmarks.natural {settings}{' --cpu' * options.cpu}",
        "environment": results.environment(),
        "workloads": [],
    }
    if before := results.earlier(document, options.json, options.resume):
        document["environment"], document["workloads"] = before["environment"], before["workloads"]
    done = {found["name"] for found in document["workloads"]}
    failed = False
    for name in options.names or WORKLOADS:
        if name in done:
            continue
        try:
            _measure(WORKLOADS[name], effort, options.quick, document)
            if options.json:
                results.write(options.json, document)
        except (ActcacheError, FetchError, ModuleNotFoundError, WrongOutputError) as error:
            print(f"benchmarks.natural: {name}: {error}", file=sys.stderr)
            failed = True
    found = document["workloads"]
    if found:
        parts = (natural_table(found), controls_table(found), verdict(found), gaps(found))
        print("\n\n".join(part for part in parts if part))
    return 1 if failed or missed(found) else 0


def _measure(workload: Natural, effort: Effort, quick: bool, document: dict[str, Any]) -> None:
    started = time.monotonic()

    def tell(step: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {workload.name}: {step}", file=sys.stderr, flush=True)

    found = measured(workload, effort, quick, tell)
    tell(f"reuse {found['reuse']:.0%}, ratio {found['ratio']['median']:.3f}")
    places = list(WORKLOADS)
    document["workloads"] = sorted([*document["workloads"], found], key=lambda each: places.index(each["name"]))


def _name(text: str) -> str:
    if text not in WORKLOADS:
        raise argparse.ArgumentTypeError(f"there is no workload {text!r}; there are {', '.join(WORKLOADS)}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.natural", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", type=_name, metavar="NAME", help=f"of {', '.join(WORKLOADS)} (default: all)"
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each, once it has 5 rounds (default: 20)")
    parser.add_argument("--quick", action="store_true", help="a few calls of each, to see that all works: no figures")
    parser.add_argument("--cpu", action="store_true", help="measure processor time, where other work takes turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to this file, too")
    parser.add_argument("--resume", action="store_true", help="keep what the file has, from this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
