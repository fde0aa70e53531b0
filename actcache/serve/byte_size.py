"""Numbers of bytes as people write them."""

from __future__ import annotations

import re
from typing import Any

import click

from actcache.errors import ActcacheError
from actcache.serve.knobs import configuration

#: What the store holds on a machine of 2 GiB or more unless it is told otherwise (``custom_ops/src/config/knobs.h``).
DEFAULT_BUDGET = 256 << 20

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


def parse_bytes(text: str) -> int:
    """Read ``4096``, ``512MiB``, ``1.5 GiB`` or ``10%``, as the library does for its knobs.

    A percentage is of the memory that this process may use (``configuration()["memory_bytes"]``).

    Raises:
        ValueError: `text` is no such number.
        LibraryError: It is a percentage, and there is no library to say of what.
    """
    match = re.fullmatch(r"\s*([0-9]+)(\.[0-9]+)?\s*([a-zA-Z]*|%)\s*", text)
    unit = match[3].lower() if match else None
    if match and unit == "%" and (share := float(match[1] + (match[2] or "")) / 100) <= 1:
        return int(configuration()["memory_bytes"] * share)
    if match is None or unit not in _UNITS:
        raise ValueError(f"'{text}' is not a number of bytes; write 4096, 512MiB, 1.5GiB or 10%")
    return int(match[1]) * _UNITS[unit] + int(float(match[2] or 0) * _UNITS[unit])


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
        except (ValueError, ActcacheError) as error:
            self.fail(str(error), param, ctx)
