"""Numbers as the page writes them."""

from __future__ import annotations

from datetime import datetime, timezone


def duration(seconds: float) -> str:
    """Write ``3 h 12 min``, ``42.1 s``, ``318 ms``, ``2.4 µs``."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds >= 86400:
        return f"{int(seconds // 86400)} d {int(seconds % 86400 // 3600)} h"
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns" if seconds else "0 s"


def percent(share: float) -> str:
    """Write ``62 %``, ``4.1 %``, ``0.2 %``."""
    value = share * 100
    return f"{value:.0f} %" if abs(value) >= 9.95 or value == 0 else f"{value:.1f} %"


def count(number: float) -> str:
    """Write ``1,204,518``."""
    return f"{number:,.0f}"


def energy(joules: float) -> str:
    """Write ``1.2 kWh``, ``340 Wh``, ``12 J``."""
    for unit, size in (("kWh", 3.6e6), ("Wh", 3600.0), ("J", 1.0)):
        if abs(joules) >= size:
            return f"{joules / size:.3g} {unit}"
    return f"{joules:.2g} J"


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
    return f"{when:%H:%M:%S}" if spell > 5 else f"{when:%S}.{when.microsecond // 1000:03d} s"
