"""The calls in which the compiled model is held to the original.

Each call starts from an empty cache, from one that calls before it have filled, or where the call before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.verification.comparison import identical

Array = npt.NDArray[Any]
Feed = dict[str, Any]  # arrays; lists and dicts of them for sequences and maps
Run = Callable[[Feed], list[Any]]

#: Sizes of growing batches, for ``--exact bits``: around the widths of vectors. Each call of a sequence has the rows of
#: the one before it and new ones, so that a sequence tries its first batch from an empty cache, rows that were computed
#: in a smaller batch, and new rows computed alone, at other places than they have. Every size begins a sequence.
SEQUENCES = (
    (1, 2, 3, 4, 5),
    (2, 7),
    (3, 8),
    (4, 9),
    (5, 7, 8, 9),
    (7, 15),
    (8, 16),
    (9, 17),
    (15, 16, 17),
    (16, 31),
    (17, 33),
    (31, 33),
    (1, 33),
    (33,),
)
#: Sequences that reach this size at most are always tried; others if all of it takes no more seconds than that.
_ALWAYS, _SECONDS = 9, 60.0


@dataclass(frozen=True)
class Case:
    """One call to compare.

    Attributes:
        name: What messages call it.
        feed: Its inputs.
        prepare: Calls that come first, from an empty cache: what has been seen before.
        repeat: Whether it is made twice.
        follows: It is made where the case before it ended, not from an empty cache.
    """

    name: str
    feed: Feed
    prepare: tuple[Feed, ...] = ()
    repeat: bool = False
    follows: bool = False


def cases(
    sample: Feed,
    batches: Sequence[Mapping[str, int]],
    cones: Sequence[Sequence[str]] = (),
    sequences: Sequence[Sequence[int]] = (),
) -> Iterator[Case]:
    """Yield the calls that verification makes for one sample.

    Args:
        sample: Inputs for one call.
        batches: Ways to cut the inputs into rows, each input name to its row axis; none for granularity ``tensor``.
        cones: Per region the graph inputs that it depends on.
        sequences: Sizes of batches that are tried besides (:data:`SEQUENCES`).
    """
    yield Case("cold and warm", sample, repeat=True)
    for cone in cones:
        other = {name: a if name in cone else _rolled(a) for name, a in sample.items()}
        if not all(identical(other[name], a) for name, a in sample.items()):
            yield Case(f"only {', '.join(cone)} seen before", other, prepare=(sample,))
    given = [{name: axis for name, axis in axes.items() if name in sample} for axes in batches]
    for axes in given:
        if axes:
            # Small batches first: they cost little, and show most of what differs.
            yield from _sized_cases(sample, axes, sequences)
            yield from _row_cases(sample, axes)


def _rolled(value: Any) -> Any:
    """Return other values of the same shape, in each part of a sequence; a map stays as it is."""
    if isinstance(value, list):
        return [_rolled(part) for part in value]
    return np.roll(value, 1) if isinstance(value, np.ndarray) else value


def _row_cases(sample: Feed, axes: Mapping[str, int]) -> Iterator[Case]:
    full = sample if row_count(sample, axes) > 1 else more_rows(sample, axes, 4)
    count = row_count(full, axes)
    rows = np.arange(count)
    yield Case("permuted", take(full, axes, rows[::-1]), prepare=(full,))
    yield Case("partly warm", full, prepare=(take(full, axes, rows[: (count + 1) // 2]),))
    yield Case("equal rows", take(full, axes, np.concatenate([rows, rows[:1], rows[-1:]])), repeat=True)
    yield Case("one row", take(full, axes, rows[-1:]), repeat=True)
    yield Case("one row of a known batch", take(full, axes, rows[:1]), prepare=(full,))


def _sized_cases(sample: Feed, axes: Mapping[str, int], sequences: Sequence[Sequence[int]]) -> Iterator[Case]:
    if not sequences:
        return
    largest = max(map(max, sequences))
    grown = more_rows(sample, axes, -(-largest // row_count(sample, axes)))
    # The same feed for the same size: the original is asked once.
    feeds = {size: first_rows(grown, axes, size) for sequence in sequences for size in sequence}
    for sequence in sequences:
        before = None
        for size in sequence:
            known = "" if before is None else f", {before} of them known"
            last = size == sequence[-1]
            yield Case(f"{size} rows{known}", feeds[size], repeat=last, follows=before is not None)
            before = size


def affordable(run: Run, sample: Feed, batches: Sequence[Mapping[str, int]]) -> tuple[tuple[int, ...], ...]:
    """Return the sequences to try: all of :data:`SEQUENCES`, or those that a slow model gets done with in time.

    Args:
        run: Runs the original; one call is timed.
        sample: Inputs for that call.
        batches: Ways to cut them into rows.
    """
    given = [{name: axis for name, axis in axes.items() if name in sample} for axes in batches]
    rows = max((row_count(sample, axes) for axes in given if axes), default=1)
    start = time.perf_counter()
    run(sample)
    row_seconds = (time.perf_counter() - start) / max(rows, 1)
    found, asked, seconds = [], set[int](), 0.0
    for sequence in SEQUENCES:
        # The original runs each size once, the compiled model the last of a sequence in parts.
        seconds += row_seconds * (sum(set(sequence) - asked) + sequence[-1]) * len(given)
        asked |= set(sequence)
        if seconds <= _SECONDS or sequence[-1] <= _ALWAYS:
            found.append(sequence)
    return tuple(found)


def row_count(feed: Feed, axes: Mapping[str, int]) -> int:
    """Return the size of the batch."""
    return min(int(feed[name].shape[axis]) for name, axis in axes.items())


def take(feed: Feed, axes: Mapping[str, int], rows: npt.NDArray[np.int64]) -> Feed:
    """Return the feed with only (or in another order, or repeated) the given rows."""
    return {name: np.take(a, rows, axes[name]) if name in axes else a for name, a in feed.items()}


def first_rows(feed: Feed, axes: Mapping[str, int], count: int) -> Feed:
    """Return the feed with its first rows only. Its arrays are views: no bytes are copied."""
    return {name: a[(slice(None),) * axes[name] + (slice(count),)] if name in axes else a for name, a in feed.items()}


def more_rows(feed: Feed, axes: Mapping[str, int], count: int) -> Feed:
    """Make a batch `count` times as large. Each further copy of the rows has its values rotated, which keeps neighbours
    together; once that has come round, its values are mixed, and floats lie between values that were given.
    """
    result = dict(feed)
    for name, axis in axes.items():
        row = feed[name]
        rounds = row.size // max(row.shape[axis], 1)
        copies = [_rotated(row, shift) if shift < max(rounds, 1) else _mixed(row, shift) for shift in range(count)]
        result[name] = np.concatenate(copies, axis)
    return result


def _rotated(array: Array, shift: int) -> Array:
    return np.roll(array.reshape(-1), shift).reshape(array.shape)


def _mixed(array: Array, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    mixed: Array = generator.permutation(array.reshape(-1)).reshape(array.shape)
    if array.dtype.kind == "f":
        mixed = (mixed + (_rotated(mixed, 1) - mixed) * generator.random(array.shape)).astype(array.dtype)
    return mixed
