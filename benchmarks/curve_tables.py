"""The points of benchmarks.reuse_curve as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.contender_names import ACTCACHE, LIMIT, REQUEST_CACHE, ROW_LRU

#: The order of the lines of one model.
LINES = (LIMIT, ACTCACHE, ROW_LRU, REQUEST_CACHE)


def curve_tables(points: Sequence[dict[str, Any]]) -> str:
    """Return a table for each size of batch; bold is the fastest of what one can use.

    So is what cannot be told from it, because their quartiles overlap.
    """
    batches = sorted({point["batch"] for point in points})
    return "\n\n".join(_table(batch, [p for p in points if p["batch"] == batch]) for batch in batches)


def curve_summary(points: Sequence[dict[str, Any]], batch: int = 8, share: int = 40) -> str:
    """Return one short table: what is left of the original's time at one share and one size of batch."""
    lines = [_row([f"batch {batch}, {share} % of rows seen before", *LINES]), _row(["---", *("--:" for _ in LINES)])]
    for point in points:
        if (point["batch"], point["share"]) == (batch, share):
            lines.append(_row([_title(point["model"], point["size"]), *(_cell(point, line) for line in LINES)]))
    return "\n".join(lines)


def _title(model: str, size: int | None) -> str:
    return f"{model} × {size}" if size else model


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
            title = _title(model, size) if line == LINES[0] else ""
            time = f"{first:.3g} ms" if line == LINES[0] else ""
            lines.append(_row([title, time, line, *(_cell(found.get(share), line) for share in shares)]))
    return "\n".join(lines)


def _cell(point: dict[str, Any] | None, line: str) -> str:
    if point is None:
        return ""
    own = point["ratios"][line]
    text = f"{own['median']:.2f}" if own["median"] >= 0.1 else f"{own['median']:.3f}"
    usable = [ratio for name, ratio in point["ratios"].items() if name != LIMIT]
    fastest = min(usable, key=lambda ratio: float(ratio["median"]))
    return f"**{text}**" if line != LIMIT and own["low"] <= fastest["high"] else text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
