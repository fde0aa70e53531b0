"""The call as a whole: one unit, whatever its tensors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from actcache.passes.cuts.cut import Cut, Granularity, OneUnit, TensorShape, Units


@dataclass(frozen=True)
class WholeCut(Cut):
    """Every call is one unit. Nothing has to be proven for that."""

    granularity: ClassVar[Granularity] = "tensor"

    @classmethod
    def of(cls, frontier: int, live_outs: int) -> WholeCut:
        """Return the cut of a region with so many frontier tensors and live-outs."""
        return cls((None,) * frontier, (None,) * live_outs)

    @classmethod
    def read(cls, attributes: Mapping[str, Any]) -> WholeCut:
        """Return the cut that attributes of a ``CacheLookup`` describe; see :meth:`Cut.read`."""
        return cls.of(len(attributes["input_row_axes"]), len(attributes["output_row_axes"]))

    def units(self, frontier: Sequence[TensorShape], names: Sequence[str] = ()) -> Units:
        """Return one unit; see :meth:`Cut.units`."""
        return Units(1, OneUnit.BY_CALLS, "its region is cached by whole calls")
