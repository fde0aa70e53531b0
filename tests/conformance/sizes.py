"""Sizes of all tensors, from real runs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np

from actcache.passes.costs.cost import Costs
from actcache.passes.cuts.feeds import Feed
from actcache.passes.graph.view import GraphView
from tests.conformance.running import every_value

Shapes: TypeAlias = "dict[str, tuple[int, ...]]"


def measured_shapes(view: GraphView, feeds: list[Feed], folder: Path) -> list[Shapes]:
    """Shapes of all tensors per call, from real runs with every value as an output; none where that cannot be run."""
    names = [n for names in view.writes for n in names if view.is_tensor(n) is not False]
    try:
        written = every_value(view, names, feeds, folder)
    except Exception:
        return []
    calls = [{**feed, **values} for feed, values in zip(feeds, written, strict=True)]
    return [{n: v.shape for n, v in values.items() if isinstance(v, np.ndarray)} for values in calls]


def elements(view: GraphView, shapes: Shapes) -> Costs:
    """Costs on one call: the time of a node is taken to be the elements that it writes."""
    seconds = [1e-9 * sum(1 + int(np.prod(shapes.get(n, ()))) for n in names) for names in view.writes]
    return Costs(tuple(seconds), sum(seconds), shapes, measured=False)
