"""Moments on the command line and in answers: wall-clock time, in UTC."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import click


def parse_moment(text: str) -> float:
    """Return seconds since 1970 of an ISO 8601 time (UTC unless it says otherwise), or of such a number.

    Raises:
        ValueError: It is neither.
    """
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.removesuffix("Z") + ("+00:00" if text.endswith("Z") else ""))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def format_moment(seconds: float) -> str:
    """Write seconds since 1970 as ``2026-11-29 03:04:05.250 UTC``."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"


class Moment(click.ParamType[float]):
    """A moment on the command line, as seconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; wrong usage otherwise."""
        if isinstance(value, float):
            return value
        try:
            return parse_moment(str(value).removesuffix(" UTC"))
        except ValueError:
            self.fail(f"'{value}' is not a time: write 2026-11-29T03:04:05, or seconds since 1970", param, ctx)
