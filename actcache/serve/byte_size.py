"""Numbers of bytes as people write them."""

from __future__ import annotations

from typing import Any

import click

from actcache.base.library import call, library, text_argument
from actcache.errors import ActcacheError
from actcache.serve.knobs import configuration

#: More memory than any machine has.
_ENOUGH = (1 << 64) - 1


def default_budget() -> int:
    """Return what the store holds on a machine with enough memory, if nobody says.

    Raises:
        LibraryError: There is no library to ask.
    """
    return int(library().handle.actcache_default_budget(_ENOUGH))


def parse_bytes(text: str, whole: int | None = None) -> int:
    """Read ``4096``, ``512MiB``, ``1.5 GiB`` or ``10%``, as the library does for its knobs.

    Args:
        text: The number.
        whole: What a percentage is of; None: the memory that this process may use.

    Raises:
        InvalidOption: `text` is no such number.
        LibraryError: There is no library to ask.
    """
    given = text_argument("a number of bytes", text)
    if whole is None:
        whole = configuration()["memory_bytes"] if "%" in given else 0
    return call("actcache_parse_bytes", given.encode(), whole)


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
        except ActcacheError as error:
            self.fail(str(error), param, ctx)
