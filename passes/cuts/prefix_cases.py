"""How a model is divided into the positions of a sequence, and the calls that show whether earlier ones depend on later
ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from actcache.passes.cuts.case import Case, Division, Part
from actcache.passes.cuts.feeds import Array, Feed, first_rows, more_rows, row_count, take

#: A sample has at least so many positions while cases are made; more are made up.
_ENOUGH = 12
#: How many positions are appended to known ones.
_APPENDED = (1, 2, 5)
#: How many positions an earlier call has left.
_PAST = 3


class PrefixDivision(Division, frozen=True):
    """The positions of a sequence.

    Attributes:
        positions: Graph input to the axis of its positions.
        rows: Graph input to the axis of its rows, where each row has a beginning of its own.
        pasts: Graph input to the axis along which it has the positions of earlier calls: in the calls that are divided
            there are none.
        ones: Masks that are 1 everywhere in the calls that are divided.
    """

    positions: Mapping[str, int]
    rows: Mapping[str, int] = {}
    pasts: Mapping[str, int] = {}
    ones: tuple[str, ...] = ()

    def count(self, sample: Feed) -> int:
        """Return how many positions a sample has; see :meth:`Division.count`."""
        axes = _within(self.positions, sample)
        return row_count(sample, axes) if axes else 0

    def _first_call(self, sample: Feed) -> Feed:
        """Return a sample without the positions of earlier calls, and with open masks."""
        sample = sample | {name: np.ones_like(sample[name]) for name in self.ones if name in sample}
        pasts, axes = _within(self.pasts, sample), _within(self.positions, sample)
        if not pasts or not axes:
            return sample
        return first_rows(first_rows(sample, pasts, 0), axes, self.count(sample))

    def parts(self, sample: Feed) -> Iterator[Part]:
        """Yield beginnings of a sample: no later part is a call of its own; see :meth:`Division.parts`."""
        axes, count = _within(self.positions, sample), self.count(sample)
        sample = self._first_call(sample)
        for end in sorted({2, (count + 1) // 2, count - 1}):
            if 1 < end < count:
                yield Part(first_rows(sample, axes, end), 0, end, count)

    def cases(self, sample: Feed, sequences: Sequence[Sequence[int]] = ()) -> Iterator[Case]:
        """Yield calls that begin as known ones do, go on in another way, and are longer or shorter; see
        :meth:`Division.cases`.
        """
        axes = _within(self.positions, sample)
        if not axes or self.count(sample) == 0:
            return
        given, sample = sample, self._first_call(sample)
        if any(not np.array_equal(given[name], sample[name]) for name in self.ones if name in sample):
            yield Case("masks that close positions", given, repeat=True)
        largest = max([_ENOUGH, *(size for sequence in sequences for size in sequence)])
        grown = more_rows(sample, axes, -(-largest // self.count(sample)))
        yield from _growing_cases(grown, axes, sequences)
        full = sample if self.count(sample) >= _ENOUGH else first_rows(grown, axes, _ENOUGH)
        yield from _beginning_cases(full, axes)
        rows = _within(self.rows, full)
        if rows:
            yield from _batch_cases(full, axes, rows)
        yield from _later_cases(full, axes, _within(self.pasts, full))


def _within(axes: Mapping[str, int], sample: Feed) -> dict[str, int]:
    return {name: axis for name, axis in axes.items() if name in sample}


def _growing_cases(grown: Feed, axes: Mapping[str, int], sequences: Sequence[Sequence[int]]) -> Iterator[Case]:
    for sequence in (*sequences, (1, 2, 3, 4)):
        before = 0
        for size in sequence:
            known = f", {before} of them known" if before else ""
            yield Case(f"{size} positions{known}", first_rows(grown, axes, size), follows=before > 0)
            before = size


def _beginning_cases(full: Feed, axes: Mapping[str, int]) -> Iterator[Case]:
    count = row_count(full, axes)
    half = first_rows(full, axes, (count + 1) // 2)
    yield Case("a longer sequence, half known", full, prepare=(half,), repeat=True)
    for number in _APPENDED:
        known = first_rows(full, axes, count - number)
        yield Case(f"{number} positions appended", full, prepare=(known,), repeat=True, anew=True)
    yield Case("the same beginning, another end", other_end(full, axes, (count + 1) // 2), prepare=(full,), repeat=True)
    yield Case("another beginning, the same end", other_start(full, axes), prepare=(full,))
    yield Case("shorter than the known sequence", half, prepare=(full,), repeat=True)
    yield Case("one position of a known sequence", first_rows(full, axes, 1), prepare=(full,))


def _batch_cases(full: Feed, axes: Mapping[str, int], rows: Mapping[str, int]) -> Iterator[Case]:
    """Calls whose rows know beginnings of different lengths."""
    count = row_count(full, axes)
    two = more_rows(full, rows, 2)
    order = np.arange(row_count(two, rows))
    first = take(two, rows, order[: len(order) // 2])
    ended = other_end(two, axes, count // 2)
    yield Case("half of the rows known", two, prepare=(first,))
    yield Case("other rows, in another order", take(two, rows, order[::-1]), prepare=(two,))
    seen = (take(ended, rows, order[:1]), first)
    yield Case("beginnings of different lengths", two, prepare=seen, repeat=True, anew=True)


def _later_cases(full: Feed, axes: Mapping[str, int], pasts: Mapping[str, int]) -> Iterator[Case]:
    """Calls that go on from an earlier one. A mask, say, has the positions of both; the original knows which do."""
    later, random = first_rows(full, axes, 2), np.random.default_rng(0)
    for name, axis in pasts.items():
        shape = [_PAST if a == axis else size for a, size in enumerate(full[name].shape)]
        later[name] = random.standard_normal(shape).astype(full[name].dtype)
    for longer in (None, *axes) if pasts else ():
        name = f"behind {_PAST} positions of an earlier call" + ("" if longer is None else f", '{longer}' has all")
        both = {} if longer is None else {longer: axes[longer]}
        feed = later | {n: a for n, a in first_rows(full, both, 2 + _PAST).items() if n in both}
        yield Case(name, feed, prepare=(full, first_rows(full, axes, 2)), repeat=True)


def other_end(feed: Feed, axes: Mapping[str, int], first: int) -> Feed:
    """Return a feed with other values from position `first` on: those of positions one before."""
    return {name: _shifted(a, axes[name], first) if name in axes else a for name, a in feed.items()}


def _shifted(array: Array, axis: int, first: int) -> Array:
    begin, end = np.split(array, [first], axis)
    return np.concatenate([begin, np.roll(end.reshape(-1), 1).reshape(end.shape)], axis)


def other_start(feed: Feed, axes: Mapping[str, int]) -> Feed:
    """Return a feed whose first position has the values of its second."""
    order = np.arange(row_count(feed, axes))
    order[:1] = min(1, len(order) - 1)
    return take(feed, axes, order)
