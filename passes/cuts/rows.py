"""The rows of a batch, where they are proven not to depend on each other (:mod:`actcache.passes.rows`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx

from actcache.passes.cuts.cut import Cut, Granularity, OneUnit, TensorShape, Units, axes_of, numbers_of
from actcache.passes.graph.nodes import element_bits
from actcache.passes.rows import RowProof

#: Most rows of a call that the operators have numbers for (kMaxPlanRows in custom_ops/src/units/plan.h).
MOST_ROWS = 0x7FFFFFFF

#: Number of a frontier tensor, and axis.
Place = tuple[int, int]


@dataclass(frozen=True)
class SizeRule:
    """The size of `place` is `constant` and the sizes of `terms` together."""

    place: Place
    constant: int
    terms: tuple[Place, ...]

    def text(self, names: Sequence[str]) -> str:
        """Return it for people: ``mask[1] = ids[1] + 1``."""
        total, *terms = (f"{names[number]}[{axis}]" for number, axis in (self.place, *self.terms))
        if self.constant or not terms:
            terms.append(str(self.constant))
        return f"{total} = {' + '.join(terms)}"

    def problem(self, frontier: Sequence[TensorShape]) -> str | None:
        """Return in words why it does not hold; None if it does."""
        sizes = [frontier[number].sizes for number, _ in (self.place, *self.terms)]
        axes = [axis for _, axis in (self.place, *self.terms)]
        if any(axis >= len(own) for own, axis in zip(sizes, axes, strict=True)):
            return "an axis is missing"
        total, *terms = (own[axis] for own, axis in zip(sizes, axes, strict=True))
        wanted = self.constant + sum(terms)
        return None if total == wanted else f"{total} is not {wanted}"


@dataclass(frozen=True)
class RowCut(Cut):
    """The rows of a batch. A call to which the proof does not apply is one unit.

    Attributes:
        sizes: What has to hold between sizes of the frontier for the rows to be independent.
        ranks: Per frontier tensor the rank that the proof believed; None: any. Empty in models compiled before ranks
            were written: any.
    """

    granularity: ClassVar[Granularity] = "row"

    sizes: tuple[SizeRule, ...] = ()
    ranks: tuple[int | None, ...] = ()

    @classmethod
    def proven(cls, proof: RowProof, frontier: Sequence[str], live_outs: Sequence[str]) -> RowCut:
        """Return the cut that a proof allows for a region with this frontier and these live-outs."""
        place = {name: number for number, name in enumerate(frontier)}
        rules = [
            SizeRule(
                (place[equation.axis[0]], equation.axis[1]),
                equation.constant,
                tuple((place[name], axis) for name, axis in equation.terms),
            )
            for equation in proof.size_equations(frontier) or ()
        ]
        ranks = proof.ranks(frontier)
        return cls(
            tuple(map(proof.row_axis, frontier)),
            tuple(map(proof.row_axis, live_outs)),
            sizes=tuple(rules),
            ranks=tuple(ranks.get(name) for name in frontier) if ranks else (),
        )

    @classmethod
    def read(cls, attributes: Mapping[str, Any]) -> RowCut:
        """Return the cut that attributes of a ``CacheLookup`` describe; see :meth:`Cut.read`."""
        return cls(
            axes_of(attributes["input_row_axes"]),
            axes_of(attributes["output_row_axes"]),
            attributes.get("min_rows", 1),
            attributes.get("min_computed_rows"),
            tuple(_size_rules(attributes.get("size_equations", []))),
            axes_of(attributes.get("input_ranks", [])),
        )

    def lookup_attributes(self) -> list[onnx.AttributeProto]:
        """Return those that only ``CacheLookup`` has. Several tools cannot write an empty list: it is left out."""
        found = super().lookup_attributes()
        if self.sizes:
            numbers = [number for rule in self.sizes for number in _numbers(rule)]
            found.append(onnx.helper.make_attribute("size_equations", numbers))
        if self.ranks:
            found.append(onnx.helper.make_attribute("input_ranks", numbers_of(self.ranks)))
        return found

    def units(self, frontier: Sequence[TensorShape], names: Sequence[str] = ()) -> Units:
        """Return the rows of a call, or why it is one unit; see :meth:`Cut.units`."""
        names = names or [str(number) for number in range(len(frontier))]
        for name, tensor, rank in zip(names, frontier, self.ranks, strict=False):
            if rank is not None and rank != len(tensor.sizes):
                text = f"'{name}' has {len(tensor.sizes)} axes, its rows are proven for {rank}"
                return Units(1, OneUnit.RANK, text)
        rows: dict[str, int] = {}
        for name, tensor, axis in zip(names, frontier, self.frontier_axes, strict=True):
            if axis is None:
                continue
            if axis >= len(tensor.sizes):
                return Units(1, OneUnit.NO_AXIS, f"'{name}' has no axis {axis}")
            if not _has_whole_bytes(tensor.dtype):
                return Units(1, OneUnit.PART_BYTES, f"the rows of '{name}' are not whole bytes")
            rows[name] = tensor.sizes[axis]
            if len(set(rows.values())) > 1:
                sizes = ", ".join(f"'{known}' {count}" for known, count in rows.items())
                return Units(1, OneUnit.UNEQUAL, f"its inputs have different numbers of rows: {sizes}")
        count = next(iter(rows.values()), None)
        if count is None:
            return Units(1, OneUnit.NO_AXIS, "no input of its region has rows")
        if count > MOST_ROWS:
            return Units(1, OneUnit.TOO_MANY, f"it has {count} rows, more than {MOST_ROWS}")
        for rule in self.sizes:
            problem = rule.problem(frontier)
            if problem is not None:
                return Units(1, OneUnit.SIZES, f"{rule.text(names)} does not hold: {problem}")
        return Units(count)


def _has_whole_bytes(dtype: int) -> bool:
    """Whether rows of a type can be told apart by the operators, which know the types up to int4."""
    known = dtype <= onnx.TensorProto.INT4 and element_bits(dtype) >= 8
    return known or dtype == onnx.TensorProto.STRING


def _numbers(rule: SizeRule) -> list[int]:
    """The attribute: how many axes, the constant, then tensor and axis of the sum and of each term."""
    places = (rule.place, *rule.terms)
    return [len(places), rule.constant, *(number for place in places for number in place)]


def _size_rules(flat: Sequence[int]) -> Iterator[SizeRule]:
    at = 0
    while at < len(flat):
        end = at + 2 + 2 * flat[at]
        place, *terms = zip(flat[at + 2 : end : 2], flat[at + 3 : end : 2], strict=True)
        yield SizeRule(place, flat[at + 1], tuple(terms))
        at = end
