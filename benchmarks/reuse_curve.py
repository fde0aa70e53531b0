"""Time against the share of rows that were seen before: ``python -m benchmarks.reuse_curve [--json FILE]``.

The original, the compiled model, and what people write instead take turns on the same calls, two threads each:

- original: computes all rows; the others are given relative to it;
- actcache: the compiled model;
- limit: the original on the new rows alone;
- row LRU, request cache: see benchmarks/caches.py.

New rows are new in every call. A share is reached over several calls where the batch is small. At 100 % the same
calls are made again, so that the request cache finds them. Every output is compared with the original's; the exit code
is 1 if one is wrong. With --json, what was measured is written after each point, and --resume goes on from there.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from actcache.errors import OutputError
from benchmarks import results
from benchmarks.contender_names import NAMES, ORIGINAL
from benchmarks.contenders import Contenders, WrongOutputError
from benchmarks.curve_tables import curve_tables
from benchmarks.interleaved import Spread
from benchmarks.rows import NewRows, mixed
from benchmarks.sessions import Workload

#: The models, at the size of input that they are measured with. They are compiled for a batch of 8.
WORKLOADS = {
    workload.model: workload
    for workload in (
        Workload("paraphrase_minilm_l3", 8, 64),
        Workload("minilm_l6_int8", 8, 64),
        Workload("open_nsfw_resnet", 8),
        Workload("rapidocr_rec_v6s", 8, 160),
        Workload("rapidocr_cls_v2", 8),
        Workload("magika_v3_3", 8),
        Workload("vit_s_focus", 8),
    )
}
SHARES = (0, 10, 30, 40, 50, 70, 90, 100)
BATCHES = (1, 8, 32)

#: A share of rows may be missed by so much, because rows are whole.
_OFF = 0.015
_LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Effort:
    """How long a point is measured: so many seconds, but at least five rounds, and at most `rounds`; by which clock."""

    rounds: int
    seconds: float
    cpu: bool = False

    def __str__(self) -> str:
        """Return the options that say so."""
        return f"--rounds {self.rounds} --seconds {self.seconds:g}{' --cpu' * self.cpu}"


def calls_needed(batch: int, shares: Sequence[int]) -> int:
    """Return the number of calls over which whole rows reach all shares, which are in percent."""
    for calls in itertools.count(1):
        total = calls * batch
        if all(abs(round(share / 100 * total) / total - share / 100) < _OFF for share in shares):
            return calls
    raise AssertionError("unreachable")


class Curve:
    """Measures the points of one model."""

    def __init__(self, workload: Workload, effort: Effort) -> None:
        self._contenders = Contenders(workload, time.process_time if effort.cpu else time.perf_counter)
        self._new = NewRows(workload)
        self._effort = effort

    def point(self, batch: int, calls: int, share: int) -> dict[str, Any]:
        """Measure one share, in percent, over so many calls.

        Raises:
            WrongOutputError: An output is not the original's.
        """
        total = batch * calls
        count = round(share / 100 * total)
        seen = [self._new.take(batch) for _ in range(calls)]
        self._contenders.begin(seen)
        random = np.random.default_rng(share)
        times: list[dict[str, float]] = []
        differences = dict.fromkeys(NAMES[1:], 0.0)
        end = math.inf
        for number in range(self._effort.rounds + 1):
            if len(times) >= _LEAST_ROUNDS and time.monotonic() > end:
                break
            seconds, found = self._contenders.turn(mixed(seen, count, self._new, random), number)
            differences = {name: max(differences[name], found[name]) for name in found}
            if number:  # one to warm up
                times.append(seconds)
            else:
                end = time.monotonic() + self._effort.seconds
        return {
            "batch": batch,
            "share": share,
            "share_of_rows": round(count / total, 4),
            "calls": calls,
            "rounds": len(times),
            "original_ms": _rounded(Spread.of([1e3 * each[ORIGINAL] / calls for each in times])),
            "ratios": {name: _ratio(times, name) for name in NAMES[1:]},
            "largest_difference": {name: float(f"{value:.2g}") for name, value in differences.items()},
        }


def _ratio(times: Sequence[dict[str, float]], name: str) -> dict[str, float]:
    return _rounded(Spread.of([each[name] / each[ORIGINAL] for each in times]))


def _rounded(spread: Spread) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(spread).items()}


def _in_order(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each point once: models in their order here, then by batch and share."""
    models = list(WORKLOADS)
    places = {_place(point): point for point in points}
    return sorted(places.values(), key=lambda point: (models.index(point["model"]), point["batch"], point["share"]))


def _place(point: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(point[field] for field in ("model", "size", "batch", "calls", "share"))


def measure(
    workloads: Sequence[Workload],
    batches: Sequence[int],
    shares: Sequence[int],
    effort: Effort,
    known: Sequence[dict[str, Any]],
    tell: Callable[[str], object],
) -> Iterator[dict[str, Any]]:
    """Yield the points that `known` lacks.

    Raises:
        WrongOutputError: An output is not the original's.
    """
    done = {_place(point) for point in known}
    for workload in workloads:
        curve: Curve | None = None
        for batch, share in itertools.product(batches, shares):
            calls = calls_needed(batch, shares)
            head = {"model": workload.model, "size": workload.size}
            place = _place({**head, "batch": batch, "calls": calls, "share": share})
            if place not in done:
                tell(f"{workload.model}, batch {batch}, {share} %")
                curve = curve or Curve(workload, effort)
                yield {**head, **curve.point(batch, calls, share)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print: 0, or 1 if an output is wrong or the file cannot be written."""
    options = _parser().parse_args(arguments)
    effort = Effort(max(options.rounds, _LEAST_ROUNDS), options.seconds, options.cpu)
    console = Console(stderr=True)
    document: dict[str, Any] = {
        "command": f"python -m benchmarks.reuse_curve {effort}",
        "environment": results.environment(),
        "points": [],
    }
    if before := results.earlier(document, options.json, options.resume):
        document["environment"], document["points"] = before["environment"], before["points"]
    chosen = [WORKLOADS[name] for name in options.models]
    try:
        with console.status("") as status:
            known = list(document["points"])
            found = measure(chosen, options.batches, options.shares, effort, known, status.update)
            for point in found:
                document["points"] = _in_order([*document["points"], point])
                if options.json:
                    results.write(options.json, document)
    except (WrongOutputError, OutputError) as error:
        print(f"benchmarks.reuse_curve: {error}", file=sys.stderr)
        return 1
    print(curve_tables(document["points"]))
    return 0


def _share(text: str) -> int:
    share = int(text)
    if not 0 <= share <= 100:
        raise argparse.ArgumentTypeError(f"{share} is no share: it must be from 0 to 100 (%)")
    return share


def _batch(text: str) -> int:
    batch = int(text)
    if batch < 1:
        raise argparse.ArgumentTypeError("a batch has one row or more")
    return batch


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reuse_curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--models", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS), metavar="MODEL", help="default: all"
    )
    parser.add_argument("--batches", nargs="+", type=_batch, default=list(BATCHES), help="default: 1 8 32")
    parser.add_argument("--shares", nargs="+", type=_share, default=list(SHARES), help="in percent")
    parser.add_argument("--rounds", type=int, default=15, help="of each point, at most (default: 15, at least 5)")
    parser.add_argument("--seconds", type=float, default=4, help="of each point, once it has 5 rounds (default: 4)")
    parser.add_argument("--cpu", action="store_true", help="measure processor time, where other work takes turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the points to this file, too")
    parser.add_argument("--resume", action="store_true", help="keep the points that the file has, from this machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
