"""Lines of audit logs, and what the statistics have to say of the same calls."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from hand_written import Named, Region, Tensor

Line = dict[str, Any]
HERE = Path(__file__).parent


def lines_of(path: Path) -> list[Line]:
    """The lines of one file; none is broken."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def of(lines: list[Line], event: str, region: Named | None = None) -> list[Line]:
    found = [line for line in lines if line["event"] == event]
    if region is None:
        return found
    (number,) = {line["region"] for line in lines if line["event"] == "region" and line["id"] == region.id}
    return [line for line in found if line["region"] == number]


def whole_squares() -> Region:
    return Region([Tensor("x")], [Tensor("y")], "y_m = Mul(x, x)", granularity="tensor")


def outcomes(lines: list[Line]) -> list[str]:
    return [line["outcomes"] for line in lines]


def agrees_with_statistics(lines: list[Line], region: Named, counts: Line, before: Line) -> None:
    """Every count and sum of the lines is what the statistics say has happened since `before`."""
    lookups, stores = of(lines, "lookup", region), of(lines, "store", region)
    letters = collections.Counter("".join(outcomes(lookups)))
    made = collections.Counter("".join(outcomes(stores)))
    evictions = [line for line in of(lines, "evict", region) if line["reason"] in ("room", "quota", "budget")]
    both, copies = [*lookups, *stores], of(lines, "copy", region)
    said = {
        "calls": len(lookups),
        "lookups": sum(line["rows"] for line in lookups),
        "hits": letters["h"] + letters["d"] + letters["j"],
        "duplicates": letters["d"],
        "joined": letters["j"],
        "misses": letters["m"] + letters["e"] + letters["v"] + letters["r"] + letters["a"],
        "expired": letters["e"],
        "verified": letters["v"],
        "bypassed": letters["b"],
        "mismatches": made["x"],
        "stored": made["s"],
        "not_admitted": made["r"] + made["f"] + made["p"] - letters["a"],
        "first_sights": made["f"],
        "evicted": sum(len(line["keys"]) for line in evictions),
    }
    assert said == {name: counts[name] - before.get(name, 0) for name in said}
    sums = {
        "saved_seconds": sum(line["saved_ns"] for line in both),
        "copy_seconds": sum(line["copy_ns"] for line in [*both, *copies]),
        "hash_seconds": sum(line["hash_ns"] for line in lookups),
        "compute_seconds": sum(line["compute_ns"] for line in stores),
    }
    for name, nanoseconds in sums.items():
        # What calls that passed copy into their outputs is not in the log.
        if name != "copy_seconds" or all(line["keys"] is not None for line in lookups):
            assert nanoseconds == round((counts[name] - before.get(name, 0)) * 1e9), name
    for line in lookups:
        assert len(line["outcomes"]) == line["rows"]
        assert line["keys"] is None or len(line["keys"]) == len(line["ages"]) == line["rows"]
    for line in stores:
        assert (line["stored"], line["refused"]) == (line["outcomes"].count("s"), line["outcomes"].count("r"))


def held_after(lines: list[Line]) -> set[str]:
    """The keys of what is in the store after the calls of one thread, each of which finds what should be there."""
    held: set[str] = set()
    gone: set[str] = set()  # of what the call that is not at its end yet has stored
    computed: list[str] = []
    for line in lines:
        rows = dict(zip(line.get("keys") or (), line.get("outcomes", ""), strict=False))
        if line["event"] == "lookup":
            assert {key for key, letter in rows.items() if letter in "hv"} <= held
            assert held.isdisjoint(key for key, letter in rows.items() if letter == "m")
            computed = [k for k, letter in zip(line["keys"], line["outcomes"], strict=True) if letter == "m"]
        elif line["event"] == "evict":
            gone |= set(line["keys"]) - held
            held -= set(line["keys"])
        elif line["event"] == "store":
            held |= {k for k, letter in zip(computed, line["outcomes"], strict=True) if letter == "s"} - gone
            gone.clear()
    return held


def run(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Python in a process of its own, beside the modules of these tests."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": str(HERE), "ACTCACHE_BYPASS": "off", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
