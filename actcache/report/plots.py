"""Plots as shapes in a plane of 1000 × 1000, which the template stretches to whatever width there is.

Labels are no part of the plane: the template writes them beside it, so that they keep their size on a phone. Shapes
bear names that the style sheet gives colours, so that one picture serves light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from actcache.report.curve import Curve
from actcache.report.rows import Floats
from actcache.report.summary import BYPASSED_ROWS, COMPUTED_ROWS, REUSED_ROWS, Notable, Summary
from actcache.report.wording import count, duration, moment, percent, size

SIDE = 1000.0
_MOST_MARKS = 40
#: Width below which a column has no label beside it.
_LABELLED = 90.0
#: Share of the plot below which the rest of the model is not shown.
_VISIBLE = 1e-3


@dataclass(frozen=True)
class Shape:
    """One shape.

    Attributes:
        path: SVG path data.
        look: Its class in the style sheet.
        text: What is shown where the pointer rests on it.
    """

    path: str
    look: str
    text: str = ""


@dataclass(frozen=True)
class Tick:
    """A label beside an axis: `at` in percent from the left or from the bottom; cut where it takes more than `room`."""

    at: float
    text: str
    room: float | None = None


@dataclass
class Plot:
    """A plot, and the table that says the same.

    Attributes:
        name: Unique on the page.
        title: What is shown.
        description: The same in a sentence with its numbers, for who cannot see it.
        shapes: From back to front.
        x: Labels below.
        y: Labels at the left.
        legend: Class and meaning of each colour.
        head: Column titles of the table.
        rows: Its rows.
    """

    name: str
    title: str
    description: str
    shapes: list[Shape] = field(default_factory=list)
    x: list[Tick] = field(default_factory=list)
    y: list[Tick] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    head: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)


_SHARES = [Tick(at, percent(at / 100)) for at in (0, 50, 100)]
_STACK = ((REUSED_ROWS, "reused"), (COMPUTED_ROWS, "computed"), (BYPASSED_ROWS, "bypassed"))


def reuse_over_time(summary: Summary, unit: str) -> Plot:
    """Shares of the rows that were reused, computed and bypassed. `unit`: what they are called, here and below."""
    sums = summary.timeline.sums()
    shares = _shares(sums)
    text = f"Share of {unit} reused per {duration(summary.timeline.width)}."
    plot = Plot("reuse", "Reuse over time", text, x=_time_ticks(summary), y=_SHARES)
    plot.shapes += share_steps(sums)
    plot.legend += [(shape.look, shape.look) for shape in plot.shapes]
    plot.shapes += _columns_to_point_at(summary, shares)
    plot.shapes += _marks(summary)
    if any(shape.look == "mark" for shape in plot.shapes):
        plot.legend.append(("mark", "an event, listed below"))
    plot.head = ("from (UTC)", unit, "reused", "time saved")
    for offset, row in _thinned(summary):
        rows = row[:3].sum()
        share = percent(row[REUSED_ROWS] / rows) if rows else "–"
        plot.rows.append((moment((summary.timeline.start or 0) + offset), count(rows), share, duration(row[3] * 1e-9)))
    return plot


def share_steps(sums: Floats) -> list[Shape]:
    """Areas, one upon the other: which share of the rows was reused, computed and bypassed in each of some steps."""
    shares = _shares(sums)
    tops = np.cumsum(shares, axis=1)
    bottoms = tops - shares
    return [Shape(_steps(bottoms[:, place], tops[:, place]), look) for place, look in _STACK if sums[:, place].any()]


def _shares(sums: Floats) -> Floats:
    shares: Floats = sums[:, :3] / np.maximum(sums[:, :3].sum(axis=1, keepdims=True), 1)
    return shares


def load_over_time(summary: Summary, unit: str) -> Plot:
    """Rows per second."""
    rates = summary.timeline.sums()[:, :3].sum(axis=1) / summary.timeline.width
    most = float(rates.max(initial=0.0)) or 1.0
    what = f"{unit.capitalize()} per second"
    text = f"{what}; the most are {count(most)}."
    plot = Plot("load", what, text, x=_time_ticks(summary), y=[Tick(0, "0"), Tick(100, _short(most))])
    plot.shapes.append(Shape(_steps(np.zeros(len(rates)), rates / most), "load"))
    return plot


def hits_against_time(
    labels: Sequence[str], times: Sequence[float], hits: Sequence[float], rest: float, unit: str
) -> Plot:
    """A column per region, as wide as its share of the time and as high as its hit ratio.

    Args:
        labels: The regions' names.
        times: What each would take without a cache, in seconds.
        hits: Their hit ratios.
        rest: What the rest of the model takes, in seconds.
        unit: What is counted.
    """
    total = (sum(times) + rest) or 1.0
    plot = Plot("regions-plot", "Hit ratio against share of time", "", y=_SHARES)
    left = 0.0
    columns = sorted(zip(labels, times, hits, strict=True), key=lambda column: -column[1])
    for label, time, hit in columns:
        width = time / total * SIDE
        text = f"{label}: {percent(hit)} of {unit} reused, {percent(time / total)} of the time"
        plot.shapes.append(Shape(_rectangle(left, 0, width, SIDE), "computed column", text))
        plot.shapes.append(Shape(_rectangle(left, 0, width, hit * SIDE), "reused column", text))
        if width >= _LABELLED:
            plot.x.append(Tick((left + width / 2) / 10, f"{percent(time / total)}: {label}", width / 10))
        left += width
    plot.legend = [("reused", "reused"), ("computed", "computed")]
    if rest > total * _VISIBLE:
        plot.shapes.append(Shape(_rectangle(left, 0, SIDE - left, SIDE), "rest column", "never cached"))
        plot.legend.append(("rest", f"not in a region, {percent(rest / total)}"))
    plot.description = "Columns as wide as a region's share of the time without a cache, filled by its hit ratio. " + (
        "; ".join(f"{label}: {percent(hit)} of {percent(time / total)}" for label, time, hit in columns)
    )
    return plot


def reuse_by_budget(curve: Curve, marked: int | None, measured: tuple[int, float] | None, unit: str) -> Plot:
    """What a store of other sizes would reuse.

    Args:
        curve: The curve.
        marked: The budget that is marked.
        measured: Budget and hit ratio of the log.
        unit: What is counted.
    """
    low, high = curve.points[0].budget, curve.points[-1].budget

    def across(budget: float) -> float:
        return SIDE * math.log(budget / low) / (math.log(high / low) or 1.0)

    plot = Plot("curve", "Reuse by budget", "", y=_SHARES)
    edges = [(across(p.budget), min(p.reuse + 2 * p.error, 1.0), max(p.reuse - 2 * p.error, 0.0)) for p in curve.points]
    upper = [(x, top * SIDE) for x, top, _ in edges]
    lower = [(x, bottom * SIDE) for x, _, bottom in reversed(edges)]
    plot.shapes.append(Shape(_line(upper + lower) + "Z", "band"))
    plot.shapes.append(Shape(_line([(across(p.budget), p.reuse * SIDE) for p in curve.points]), "line"))
    if marked:
        plot.shapes.append(Shape(_line([(across(marked), 0), (across(marked), SIDE)]), "mark", "the budget"))
    if measured and low <= measured[0] <= high:
        at, ratio = across(measured[0]), measured[1] * SIDE
        text = f"measured: {percent(measured[1])}"
        plot.shapes.append(Shape(_line([(at - 14, ratio), (at + 14, ratio)]), "measured", text))
        plot.legend.append(("measured", "measured"))
    plot.legend[:0] = [("line", "simulated"), *([("band", "± 2 standard errors")] if curve.rate < 1 else [])]
    for point in curve.points:
        text = f"{size(point.budget)}: {percent(point.reuse)} reused"
        at = across(point.budget)
        plot.shapes.append(Shape(_rectangle(max(at - 20, 0), 0, 40, SIDE), "hover", text))
        error = f"± {point.error * 100:.1f}" if curve.rate < 1 else "–"
        plot.rows.append((size(point.budget), percent(point.reuse), error, percent(point.time)))
    plot.head = ("budget", f"{unit} reused", "standard error, points", "time saved, before overheads")
    middle = min(curve.points, key=lambda point: abs(across(point.budget) - SIDE / 2))
    ends = curve.points[0], curve.points[-1]
    plot.x = [Tick(across(p.budget) / 10, size(p.budget)) for p in (ends[0], middle, ends[1])]
    plot.description = " ".join(f"{size(p.budget)} would reuse {percent(p.reuse)} of the {unit}." for p in ends)
    return plot


def _columns_to_point_at(summary: Summary, shares: Floats) -> list[Shape]:
    timeline = summary.timeline
    width = SIDE / max(len(shares), 1)
    texts = (
        f"{moment((timeline.start or 0) + i * timeline.width)}: {percent(row[REUSED_ROWS])} reused"
        for i, row in enumerate(shares)
    )
    return [Shape(_rectangle(i * width, 0, width, SIDE), "hover", text) for i, text in enumerate(texts)]


def _marks(summary: Summary) -> list[Shape]:
    timeline = summary.timeline
    length = timeline.width * len(timeline.sums())
    marks: list[Notable] = list(summary.notable)[-_MOST_MARKS:]
    places = ((SIDE * (mark.t - (timeline.start or 0)) / length if length else -1.0, mark.text) for mark in marks)
    return [Shape(_line([(at, 0), (at, SIDE)]), "mark", text) for at, text in places if 0 <= at <= SIDE]


def _time_ticks(summary: Summary) -> list[Tick]:
    timeline = summary.timeline
    if timeline.start is None:
        return []
    length = timeline.width * len(timeline.sums())
    return [Tick(at, moment(timeline.start + length * at / 100, length)) for at in (0, 50, 100)]


def _thinned(summary: Summary) -> list[tuple[float, Floats]]:
    """At most 40 intervals, for the table: each the sum of several, with its offset in seconds."""
    sums = summary.timeline.sums()
    step = -(-len(sums) // 40) or 1
    return [(i * summary.timeline.width, sums[i : i + step].sum(axis=0)) for i in range(0, len(sums), step)]


def _steps(bottoms: Floats, tops: Floats) -> str:
    """An area between two step functions with equally wide steps; heights from 0 to 1."""
    width = SIDE / max(len(tops), 1)
    path = f"M0 {SIDE - tops[0] * SIDE:.0f}" if len(tops) else ""
    for i, height in enumerate(tops):
        path += f"V{SIDE - height * SIDE:.0f}H{(i + 1) * width:.0f}"
    for i, height in reversed(list(enumerate(bottoms))):
        path += f"V{SIDE - height * SIDE:.0f}H{i * width:.0f}"
    return path + "Z" if path else ""


def _rectangle(left: float, bottom: float, width: float, height: float) -> str:
    top, right = SIDE - bottom - height, left + width
    return f"M{left:.1f} {top:.1f}H{right:.1f}V{SIDE - bottom:.1f}H{left:.1f}Z"


def _line(points: Sequence[tuple[float, float]]) -> str:
    """A line through points whose heights are counted from the bottom."""
    return "M" + "L".join(f"{x:.1f} {SIDE - y:.1f}" for x, y in points) if points else ""


def _short(number: float) -> str:
    for scale, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * scale:  # three digits round up to it
            return f"{number / scale:.3g} {unit}"
    return f"{number:.3g}"
