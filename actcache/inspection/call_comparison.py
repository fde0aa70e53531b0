"""Why a call would hit or miss after another one: their frontiers compared as the keys see them.

A key covers the bytes of a row, so elements are compared bit for bit: -0.0 is not 0.0, and a NaN equals itself. What
makes a call one entry instead of rows is the region's cut (:mod:`actcache.passes.cuts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.inspection.array_difference import Element, first_difference, row_bits
from actcache.model.compiled_model import Lookup
from actcache.passes.cuts import TensorShape, Units

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Why:
    """What happens to one row of a call, and why. Any source of such records can be shown (inputs, an audit log).

    Attributes:
        region: Id of the region.
        row: The row; None: the call is one entry.
        outcome: ``hit``, ``duplicate`` (of an earlier row of the call: computed once), ``miss``, ``bypassed`` (not
            looked up), ``not asked`` (a region around it has the row, or the call takes another branch), ``unknown``.
        reason: One word for programs: ``equal``, ``element``, ``shape``, ``type``, ``prefix`` (not all positions of the
            row are known), ``entry`` (one of the calls is one entry, the other rows), ``namespace``, ``control``, ``no
            rows``, ``outer``, ``branch``, ``unreadable``; of an audit log also ``new`` (never asked for before),
            ``evicted``, ``expired``, ``invalidated``, ``refused`` (not worth storing), ``first sight`` (not stored, as
            nothing had repeated), ``uncacheable``, ``computed`` (not stored yet), ``joined``, ``verified``, ``state``
            (bypassed or disabled), ``off``, ``fingerprint``, ``not recorded``, ``unexplained``.
        text: The reason in a sentence.
        details: The same for programs; keys depend on the reason.
    """

    region: str
    row: int | None
    outcome: str
    reason: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the record as ``--json`` prints it."""
        known = {"region": self.region, "row": self.row, "outcome": self.outcome, "reason": self.reason}
        return {**known, "text": self.text, "details": dict(self.details)}


@dataclass(frozen=True)
class Call:
    """What a region sees of one call.

    Attributes:
        values: Its frontier tensors, by name.
        namespace: The namespace that the call names, if the model takes one.
        control: ``use``, ``bypass`` or ``refresh``.
    """

    values: Mapping[str, Array]
    namespace: str | None = None
    control: str = "use"


def units_of(lookup: Lookup, values: Mapping[str, Array]) -> Units:
    """Return how a call with these frontier tensors is divided."""
    return lookup.cut.units([TensorShape.of(values[name]) for name in lookup.frontier], lookup.frontier)


def why(lookup: Lookup, first: Call, second: Call) -> list[Why]:
    """Return what happens to every row of `second` when nothing but `first` was called before."""
    one, two = units_of(lookup, first.values), units_of(lookup, second.values)
    if two.count == 0:
        return [Why(lookup.id, None, "bypassed", "no rows", "the call has no rows: nothing is looked up")]
    said = said_by_calls(first, second) or _other_units(one, two, lookup.cut.min_units)
    if said is not None:
        outcome, reason, text, details = said
        rows: Sequence[int | None] = range(two.count) if two.divided else [None]
        records = [Why(lookup.id, row, outcome, reason, text, details) for row in rows]
    else:
        records = list(_Comparison(lookup, first.values, second.values, by_row=two.divided).records())
    return _with_duplicates(records, lookup, second.values) if two.divided else records


def said_by_calls(first: Call, second: Call) -> tuple[str, str, str, dict[str, Any]] | None:
    """Return what the calls say about the cache, where that decides alone: outcome, reason, text, details."""
    if second.control == "bypass":
        return "bypassed", "control", "the call asks for bypass: nothing is looked up", {}
    if second.control == "refresh":
        return "miss", "control", "the call asks for refresh: everything is computed afresh", {}
    if first.control == "bypass":
        return "miss", "control", "the first call asked for bypass: it stored nothing", {}
    if first.namespace != second.namespace:
        text = f"the calls name different namespaces: '{first.namespace}' there, '{second.namespace}' here"
        return "miss", "namespace", text, {"namespaces": [first.namespace, second.namespace]}
    return None


def _other_units(one: Units, two: Units, min_rows: int) -> tuple[str, str, str, dict[str, Any]] | None:
    """Why the calls have no entries in common, whatever is in them; likewise."""
    if one.count == 0:
        return "miss", "no rows", "the first call has no rows: it stored nothing", {}
    if one.divided and two.divided:
        if min(one.count, min_rows) == min(two.count, min_rows):
            return None
        counts = f"the calls have {one.count} and {two.count} rows"
        text = f"{counts}: those of fewer than {min_rows} share no entries with others"
        return "miss", "row count", text, {"rows": [one.count, two.count]}
    if not one.divided and not two.divided:
        return None
    which, cause = ("second", two.text) if one.divided else ("first", one.text)
    return "miss", "entry", f"the {which} call is one entry, the other is rows: {cause}", {"cause": cause}


def equal_rows(lookup: Lookup, values: Mapping[str, Array]) -> list[int]:
    """Return for every row of a call that is cut into rows the first one that it is equal to."""
    axes = zip(lookup.frontier, lookup.cut.frontier_axes, strict=True)
    rows = list(_keys([row_bits(values[name], axis) for name, axis in axes if axis is not None]))
    first = {key: row for row, key in reversed(list(enumerate(rows)))}
    return [first[key] for key in rows]


