"""The calls in which the compiled model is held to the original.

Each call starts from an empty cache, from one that calls before it have filled, or where the call before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from actcache.passes.cuts.case import Case, Division
from actcache.passes.cuts.feeds import Feed
from actcache.verification.comparison import identical

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


def cases(
    sample: Feed,
    divisions: Sequence[Division],
    cones: Sequence[Sequence[str]] = (),
    sequences: Sequence[Sequence[int]] = (),
) -> Iterator[Case]:
    """Yield the calls that verification makes for one sample.

    Args:
        sample: Inputs for one call.
        divisions: How the inputs are divided into units; none where all is cached by whole calls.
        cones: Per region the graph inputs that it depends on.
        sequences: Sizes of growing calls that are tried besides (:data:`SEQUENCES`).
    """
    yield Case("cold and warm", sample, repeat=True)
    for cone in cones:
        other = {name: a if name in cone else _rolled(a) for name, a in sample.items()}
        if not all(identical(other[name], a) for name, a in sample.items()):
            yield Case(f"only {', '.join(cone)} seen before", other, prepare=(sample,))
    for division in divisions:
        yield from division.cases(sample, sequences)


def _rolled(value: Any) -> Any:
    """Return other values of the same shape, in each part of a sequence; a map stays as it is."""
    if isinstance(value, list):
        return [_rolled(part) for part in value]
    return np.roll(value, 1) if isinstance(value, np.ndarray) else value


def affordable(run: Run, sample: Feed, divisions: Sequence[Division]) -> tuple[tuple[int, ...], ...]:
    """Return the sequences to try: all of :data:`SEQUENCES`, or those that a slow model gets done with in time.

    Args:
        run: Runs the original; one call is timed.
        sample: Inputs for that call.
        divisions: How they are divided into units.
    """
    counts = [division.count(sample) for division in divisions]
    units = max(counts, default=1)
    start = time.perf_counter()
    run(sample)
    unit_seconds = (time.perf_counter() - start) / max(units, 1)
    found, asked, seconds = [], set[int](), 0.0
    for sequence in SEQUENCES:
        # The original runs each size once, the compiled model the last of a sequence in parts.
        seconds += unit_seconds * (sum(set(sequence) - asked) + sequence[-1]) * len(counts)
        asked |= set(sequence)
        if seconds <= _SECONDS or sequence[-1] <= _ALWAYS:
            found.append(sequence)
    return tuple(found)
