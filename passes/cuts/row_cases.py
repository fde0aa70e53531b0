"""How a model is divided into the rows of its batch, and the calls that show whether those depend on each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from actcache.passes.cuts.case import Case, Division, Part
from actcache.passes.cuts.feeds import Feed, first_rows, more_rows, row_count, take

#: Rows that are run one at a time.
_SINGLE_ROWS = 4


class RowDivision(Division, frozen=True):
    """The rows of a batch.

    Attributes:
        axes: Graph input to the axis of its rows.
    """

    axes: Mapping[str, int]

    def count(self, sample: Feed) -> int:
        """Return how many rows a sample has; see :meth:`Division.count`."""
        axes = self._of(sample)
        return row_count(sample, axes) if axes else 0

    def parts(self, sample: Feed) -> Iterator[Part]:
        """Yield single rows and halves of a sample; see :meth:`Division.parts`."""
        axes = self._of(sample)
        counts = {int(sample[name].shape[axis]) for name, axis in axes.items()}
        if len(counts) != 1 or (count := counts.pop()) < 2:
            return
        half = (count + 1) // 2
        for first, end in [*((i, i + 1) for i in range(min(count, _SINGLE_ROWS))), (0, half), (half, count)]:
            yield Part(take(sample, axes, np.arange(first, end)), first, end, count)

    def cases(self, sample: Feed, sequences: Sequence[Sequence[int]] = ()) -> Iterator[Case]:
        """Yield calls of other rows, of the same in another order, and of known and new ones; see
        :meth:`Division.cases`.
        """
        axes = self._of(sample)
        if axes:
            # Small batches first: they cost little, and show most of what differs.
            yield from _sized_cases(sample, axes, sequences)
            yield from _row_cases(sample, axes)

    def _of(self, sample: Feed) -> dict[str, int]:
        return {name: axis for name, axis in self.axes.items() if name in sample}


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
