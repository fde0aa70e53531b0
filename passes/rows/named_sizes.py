"""Sizes that the author of the model names: axes of graph inputs with one name have one size, ``a + b`` is a sum.

Exporters rely on that: they read the number of tokens off the mask and use it for the ids. onnxruntime does not check
it, so a proof that takes it for granted holds under *size equations* between the axes of the region's frontier, and the
lookup checks those in every call. The name of the rows takes no part: that all rows are N is checked anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from actcache.passes.graph.cones import cones
from actcache.passes.graph.view import GraphView
from actcache.passes.rows.sizes import Size, Symbols, const

#: Input and axis.
Axis = tuple[str, int]


@dataclass(frozen=True)
class SizeEquation:
    """The size of `axis` is `constant` and the sizes of `terms` together."""

    axis: Axis
    constant: int
    terms: tuple[Axis, ...]


@dataclass(frozen=True)
class _Name:
    """A name taken apart: single names, sorted, and a number. ``past + tokens + 1``."""

    parts: tuple[str, ...]
    constant: int

    @classmethod
    def parse(cls, text: str) -> _Name:
        words = [word.strip() for word in text.split("+")]
        numbers = [int(word) for word in words if word.isdecimal()]
        return cls(tuple(sorted(word for word in words if not word.isdecimal())), sum(numbers))

    @property
    def single(self) -> bool:
        return len(self.parts) == 1 and not self.constant


class NamedSizes:
    """One symbol per name.

    Args:
        view: The model.
        row_axes: Graph input to the axis of its rows.
        symbols: Makes the symbols.
    """

    def __init__(self, view: GraphView, row_axes: Mapping[str, int], symbols: Symbols) -> None:
        self._view = view
        self._names: dict[Axis, _Name] = {}
        rows = {name for _, name in _named(view, row_axes)}
        for axis, name in _named(view):
            parsed = _Name.parse(name)
            if rows.isdisjoint((name, *parsed.parts)):
                self._names[axis] = parsed
        known = {name.parts[0] for name in self._names.values() if name.single}
        self._names = {axis: name for axis, name in self._names.items() if known.issuperset(name.parts)}
        self._symbols = {part: symbols.fresh(part) for part in sorted(known)}

    @cached_property
    def _cones(self) -> dict[str, frozenset[str]]:
        return cones(self._view)

    def size(self, name: str, axis: int) -> Size | None:
        """Return the size of an axis of a graph input, None when no name says anything about it."""
        found = self._names.get((name, axis))
        return None if found is None else sum((self._symbols[part] for part in found.parts), const(found.constant))

    def equations(self, frontier: Collection[str]) -> tuple[SizeEquation, ...] | None:
        """Return what has to hold for a region with this frontier; None when its axes alone cannot tell.

        They can when it holds all graph inputs that its other tensors were computed from, and of every sum either all
        parts are there, or none, and no other sum has them: then any size is a sum of some two.
        """
        if any(not self._cones.get(name, frozenset()).issubset(frontier) for name in frontier):
            return None
        first: dict[_Name, Axis] = {}
        found: list[SizeEquation] = []
        for axis, name in self._names.items():
            if axis[0] in frontier and first.setdefault(name, axis) != axis:
                found.append(SizeEquation(axis, 0, (first[name],)))
        absent: set[str] = set()
        for name, axis in first.items():
            terms = [first[part] for part in map(_single, name.parts) if part in first]
            if not name.single and len(terms) == len(name.parts):
                found.append(SizeEquation(axis, name.constant, tuple(terms)))
            elif not name.single and (terms or name.constant or not absent.isdisjoint(name.parts)):
                return None
            elif not name.single:
                absent.update(name.parts)
        return tuple(found)


def _single(part: str) -> _Name:
    return _Name((part,), 0)


def _named(view: GraphView, axes: Mapping[str, int] | None = None) -> Iterator[tuple[Axis, str]]:
    """The axes of graph inputs that have names, or only one axis of some inputs."""
    for name in view.inputs if axes is None else axes:
        shape = view.shape(name) or ()
        for axis in range(len(shape)) if axes is None else (axes[name],):
            size = shape[axis] if -len(shape) <= axis < len(shape) else None
            if isinstance(size, str):
                yield (name, axis), size
