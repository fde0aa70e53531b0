"""A model's picture, laid out, with its regions' hits and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from actcache.model.compiled_model import CompiledModel
from actcache.model.manifest import region_entry
from actcache.report.layout import Layout, lay_out
from actcache.report.picture import Box, Picture, draw
from actcache.report.regions import RegionSums
from actcache.report.wording import percent

_WIDTHS = {"input": 150.0, "output": 150.0, "rest": 176.0, "region": 232.0}
_LINE, _PLAIN, _REGION = 17.0, 44.0, 72.0
#: Width of a character.
_PER_CHARACTER = 7.6


@dataclass(frozen=True)
class Placed:
    """A box where it goes.

    Attributes:
        kind: Its class in the style sheet.
        x: Left side; `y`, `width` and `height` likewise.
        lines: What is written in it, the first as a title.
        hit: Hit ratio in percent; None: no region, or one that was not asked.
        cost: Share of the model's time in percent; None: not known.
        text: All of it, for who points at it.
    """

    kind: str
    x: float
    y: float
    width: float
    height: float
    lines: Sequence[str]
    hit: float | None
    cost: float | None
    text: str


@dataclass(frozen=True)
class Diagram:
    """A picture that can be drawn.

    Attributes:
        width: Of the whole.
        height: Of the whole.
        boxes: The boxes.
        edges: SVG path data and tensor names of each edge.
        description: What is to be seen, in a sentence.
    """

    width: float
    height: float
    boxes: Sequence[Placed]
    edges: Sequence[tuple[str, str]]
    description: str


def diagram(model: CompiledModel, sums: Mapping[str, RegionSums]) -> Diagram:
    """Draw a model; `sums` has its regions by their ids, as far as the log knows them."""
    picture = draw(model)
    sizes = [_size(box) for box in picture.boxes]
    layout = lay_out(sizes, list(picture.edges))
    boxes = [_placed(model, box, sums, layout, i, sizes[i]) for i, box in enumerate(picture.boxes)]
    edges = [(_curve(layout.paths[edge]), _names(tensors)) for edge, tensors in picture.edges.items()]
    return Diagram(layout.width, layout.height, boxes, edges, _description(picture, boxes))


def _size(box: Box) -> tuple[float, float]:
    extra = _LINE * len(box.contains)
    return _WIDTHS[box.kind], (_REGION if box.kind == "region" else _PLAIN) + extra


def _placed(
    model: CompiledModel,
    box: Box,
    sums: Mapping[str, RegionSums],
    layout: Layout,
    number: int,
    size: tuple[float, float],
) -> Placed:
    lines, hit, cost = [box.title, box.text] if box.text else [box.title], None, None
    if box.lookup is not None:
        cost = region_entry(model.manifest, box.lookup.id).get("time_share")
        hit = _hit(sums.get(box.lookup.id))
        of_time = "" if cost is None else f", {percent(cost)} of time"
        lines = [box.title, _reused(hit) + of_time, box.text]
    lines += [f"▸ {x.id}: {_reused(_hit(sums.get(x.id)))}" for x in box.contains]
    text = ". ".join(lines)
    return Placed(
        box.kind, layout.x[number], layout.y[number], *size, [_cut(line, size[0]) for line in lines],
        None if hit is None else hit * 100, None if cost is None else cost * 100, text,
    )  # fmt: skip


def _hit(sums: RegionSums | None) -> float | None:
    return sums.hit_ratio if sums is not None and sums.looked_up else None


def _reused(hit: float | None) -> str:
    return "not looked up" if hit is None else f"{percent(hit)} reused"


def _cut(text: str, width: float) -> str:
    most = int((width - 16) / _PER_CHARACTER)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _names(tensors: Sequence[str]) -> str:
    return ", ".join(tensors[:4]) + (f" and {len(tensors) - 4} more" if len(tensors) > 4 else "")


def _curve(points: Sequence[tuple[float, float]]) -> str:
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        parts.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return "".join(parts)


def _description(picture: Picture, boxes: Sequence[Placed]) -> str:
    regions = [placed.text for placed in boxes if placed.kind == "region"]
    return f"The model in {len(picture.boxes)} boxes from its inputs to its outputs. Regions: {'; '.join(regions)}"
