"""Where the boxes of a picture go: in layers from top to bottom, each below all that it depends on.

Sugiyama's method in its simplest form: layers by longest path, places within a layer by the mean of the neighbours',
and an edge that passes layers runs through places of its own there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_GAP_X, _GAP_Y, _LANE = 22.0, 40.0, 18.0
_SWEEPS = 6


@dataclass
class Layout:
    """Where everything is.

    Attributes:
        width: Of the whole.
        height: Of the whole.
        x: Per box its left side.
        y: Per box its top.
        paths: Per edge the points that it runs through.
    """

    width: float = 0.0
    height: float = 0.0
    x: dict[int, float] = field(default_factory=dict)
    y: dict[int, float] = field(default_factory=dict)
    paths: dict[tuple[int, int], list[tuple[float, float]]] = field(default_factory=dict)


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes of given widths and heights, which `edges` connect."""
    layer_of = _layers(len(sizes), edges)
    forward = [(a, b) if layer_of[a] <= layer_of[b] else (b, a) for a, b in edges]
    widths = {box: width for box, (width, _) in enumerate(sizes)}
    layers: list[list[int]] = [[] for _ in range(max(layer_of, default=0) + 1)]
    for box, layer in enumerate(layer_of):
        layers[layer].append(box)
    chains = [_chain(edge, layer_of, layers, widths) for edge in forward]
    _order(layers, chains)
    found = Layout()
    centres = _place(found, layers, widths, sizes)
    for edge, chain in zip(edges, chains, strict=True):
        found.paths[edge] = _points(found, chain, centres, layer_of, layers, sizes)
    return found


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Longest path to every box. In a cycle (two regions may feed each other) the first box goes first."""
    waiting = [0] * count
    for _, target in edges:
        waiting[target] += 1
    layer, done = [0] * count, [False] * count
    for _ in range(count):
        open_boxes = [box for box in range(count) if not done[box]]
        box = min(open_boxes, key=lambda b: (waiting[b] > 0, b))
        done[box] = True
        for target in (t for s, t in edges if s == box and not done[t]):
            waiting[target] -= 1
            layer[target] = max(layer[target], layer[box] + 1)
    return layer


def _chain(
    edge: tuple[int, int], layer_of: Sequence[int], layers: list[list[int]], widths: dict[int, float]
) -> list[int]:
    """Give an edge a lane in every layer that it passes; return what it runs through."""
    source, target = edge
    lanes = []
    for layer in range(layer_of[source] + 1, layer_of[target]):
        lane = len(widths)
        widths[lane] = _LANE
        layers[layer].append(lane)
        lanes.append(lane)
    return [source, *lanes, target]


def _order(layers: list[list[int]], chains: Sequence[Sequence[int]]) -> None:
    """Sort each layer by where the neighbours are, downwards and upwards in turn."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for chain in chains:
        for upper, lower in pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for number in range(len(layers)) if down else reversed(range(len(layers))):
            neighbours = above if down else below
            place = {
                box: (at + 0.5) / len(layer)
                for layer in layers[max(number - 1, 0) : number + 2]
                for at, box in enumerate(layer)
            }
            means = {box: _mean(neighbours.get(box, ()), place, place[box]) for box in layers[number]}
            layers[number].sort(key=means.__getitem__)


def _mean(boxes: Sequence[int], place: Mapping[int, float], otherwise: float) -> float:
    places = [place[box] for box in boxes if box in place]
    return sum(places) / len(places) if places else otherwise


def _place(
    found: Layout, layers: Sequence[Sequence[int]], widths: Mapping[int, float], sizes: Sequence[tuple[float, float]]
) -> dict[int, float]:
    """Centre every layer; return the middle of each box and lane."""
    spans = [sum(widths[box] for box in layer) + _GAP_X * (len(layer) - 1) for layer in layers]
    found.width = max(spans, default=0.0)
    centres: dict[int, float] = {}
    top = 0.0
    for layer, span in zip(layers, spans, strict=True):
        left = (found.width - span) / 2
        height = max(sizes[box][1] for box in layer if box < len(sizes))
        for box in layer:
            centres[box] = left + widths[box] / 2
            if box < len(sizes):
                found.x[box], found.y[box] = left, top + (height - sizes[box][1]) / 2
            left += widths[box] + _GAP_X
        top += height + _GAP_Y
    found.height = top - _GAP_Y
    return centres


def _points(
    found: Layout,
    chain: Sequence[int],
    centres: Mapping[int, float],
    layer_of: Sequence[int],
    layers: Sequence[Sequence[int]],
    sizes: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    """From the bottom of the first box along both ends of each lane to the top of the last."""
    source, *lanes, target = chain
    points = [(centres[source], found.y[source] + sizes[source][1])]
    for offset, lane in enumerate(lanes, start=1):
        boxes = [box for box in layers[layer_of[source] + offset] if box < len(sizes)]
        points.append((centres[lane], min(found.y[box] for box in boxes)))
        points.append((centres[lane], max(found.y[box] + sizes[box][1] for box in boxes)))
    return [*points, (centres[target], found.y[target])]
