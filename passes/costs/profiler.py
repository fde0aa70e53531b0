"""Measured costs: onnxruntime's own profiler on sample inputs.

The times are those of the optimised model, shared out to the nodes of the file (:mod:`attribution`, :mod:`layout`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from actcache.passes.costs.attribution import attribute
from actcache.passes.costs.cost import Costs
from actcache.passes.costs.layout import Layout
from actcache.passes.costs.timed_runs import KERNEL_TIME, Event, Feed, numbered_copy, profile
from actcache.passes.graph.view import GraphView


def measure_costs(
    view: GraphView,
    directory: Path,
    sample: Feed,
    timing: tuple[float, float],
    layout: Layout,
    libraries: Sequence[str] = (),
) -> Costs:
    """Profile the model on one sample, as onnxruntime optimises it.

    Args:
        view: The model; its external data lies in `directory`.
        directory: A folder for the numbered copy of the model.
        sample: Inputs for one call.
        timing: Seconds of one run of the optimised model, to scale to, and their spread
            (:func:`actcache.passes.costs.timed_runs.run_seconds`).
        layout: What onnxruntime makes of the model. Its shapes become those of the costs.
        libraries: Custom-op libraries that the model needs.
    """
    with numbered_copy(view.model, directory) as (path, scratch):
        times = node_seconds(profile(path, scratch, sample, libraries, optimise=True))
    seconds = attribute(view, layout.graph, times, layout.weights)
    total, spread = timing
    scale = total / max(sum(seconds), 1e-9)
    return Costs(tuple(s * scale for s in seconds), total, layout.shapes, measured=True, spread=spread)


def node_seconds(events: Sequence[Event]) -> dict[str, float]:
    """Return the least time of every node of a profile, by its name."""
    least: dict[str, int] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(KERNEL_TIME):
            node, duration = name.removesuffix(KERNEL_TIME), int(str(event["dur"]))
            least[node] = min(duration, least.get(node, duration))
    return {node: duration * 1e-6 for node, duration in least.items()}
