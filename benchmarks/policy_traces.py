"""Traces for eviction policies: synthetic ones, shapes known from public data sets, and this project's own streams.

A trace is three arrays of equal length. An object has one size and one cost wherever it occurs. All are made from
fixed seeds or from the data's own order, so that every run replays the same requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from models.workloads import WORKLOADS
from models.workloads.stream import Row

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

KB, MB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Trace:
    """A sequence of requests.

    Attributes:
        name: How tables name it.
        keys: Number of the object that each request asks for.
        sizes: Bytes that its entry takes, bookkeeping included.
        costs: Nanoseconds that computing it takes.
    """

    name: str
    keys: Integers
    sizes: Integers
    costs: Integers

    @property
    def footprint(self) -> int:
        """Bytes of all objects together."""
        _, first = np.unique(self.keys, return_index=True)
        return int(self.sizes[first].sum())

    @property
    def equal_costs(self) -> bool:
        """Whether every object costs the same."""
        return bool((self.costs == self.costs[0]).all())


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _log_uniform(random: np.random.Generator, low: float, high: float, count: int) -> Integers:
    return np.exp(random.uniform(np.log(low), np.log(high), count)).astype(np.int64)


def _of_objects(name: str, keys: Integers, seed: int, *, equal_costs: bool = False) -> Trace:
    """Sizes of 1 KB to 16 MB and costs of 20 µs to 200 ms, log-uniform and independent of each other and of use."""
    random, objects = _random(seed), int(keys.max()) + 1
    sizes = _log_uniform(random, KB, 16 * MB, objects)
    costs = _log_uniform(random, 2e4, 2e8, objects)
    if equal_costs:
        costs[:] = 1_000_000
    return Trace(name, keys, sizes[keys], costs[keys])


def _zipf(random: np.random.Generator, exponent: float, objects: int, count: int, shift: float = 0.0) -> Integers:
    """Ranks from 0, drawn with probability ~ (rank + 1 + shift)^-exponent (Zipf–Mandelbrot)."""
    weights = (np.arange(1, objects + 1) + shift) ** -exponent
    return np.searchsorted(np.cumsum(weights / weights.sum()), random.random(count)).clip(max=objects - 1)


def _with_one_hit_wonders(random: np.random.Generator, keys: Integers, share: float) -> Integers:
    """Replaces this share of the requests by ones for objects that nobody asks for again."""
    wonders = random.random(len(keys)) < share
    return np.where(wonders, keys.max() + 1 + np.cumsum(wonders), keys)


def _popular(seed: int, count: int = 300_000, objects: int = 20_000) -> Integers:
    random = _random(seed)
    return _with_one_hit_wonders(random, _zipf(random, 0.8, objects, count), 0.25)


def zipf() -> Trace:
    """Zipf(0.8) with 25 % one-hit wonders: what inference traffic is feared to look like."""
    return _of_objects("Zipf, one-hit wonders", _popular(1), seed=2)


def zipf_equal_costs() -> Trace:
    """The same requests, but every object costs the same."""
    return _of_objects("the same, equal costs", _popular(1), seed=2, equal_costs=True)


def scans() -> Trace:
    """Zipf(0.8), and after every 20,000 requests a scan over 4,000 other objects, the same ones each time."""
    random = _random(3)
    scan = 10_000 + np.arange(4_000)
    pieces = [part for _ in range(12) for part in (_zipf(random, 0.8, 10_000, 20_000), scan)]
    return _of_objects("scans", np.concatenate(pieces), seed=4)


def loop() -> Trace:
    """One loop over 10,000 objects, thirty times: LRU never hits."""
    return _of_objects("loop", np.tile(np.arange(10_000), 30), seed=5)


def shifting() -> Trace:
    """Zipf(0.9) whose ranking is drawn anew every 60,000 requests: what was popular is not any more."""
    random = _random(6)
    phases = [random.permutation(15_000)[_zipf(random, 0.9, 15_000, 60_000)] for _ in range(5)]
    return _of_objects("shifting popularity", np.concatenate(phases), seed=7)


def bursts() -> Trace:
    """Half Zipf(0.8), half objects that are asked for 2 to 12 times within some 2,000 requests and then never again."""
    random = _random(8)
    count, background = 300_000, 10_000
    lengths = random.integers(2, 13, size=count)
    burst = np.repeat(np.arange(count), lengths)[: count // 2]
    moments = np.repeat(random.uniform(0, count, count), lengths)[: count // 2]
    moments = moments + random.exponential(700, len(burst))
    steady = _zipf(random, 0.8, background, count - len(burst))
    order = np.argsort(np.concatenate([moments, random.uniform(0, count, len(steady))]), kind="stable")
    keys = np.concatenate([background + burst, steady])[order]
    return _of_objects("bursts", np.unique(keys, return_inverse=True)[1], seed=9)


def films() -> Trace:
    """Users who rate films, as in MovieLens.

    Popularity falls like a Zipf–Mandelbrot law, new films appear all the time and are asked for most when they are new,
    and nobody rates a film twice. An entry is an item tower's vector of 256 floats; all cost the same.
    """
    random, films, users = _random(10), 20_000, 4_000
    appeal = random.permutation((np.arange(1, films + 1) + 50.0) ** -1.2)
    released = np.sort(random.uniform(-2, 1, films))  # most are there already
    keys = []
    for user in range(users):
        age = user / users - released
        weights = np.where(age < 0, 0.0, appeal * (0.1 + np.exp(-age / 0.1)))
        count = min(int(random.lognormal(4.0, 0.8)) + 5, 500)
        # The largest of weighted exponentials: a draw without replacement (Efraimidis & Spirakis 2006).
        draws = random.exponential(size=films) / np.maximum(weights, 1e-300)
        keys.append(random.permutation(np.argpartition(draws, count)[:count]))
    together = np.concatenate(keys)
    return Trace("films", together, np.full_like(together, 1200), np.full_like(together, 800_000))


def words() -> Trace:
    """Words of running text (Zipf–Mandelbrot, exponent 1.07, shift 2.7): frequent words are short.

    An entry is a character encoder's state per letter, of 128 floats, and cost grows with the letters too.
    """
    random, kinds = _random(11), 60_000
    letters = np.clip(1.5 + 1.1 * np.log(np.arange(1, kinds + 1)) * random.lognormal(0, 0.3, kinds), 1, 30).astype(int)
    keys = _zipf(random, 1.07, kinds, 400_000, shift=2.7)
    return Trace("words", keys, (160 + 512 * letters)[keys], (20_000 + 15_000 * letters)[keys])


@dataclass(frozen=True)
class Region:
    """What a row of one of the project's workloads takes, as its compiled model measured it on two cores."""

    workload: str
    rows: int
    size: int
    cost: int


