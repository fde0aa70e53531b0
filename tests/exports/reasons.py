"""Reasons in the tables of the pages: each is written once, below its table, and has a number in it."""

from __future__ import annotations


class Reasons:
    """The reasons of one table, in the order in which they came up."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """Return what to write behind a verdict that has this reason; nothing if it has none."""
        return f" ({self._numbers.setdefault(reason, len(self._numbers) + 1)})" if reason else ""

    def lines(self) -> list[str]:
        """Return the list of all reasons; nothing if there are none."""
        listed = [f"{number}. {reason}" for reason, number in self._numbers.items()]
        return ["", "Reasons:", "", *listed] if listed else []
