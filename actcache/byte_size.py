"""Numbers of bytes as people write them."""

from __future__ import annotations

import re
from typing import Any

import click

#: What the store holds unless it is told otherwise.
DEFAULT_BUDGET = 256 << 20

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def parse_bytes(text: str) -> int:
    """Read ``4096``, ``512MiB`` or ``1.5 GiB``.

    Raises:
        ValueError: `text` is no such number.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"'{text}' is no number of bytes; write 4096, 512MiB or 1.5GiB")
    return int(float(match[1]) * unit)


def format_bytes(count: float) -> str:
    """Write a number of bytes for people: ``412 B``, ``19.2 KiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


class ByteSize(click.ParamType[int]):
    """A number of bytes on the command line."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; wrong usage otherwise."""
        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
