"""Plays a stream in which nothing repeats: what the cache costs there, beside what the original differs from itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.against_itself import CLOCKS, AgainstItself
from benchmarks.counts import Reused, begin_anew, states, use_other_namespace
from models import Feed


@dataclass(frozen=True)
class Rounds:
    """How long a control is played.

    Attributes:
        least: Rounds at least.
        seconds: More of them while these are not over.
        regions: How many the compiled model has.
        clock: That of the ratio that stands beside those of other workloads, of CLOCKS.
    """

    least: int
    seconds: float
    regions: int
    clock: str


def measured_control(
    model: AgainstItself, warm: Feed, calls: Sequence[Feed], rounds: Rounds, tell: Callable[[str], object]
) -> dict[str, Any]:
    """Play rounds, each from an empty store, and then one in which everything was seen.

    Raises:
        WrongOutputError: An output is not the original's.
    """
    reused, end = Reused(), time.monotonic() + rounds.seconds
    while model.rounds < rounds.least or time.monotonic() < end:
        tell(f"round {model.rounds + 1}")
        use_other_namespace()
        begin_anew(model.load(warm), warm)
        reused.begin()
        model.count(model.play(calls))
        reused.end()
    now = states(rounds.regions)
    tell("again")
    original, _, compiled = model.play(calls)[:, :, list(CLOCKS).index(rounds.clock)].sum(0)
    clocks = model.found()
    chosen = clocks[rounds.clock]
    return {
        "rounds": model.rounds,
        "reused": reused.shares(),
        "states": now,
        "original_ms": {"median": chosen["ms"]},
        "ratio": chosen["compiled"],
        "clocks": clocks,
        "new_alone": None,
        "again": round(compiled / original, 4),
        "largest_difference": float(f"{model.difference:.2g}"),
    }