#: One store for all of them, as in a process that serves several models.
REGIONS = (
    Region("table-cells", 40_000, 19_408, 25_300_000),
    Region("cell-directions", 40_000, 176, 2_390_000),
    Region("strike-remarks", 16_000, 101_152, 3_230_000),
    Region("artwork-media", 4_200, 17_433, 2_700_000),
)


def _content_keys(rows: Iterable[Row]) -> Integers:
    """Numbers rows by their bytes: equal rows, equal numbers."""
    numbers: dict[bytes, int] = {}
    keys = []
    for row in rows:
        digest = hashlib.blake2b(digest_size=16)
        for tensor in row.values():
            digest.update(tensor.tobytes())
        keys.append(numbers.setdefault(digest.digest(), len(numbers)))
    return np.array(keys)


def real_streams() -> list[Trace]:
    """Rows of the demo's inputs: each workload alone, then all of them through one store, shuffled together.

    Needs the data of the catalogue, which is fetched on first use.
    """
    traces, moments, first = [], [], 0
    for region in REGIONS:
        keys = first + _content_keys(islice(WORKLOADS[region.workload].stream(), region.rows))
        first = int(keys.max()) + 1
        traces.append(
            Trace(region.workload, keys, np.full_like(keys, region.size), np.full_like(keys, region.cost)),
        )
        moments.append(np.linspace(0, 1, len(keys)))
    order = np.argsort(np.concatenate(moments), kind="stable")
    together = (np.concatenate([getattr(t, part) for t in traces])[order] for part in ("keys", "sizes", "costs"))
    return [*traces, Trace("all four, one store", *together)]


SYNTHETIC: tuple[Callable[[], Trace], ...] = (zipf, zipf_equal_costs, scans, loop, shifting, bursts, films, words)
