"""The rows of a batch, where they are proven not to depend on each other (:mod:`actcache.passes.rows`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import onnx

from actcache.passes.cuts.conditions import (
    MOST_UNITS,
    SizeRule,
    broken_rule,
    condition_attributes,
    other_rank,
    other_size,
    size_rules,
    size_rules_of,
)
from actcache.passes.cuts.cut import Cut, Granularity, OneUnit, TensorShape, Units, axes_of

if TYPE_CHECKING:  # those who read cuts of compiled models prove nothing
    from actcache.passes.rows import RowProof


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
        ranks = proof.ranks(frontier)
        return cls(
            tuple(map(proof.row_axis, frontier)),
            tuple(map(proof.row_axis, live_outs)),
            sizes=tuple(size_rules_of(proof.size_equations(frontier) or (), frontier)),
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
            tuple(size_rules(attributes.get("size_equations", []))),
            axes_of(attributes.get("input_ranks", [])),
        )

    def lookup_attributes(self) -> list[onnx.AttributeProto]:
        """Return those that only ``CacheLookup`` has."""
        return [*super().lookup_attributes(), *condition_attributes(self.ranks, self.sizes)]

    def units(self, frontier: Sequence[TensorShape], names: Sequence[str] = ()) -> Units:
        """Return the rows of a call, or why it is one unit; see :meth:`Cut.units`."""
        names = names or [str(number) for number in range(len(frontier))]
        breach = other_rank(self.ranks, frontier, names, "rows")
        if breach is not None:
            return Units(1, breach.why, breach.text)
        rows: dict[str, int] = {}
        for name, tensor, axis in zip(names, frontier, self.frontier_axes, strict=True):
            breach = None if axis is None else other_size(rows, name, tensor, axis, "rows")
            if breach is not None:
                return Units(1, breach.why, breach.text)
        count = next(iter(rows.values()), None)
        if count is None:
            return Units(1, OneUnit.NO_AXIS, "no input of its region has rows")
        if count > MOST_UNITS:
            return Units(1, OneUnit.TOO_MANY, f"it has {count} rows, more than {MOST_UNITS}")
        breach = broken_rule(self.sizes, frontier, names)
        return Units(count) if breach is None else Units(1, breach.why, breach.text)
