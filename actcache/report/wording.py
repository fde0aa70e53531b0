"""Numbers as the page writes them: a number and its unit stay on one line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from actcache.report.energy import format_joules
from actcache.serve.byte_size import format_bytes

_SPACE = "\N{NO-BREAK SPACE}"
#: From this share of a unit on, three digits say 1.
_ROUNDS_UP = 0.9995


def duration(seconds: float) -> str:
    """Write ``3 h 12 min``, ``42.1 s``, ``318 ms``, ``2.4 µs``."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds >= 86400:
        return f"{_of(int(seconds // 86400), 'd')} {_of(int(seconds % 86400 // 3600), 'h')}"
    if seconds >= 3600:
        return f"{_of(int(seconds // 3600), 'h')} {_of(int(seconds % 3600 // 60), 'min')}"
    if seconds >= 60:
        return f"{_of(int(seconds // 60), 'min')} {_of(int(seconds % 60), 's')}"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size * _ROUNDS_UP:
            return _of(f"{seconds / size:.3g}", unit)
    return _of(f"{seconds * 1e9:.0f}", "ns") if seconds else _of(0, "s")


def percent(share: float) -> str:
    """Write ``62 %``, ``4.1 %``, ``0.2 %``."""
    value = share * 100
    return _of(f"{value:.0f}" if abs(value) >= 9.95 or value == 0 else f"{value:.1f}", "%")


def count(number: float) -> str:
    """Write ``1,204,518``."""
    return f"{number:,.0f}"


def several(number: int, what: str) -> str:
    """Write ``1 line``, ``12 lines``."""
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """Write ``a, b, c and 4 more``."""
    return ", ".join(names[:most]) + (f" and {count(len(names) - most)} more" if len(names) > most else "")


def joules(energy: float) -> str:
    """Write ``412 J``, ``19.2 kJ``, ``1.3 kWh``."""
    return format_joules(energy).replace(" ", _SPACE)


def moment(t: float, spell: float = 0.0) -> str:
    """Write a time in UTC, as precisely as is of use within `spell` seconds; 0: date and time."""
    try:
        when = datetime.fromtimestamp(t, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "?"
    if spell == 0:
        return f"{when:%Y-%m-%d %H:%M:%S}"
    if spell > 4 * 86400:
        return f"{when:%d %b}"
    if spell > 86400:
        return f"{when:%d %b %H:%M}"
    if spell > 600:
        return f"{when:%H:%M}"
    return f"{when:%H:%M:%S}" if spell > 5 else f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}"


def size(count_of_bytes: float) -> str:
    """Write ``412 B``, ``19.2 KiB``."""
    return format_bytes(count_of_bytes).replace(" ", _SPACE)


def _of(number: object, unit: str) -> str:
    return f"{number}{_SPACE}{unit}"
