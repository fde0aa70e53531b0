"""The points of benchmarks.reuse_curve as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.contender_names import ACTCACHE, LIMIT, REQUEST_CACHE, ROW_LRU

#: The order of the lines of one model.
LINES = (LIMIT, ACTCACHE, ROW_LRU, REQUEST_CACHE)
#: A line is the fastest if it is within this much of the best median.
_AS_FAST = 0.005


def curve_tables(points: Sequence[dict[str, Any]]) -> str:
    """Return a table for each size of batch; the fastest of what one can use is bold."""
    batches = sorted({point["batch"] for point in points})
    return "\n\n".join(_table(batch, [p for p in points if p["batch"] == batch]) for batch in batches)


def _table(batch: int, points: Sequence[dict[str, Any]]) -> str:
    shares = sorted({point["share"] for point in points})
    by_model: dict[tuple[str, int | None], dict[int, dict[str, Any]]] = {}
    for point in points:
        by_model.setdefault((point["model"], point["size"]), {})[point["share"]] = point
    heads = ["batch " + str(batch), "original", "", *(f"{share} %" for share in shares)]
    lines = [_row(heads), _row(["---", "--:", "---", *("--:" for _ in shares)])]
    for (model, size), found in by_model.items():
        first = next(iter(found.values()))["original_ms"]["median"]
        for line in LINES:
            title = model + (f" × {size}" if size else "") if line == LINES[0] else ""
            time = f"{first:.3g} ms" if line == LINES[0] else ""
            lines.append(_row([title, time, line, *(_cell(found.get(share), line) for share in shares)]))
    return "\n".join(lines)


def _cell(point: dict[str, Any] | None, line: str) -> str:
    if point is None:
        return ""
    medians = {name: ratio["median"] for name, ratio in point["ratios"].items()}
    text = f"{medians[line]:.2f}" if medians[line] >= 0.1 else f"{medians[line]:.3f}"
    best = min(value for name, value in medians.items() if name != LIMIT)
    return f"**{text}**" if line != LIMIT and medians[line] <= best + _AS_FAST else text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