def _with_duplicates(records: Sequence[Why], lookup: Lookup, values: Mapping[str, Array]) -> list[Why]:
    """Of equal rows that miss, only the first is computed."""
    first = equal_rows(lookup, values)
    found = []
    for record in records:
        same = first[record.row] if record.row is not None else None
        if record.outcome == "miss" and same is not None and same != record.row:
            text, details = f"equal to row {same} of the same call", {"duplicate_of": same}
            found.append(Why(lookup.id, record.row, "duplicate", "equal", text, details))
        else:
            found.append(record)
    return found


class _Comparison:
    """Two calls that are cut into entries in the same way."""

    def __init__(self, lookup: Lookup, first: Mapping[str, Array], second: Mapping[str, Array], by_row: bool) -> None:
        self.lookup, self.first, self.second = lookup, first, second
        self.axes = dict(
            zip(lookup.frontier, lookup.cut.frontier_axes if by_row else (None,) * len(first), strict=True)
        )
        self.by_row = by_row
        self.count = 1 if not by_row else next(second[n].shape[a] for n, a in self.axes.items() if a is not None)

    def records(self) -> Iterator[Why]:
        axes = {name: (axis,) for name, axis in self.axes.items()}
        shared = shared_difference(self.first, self.second, axes)
        if shared is not None:
            reason, text, details = shared
            for row in range(self.count):
                yield self._record(row, "miss", reason, text, details)
            return
        if not self.by_row:
            yield self._record(0, "hit", "equal", "equal to the first call", {})
            return
        names = [name for name, axis in self.axes.items() if axis is not None]
        one = [row_bits(self.first[name], self.axes[name]) for name in names]
        two = [row_bits(self.second[name], self.axes[name]) for name in names]
        known = {key: row for row, key in reversed(list(enumerate(_keys(one))))}
        for row, key in enumerate(_keys(two)):
            yield self._hit(row, known[key]) if key in known else self._nearest(row, names, one, two)

    def _record(self, row: int, outcome: str, reason: str, text: str, details: Mapping[str, Any]) -> Why:
        return Why(self.lookup.id, row if self.by_row else None, outcome, reason, text, details)

    def _hit(self, row: int, known: int) -> Why:
        return self._record(row, "hit", "equal", f"equal to row {known} of the first call", {"equal_to": known})

    def _nearest(self, row: int, names: Sequence[str], one: Sequence[Array], two: Sequence[Array]) -> Why:
        """Describe a row that misses by the row of the first call that differs in the fewest elements; of several, the
        one in its own place.
        """
        differing = np.sum([np.count_nonzero(a != b[row], axis=1) for a, b in zip(one, two, strict=True)], axis=0)
        nearest = int(np.argmin(differing))
        if row < len(differing) and differing[row] == differing[nearest]:
            nearest = row
        pairs = zip(names, one, two, strict=True)
        name = next(name for name, a, b in pairs if np.any(a[nearest] != b[row]))
        axis = self.axes[name]
        found = first_difference(np.take(self.first[name], nearest, axis), np.take(self.second[name], row, axis))
        assert found is not None and axis is not None  # the row misses, and the tensor has rows
        index = [*found.index[:axis], row, *found.index[axis:]]
        text = f"nearest is row {nearest} of the first call; '{name}' differs {_place(found, index)}"
        details = {"tensor": name, "nearest_row": nearest, **found.to_json(), "index": index}
        return self._record(row, "miss", "element", text, details)


def shared_difference(
    first: Mapping[str, Array], second: Mapping[str, Array], axes: Mapping[str, Sequence[int | None]]
) -> tuple[str, str, dict[str, Any]] | None:
    """Return what the keys of all units cover and differs between two calls: reason, text, details; None: nothing.

    Args:
        first: The frontier tensors of a call.
        second: Those of another.
        axes: Per tensor the axes along which units lie; None: none.
    """
    found = {name: tuple(axis for axis in own if axis is not None) for name, own in axes.items()}
    return _other_description(first, second, found) or _other_whole_tensor(first, second, found)


def _other_description(
    first: Mapping[str, Array], second: Mapping[str, Array], axes: Mapping[str, tuple[int, ...]]
) -> tuple[str, str, dict[str, Any]] | None:
    """Types, and shapes without the axes of units."""
    for name, own in axes.items():
        one, two = first[name], second[name]
        if one.dtype != two.dtype:
            text = f"'{name}' is {one.dtype} there and {two.dtype} here"
            return "type", text, {"tensor": name, "types": [str(one.dtype), str(two.dtype)]}
        if _without(one.shape, own) != _without(two.shape, own):
            text = f"'{name}' has shape {list(one.shape)} there and {list(two.shape)} here"
            if own:
                text += f", of which only axis {' and '.join(map(str, own))} holds rows"
            return "shape", text, {"tensor": name, "shapes": [list(one.shape), list(two.shape)]}
    return None


def _other_whole_tensor(
    first: Mapping[str, Array], second: Mapping[str, Array], axes: Mapping[str, tuple[int, ...]]
) -> tuple[str, str, dict[str, Any]] | None:
    """Tensors that belong to all units."""
    for name, own in axes.items():
        if not own:
            found = first_difference(first[name], second[name])
            if found is not None:
                text = f"'{name}', which all entries cover, differs {_place(found)}"
                return "element", text, {"tensor": name, **found.to_json()}
    return None


def _place(found: Element, index: Sequence[int] | None = None) -> str:
    where = f"at {list(found.index if index is None else index)}: {found}"
    return f"in {found.differing} of {found.elements} elements, first {where}" if found.elements > 1 else where


def _keys(tensors: Sequence[Array]) -> Iterator[Any]:
    """Yield what tells the rows of a call apart: their bytes, or the texts in them."""
    for row in range(len(tensors[0])):
        yield tuple(tuple(t[row]) if t.dtype.kind == "O" else t[row].tobytes() for t in tensors)


def _without(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)
