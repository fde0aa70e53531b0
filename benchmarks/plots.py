"""Figures of the documentation, as SVG. This module needs matplotlib (the extra ``bench``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.contender_names import ACTCACHE, LIMIT, REQUEST_CACHE, ROW_LRU

_COLUMNS = 4
#: Text stays text; the same results give the same file.
_SVG: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "actcache", "font.size": 9}
#: Colours that people tell apart who see few of them (Okabe and Ito), and lines that differ without any.
_STYLES: dict[str, dict[str, Any]] = {
    LIMIT: {"color": "#555555", "linestyle": ":"},
    REQUEST_CACHE: {"color": "#e69f00", "linestyle": "--", "marker": "s"},
    ROW_LRU: {"color": "#0072b2", "linestyle": "-.", "marker": "^"},
    ACTCACHE: {"color": "#d55e00", "linestyle": "-", "marker": "o"},
}


def reuse_curves(points: Sequence[dict[str, Any]], batch: int, path: Path) -> None:
    """Draw a panel for each model: time relative to the original's against the share of rows seen before.

    Lines are medians; the area around each lies between the quartiles.
    """
    models: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        if point["batch"] == batch:
            models.setdefault(point["model"], []).append(point)
    columns = min(_COLUMNS, len(models))
    rows = math.ceil(len(models) / columns)
    with mpl.rc_context(_SVG):
        figure = Figure(figsize=(max(2.6 * columns, 5), 2.4 * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(models) :]:
            axes.remove()
        for axes, (model, found) in zip(panels.flat, models.items(), strict=False):
            _panel(axes, model, sorted(found, key=lambda point: float(point["share_of_rows"])))
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
        figure.supxlabel("rows seen before, %")
        figure.supylabel("time / original's")
        _save(figure, path)


def natural_bars(workloads: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw a bar for each workload: time relative to the original's, with quartiles, and the limit as a mark."""
    found = sorted(workloads, key=lambda each: (not each["control"], float(each["reuse"])))
    places = range(len(found))
    with mpl.rc_context(_SVG):
        figure = Figure(figsize=(7, 0.32 * len(found) + 1), layout="constrained")
        axes = figure.subplots()
        medians = [each["ratio"]["median"] for each in found]
        ends = [[abs(each["ratio"][end] - each["ratio"]["median"]) for each in found] for end in ("low", "high")]
        own = _STYLES[ACTCACHE]["color"]
        axes.barh(places, medians, xerr=ends, color=own, alpha=0.75, ecolor="#333333", label="actcache, with quartiles")
        limits = [1 - each["reuse"] for each in found]
        axes.plot(limits, places, "|", color="#000000", markersize=13, markeredgewidth=2, label="limit: 1 - reuse")
        axes.axvline(1, color=_STYLES[LIMIT]["color"], linewidth=0.8)
        axes.set_yticks(places, [each["title"] for each in found])
        axes.set_xlabel("time / original's")
        axes.set_xlim(0, max(1.1, *medians))
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _panel(axes: Axes, model: str, points: Sequence[dict[str, Any]]) -> None:
    shares = [100 * point["share_of_rows"] for point in points]
    for name, style in _STYLES.items():
        ratios = [point["ratios"][name] for point in points]
        axes.plot(shares, [each["median"] for each in ratios], label=name, markersize=3, linewidth=1.2, **style)
        low, high = ([each[end] for each in ratios] for end in ("low", "high"))
        axes.fill_between(shares, low, high, color=style["color"], alpha=0.15, linewidth=0)
    axes.set_title(model, fontsize=9)
    axes.set_ylim(0, 1.3)
    axes.grid(alpha=0.3)
