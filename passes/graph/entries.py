"""Repeated fields of protobuf messages."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any


def keep(entries: MutableSequence[Any], wanted: Callable[[Any], bool]) -> None:
    """Remove the entries of a repeated field that are not wanted."""
    for position in reversed(range(len(entries))):
        if not wanted(entries[position]):
            del entries[position]
