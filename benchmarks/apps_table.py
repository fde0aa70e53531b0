"""The results of ``make apps`` as a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADS = (
    "program",
    "plain",
    "first time",
    "second time",
    "reused the second time",
    "models, seconds after the first start",
    "outputs",
)


def apps_table(programs: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each program."""
    lines = [HEADS, ["---", *["--:"] * 4, "---", "---"], *map(apps_row, programs)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def apps_row(found: Mapping[str, Any]) -> list[str]:
    """Return the cells of a program: its times relative to the plain one, and what became of its models."""
    return [
        found["program"],
        f"{found['plain']:.1f} s",
        _first(found),
        "–" if found["second"] is None else f"{found['second']:.2f}",
        f"{found['reused']:,} of {found['looked_up']:,} rows" if found["looked_up"] else "–",
        found["models"],
        "same" if found["problem"] is None else f"DIFFERENT: {found['problem']}",
    ]


def _first(found: Mapping[str, Any]) -> str:
    several = found.get("firsts") or ()
    spread = f" ({min(several):.2f}–{max(several):.2f}, {len(several)} runs)" if several else ""
    return f"{found['first']:.2f}{spread}"
