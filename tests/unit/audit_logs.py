"""Audit logs that follow the format, for tests: a store played with a stream of keys, and lines as the library's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actcache.passes.choice.store_simulation import StoreSimulation

EPOCH = 1_760_000_000.0
CONFIG = {"budget_bytes": 1 << 20, "hash": "blake3", "verify_fraction": 0.0}


def line(event: str, t: float, **members: Any) -> str:
    return json.dumps({"event": event, "t": round(EPOCH + t, 9), **members}, separators=(",", ":")) + "\n"


def start(t: float = 0.0, **members: Any) -> str:
    return line("start", t, **{"schema": 1, "part": 1, "pid": 1, "version": "0.1.0", "hash": "blake3",
                               "config": CONFIG, **members})  # fmt: skip


def region(number: int = 7, name: str = "encoder", t: float = 0.0, fingerprint: str = "ab" * 16) -> str:
    return line("region", t, region=number, id=name, fingerprint=fingerprint, granularity="row")


def lookup(t: float, outcomes: str, keys: Sequence[int | None] | None, **members: Any) -> str:
    names = None if keys is None else [None if key is None else f"{key:016x}" for key in keys]
    ages = None if keys is None else [round(0.5 * i, 3) if o in "hv" else -1 for i, o in enumerate(outcomes)]
    known = {"call": 1, "region": 7, "namespace": "", "rows": len(outcomes), "outcomes": outcomes}
    times = {"bytes": 0, "hash_ns": 900, "lookup_ns": 400, "wait_ns": 0, "copy_ns": 100, "saved_ns": 0}
    return line("lookup", t, **{**known, "keys": names, "ages": ages, **times, **members})


def store(t: float, outcomes: str, **members: Any) -> str:
    stored = outcomes.count("s")
    known = {"call": 1, "region": 7, "stored": stored, "refused": outcomes.count("r"), "bytes": 1000 * stored}
    times = {"compute_ns": 10**6 * len(outcomes), "copy_ns": 50, "saved_ns": 0, "cost_ns": 10**6, "fetch_ns": 500}
    return line("store", t, **{**known, **times, "outcomes": outcomes, **members})


def copy(t: float, **members: Any) -> str:
    return line("copy", t, **{"call": 1, "region": 7, "copy_ns": 70, **members})


def zipf_keys(count: int, distinct: int, exponent: float = 0.9, seed: int = 0) -> list[int]:
    """Keys that repeat as natural traffic does: the n-th most frequent one has a share of 1/n^exponent."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, distinct + 1) ** exponent
    names = rng.integers(0, 2**63, distinct)
    return [int(key) for key in names[rng.choice(distinct, count, p=shares / shares.sum())]]


def entry_bytes(key: int) -> int:
    """Every key's entry has one of eight sizes."""
    return 512 << (key >> 5) % 8


def played(keys: Sequence[int], rows: int = 8, budget: int = 1 << 20, step: float = 0.01) -> Iterator[str]:
    """Yield lookups and stores of calls of `rows` rows each, with the outcomes of a store of `budget` bytes."""
    model = StoreSimulation(budget)
    for call, first in enumerate(range(0, len(keys), rows)):
        wanted = keys[first : first + rows]
        found = model.touch(np.array(wanted, np.uint64), [entry_bytes(key) for key in wanted], 1e-3).tolist()
        outcomes = "".join("h" if hit else "m" for hit in found)
        copied = sum(entry_bytes(key) for key, hit in zip(wanted, found, strict=True) if hit)
        missing = outcomes.count("m")
        yield lookup(call * step, outcomes, wanted, call=call, bytes=copied, saved_ns=10**6 * (rows - missing))
        if missing:
            size = sum(entry_bytes(key) for key, hit in zip(wanted, found, strict=True) if not hit)
            yield store(call * step + 0.001, "s" * missing, call=call, bytes=size)


def write(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
    return path
