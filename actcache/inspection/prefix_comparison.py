"""How long a beginning a call of prefixes has in common with another one, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actcache.inspection.call_comparison import Array, Call, Why, said_by_calls, shared_difference, units_of
from actcache.model.compiled_model import Lookup
from actcache.passes.cuts import PrefixCut


@dataclass(frozen=True)
class _Sequences:
    """The positions of a call.

    Attributes:
        names: Of the tensors that have positions.
        rows: Per tensor [rows, positions, elements]; what has no rows is the same for all.
        length: How many positions a row has.
    """

    names: Sequence[str]
    tensors: Sequence[Array]
    length: int

    @property
    def count(self) -> int:
        """How many rows there are."""
        return max(len(tensor) for tensor in self.tensors)

    def row(self, tensor: Array, number: int) -> Array:
        """Return the positions of one row."""
        found: Array = tensor[min(number, len(tensor) - 1)]
        return found


def explain_prefixes(lookup: Lookup, cut: PrefixCut, first: Call, second: Call) -> list[Why]:
    """Return what happens to every row of `second`, when only `first` was called before; `cut`: that of the region."""
    for which, call in (("second", second), ("first", first)):
        units = units_of(lookup, call.values)
        mask = cut.closed_mask([call.values[name] for name in lookup.frontier]) if units.count else None
        if units.count == 0 or mask is not None:
            closed = f"'{lookup.frontier[mask or 0]}' is no mask of 0 and 1 that begins with 1"
            reason = closed if mask is not None else units.text or "it has no positions"
            text = f"the {which} call is computed without the cache: {reason}"
            return [Why(lookup.id, None, "bypassed" if call is second else "miss", "no rows", text)]
    rows = dict(zip(lookup.frontier, cut.frontier_axes, strict=True))
    positions = dict(zip(lookup.frontier, cut.frontier_positions, strict=True))
    known, asked = (_sequences(call.values, rows, positions) for call in (first, second))
    said = said_by_calls(first, second)
    if said is not None:
        return [Why(lookup.id, row, *said) for row in range(asked.count)]
    axes = {name: (rows[name], positions[name]) for name in lookup.frontier}
    shared = shared_difference(first.values, second.values, axes)
    if shared is not None:
        return [Why(lookup.id, row, "miss", *shared) for row in range(asked.count)]
    return list(_rows(lookup.id, cut, known, asked))


def _rows(region: str, cut: PrefixCut, known: _Sequences, asked: _Sequences) -> Iterator[Why]:
    others = range(known.count)
    best = [max((_common(known, there, asked, row), there) for there in others) for row in range(asked.count)]
    shortest = min(length for length, _ in best) // cut.block * cut.block
    for row, (length, there) in enumerate(best):
        details = {"known": length, "positions": asked.length, "equal_to": there, "used": shortest}
        if shortest == asked.length:
            text = f"all its positions are those of row {there} of the first call"
            yield Why(region, row, "hit", "equal", text, details)
            continue
        text = f"{length} of its {asked.length} positions are known from row {there} of the first call"
        if length < asked.length:
            text += _difference(known, there, asked, row, length)
        if shortest < length:
            text += f"; another row of the call knows {shortest}, from where on all rows are computed"
        yield Why(region, row, "miss", "prefix", text, details)


def _common(known: _Sequences, there: int, asked: _Sequences, row: int) -> int:
    """Return how many positions two rows have in common from the beginning."""
    length = min(known.length, asked.length)
    for one, two in zip(known.tensors, asked.tensors, strict=True):
        differing = (known.row(one, there)[:length] != asked.row(two, row)[:length]).any(-1)
        length = int(np.argmax(differing)) if differing.any() else length
    return length


def _difference(known: _Sequences, there: int, asked: _Sequences, row: int, position: int) -> str:
    """Say what stands against position `position`."""
    if position >= known.length:
        return f"; the first call ends there, after {known.length} positions"
    for name, one, two in zip(asked.names, known.tensors, asked.tensors, strict=True):
        if (known.row(one, there)[position] != asked.row(two, row)[position]).any():
            return f"; position {position} differs in '{name}'"
    return ""


def _sequences(
    values: Mapping[str, Array], rows: Mapping[str, int | None], positions: Mapping[str, int | None]
) -> _Sequences:
    names = [name for name, axis in positions.items() if axis is not None]
    tensors = []
    for name in names:
        row, position = rows[name], positions[name]
        assert position is not None
        array = values[name][None] if row is None else np.moveaxis(values[name], row, 0)
        at = position + 1 if row is None else position + (position < row)
        array = np.moveaxis(array, at, 1)
        tensors.append(_bits(np.ascontiguousarray(array)))
    return _Sequences(names, tensors, tensors[0].shape[1])


def _bits(array: Array) -> Array:
    """Return the elements of each position as they are compared: by their bits, or as texts."""
    flat = array.reshape(*array.shape[:2], -1)
    return flat if flat.dtype.kind == "O" else flat.view(np.uint8)
