"""How long a beginning a call of prefixes has in common with another one, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actcache.inspection.call_comparison import Array, Call, Why, said_by_calls, shared_difference, units_of
from actcache.model.compiled_model import Lookup
from actcache.passes.cuts import PrefixCut


@dataclass(frozen=True)
class Sequences:
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
        reason = why_uncached(lookup, cut, call.values)
        if reason is not None:
            text = f"the {which} call is computed without the cache: {reason}"
            return [Why(lookup.id, None, "bypassed" if call is second else "miss", "no rows", text)]
    known, asked = (sequences_of(lookup, cut, call.values) for call in (first, second))
    said = said_by_calls(first, second)
    if said is not None:
        return [Why(lookup.id, row, *said) for row in range(asked.count)]
    axes = dict(zip(lookup.frontier, zip(cut.frontier_axes, cut.frontier_positions, strict=True), strict=True))
    shared = shared_difference(first.values, second.values, axes)
    if shared is not None:
        return [Why(lookup.id, row, "miss", *shared) for row in range(asked.count)]
    return list(_rows(lookup.id, cut, known, asked))


def why_uncached(lookup: Lookup, cut: PrefixCut, values: Mapping[str, Array]) -> str | None:
    """Return why a call with these frontier tensors is computed without the cache; None: it is not."""
    units = units_of(lookup, values)
    if units.count == 0:
        return units.text or "it has no positions"
    mask = cut.closed_mask([values[name] for name in lookup.frontier])
    if mask is None:
        return None
    wanted = "1 everywhere" if mask in cut.ones else "a mask of 0 and 1 that begins with 1"
    return f"'{lookup.frontier[mask]}' is not {wanted}"


def _rows(region: str, cut: PrefixCut, known: Sequences, asked: Sequences) -> Iterator[Why]:
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
            text += f"; only {shortest} are known of another row of the call, so all rows are computed from there on"
        yield Why(region, row, "miss", "prefix", text, details)


def _common(known: Sequences, there: int, asked: Sequences, row: int) -> int:
    """Return how many positions two rows have in common from the beginning."""
    length = min(known.length, asked.length)
    for one, two in zip(known.tensors, asked.tensors, strict=True):
        differing = (known.row(one, there)[:length] != asked.row(two, row)[:length]).any(-1)
        length = int(np.argmax(differing)) if differing.any() else length
    return length


def _difference(known: Sequences, there: int, asked: Sequences, row: int, position: int) -> str:
    """Say what stands against position `position`."""
    if position >= known.length:
        return f"; the first call ends there, after {known.length} positions"
    for name, one, two in zip(asked.names, known.tensors, asked.tensors, strict=True):
        if (known.row(one, there)[position] != asked.row(two, row)[position]).any():
            return f"; position {position} differs in '{name}'"
    return ""


def sequences_of(lookup: Lookup, cut: PrefixCut, values: Mapping[str, Array]) -> Sequences:
    """Return the positions of a call with these frontier tensors."""
    names, tensors = [], []
    for name, row, position in zip(lookup.frontier, cut.frontier_axes, cut.frontier_positions, strict=True):
        if position is None:
            continue
        names.append(name)
        array = values[name][None] if row is None else np.moveaxis(values[name], row, 0)
        at = position + 1 if row is None else position + (position < row)
        array = np.moveaxis(array, at, 1)
        tensors.append(_bits(np.ascontiguousarray(array)))
    return Sequences(names, tensors, tensors[0].shape[1])


def _bits(array: Array) -> Array:
    """Return the elements of each position as they are compared: by their bits, or as texts."""
    flat = array.reshape(*array.shape[:2], -1)
    return flat if flat.dtype.kind == "O" else flat.view(np.uint8)
