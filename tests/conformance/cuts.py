"""The regions that a model is compiled with, and by which rows the calls are cut that hold it to the original."""

from __future__ import annotations

import numpy as np
import onnx

from actcache.model.model_file import LoadedModel
from actcache.passes.choice.choose import Choice, Plan, choose
from actcache.passes.costs.cost import Costs
from actcache.passes.graph.view import GraphView
from actcache.passes.identity.fingerprint import fingerprint
from actcache.passes.rewrite.outline import outline_in
from actcache.passes.rows import row_hypotheses, with_namesakes


def plans(view: GraphView, costs: Costs, chosen: Choice) -> list[Plan]:
    """What is compiled: the choice, whole tensors, and other cuts of the same model (nodes take random times)."""
    found = [*chosen.plans, *choose(view, costs, granularity="tensor", min_saving=0, name="region").plans]
    random = np.random.default_rng(len(view.writes))
    for granularity in ("row", "auto"):
        seconds = tuple(random.exponential(1e-6, len(view.writes)))
        priced = Costs(seconds, sum(seconds), costs.shapes, measured=False)
        found += choose(view, priced, granularity=granularity, min_saving=1e-30, name="region").plans[:1]
    return list({frozenset((c.region.granularity, c.region.nodes) for c in plan): plan for plan in found}.values())


def batches(view: GraphView, plan: Plan) -> list[dict[str, int] | None]:
    """The axes of rows that calls are made by: those of each row region, and with the rest of its batch.

    Axes that the model gives one name go together: a call in which they differ is no call of this model.
    """
    found: list[dict[str, int] | None] = []
    for own in (dict(c.row_axes) for c in plan if c.region.granularity == "row"):
        whole = [h for h in row_hypotheses(view, view.inputs) if own.items() <= h.items()]
        # A region that begins behind other nodes has no axes of inputs: they are whatever leads to its rows.
        for axes in ([with_namesakes(view, own)] if own else []) + whole:
            if axes not in found:
                found.append(axes)
    return found or [None]


def outlined(loaded: LoadedModel, view: GraphView, plan: Plan) -> onnx.ModelProto:
    """Return the model with the regions of a plan behind their lookups."""
    result = onnx.ModelProto()
    result.CopyFrom(loaded.proto)
    for candidate in plan:
        region = candidate.region
        outline_in(result, view, region, fingerprint(view, region.nodes, region.live_outs, loaded.weights.tensors))
    return result
