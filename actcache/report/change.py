"""A change that the page proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actcache.report.regions import RegionSums
from actcache.report.wording import duration, some


@dataclass(frozen=True)
class Change:
    """Something to change.

    Attributes:
        title: What to do, as an order.
        why: What in the log speaks for it.
        how: The knob or the command, to be copied.
        seconds: What it would save of the time that was recorded; None: the log cannot tell.
        at_most: Whether that is a bound.
        urgent: Whether it comes before any saving.
    """

    title: str
    why: str
    how: str
    seconds: float | None = None
    at_most: bool = False
    urgent: bool = False

    @property
    def gain(self) -> str:
        """The gain in words."""
        if self.urgent:
            return "first of all"
        if self.seconds is None:
            return "gain not known"
        return f"saves {'up to' if self.at_most else 'about'} {duration(self.seconds)}"


def names(regions: Sequence[RegionSums]) -> str:
    """Name some regions, not all of many."""
    return some([region.id for region in regions])
