"""How long a part of the model takes for some rows: measured on the sample and on one of its rows.

The time of a node is taken to be linear in the number of rows, a + b·n. Shares of a call's time are what the model is
used for, so that an error that all nodes have in common does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from actcache.passes.costs.cost import Costs


@dataclass(frozen=True)
class FewRows:
    """Costs of the sample cut to fewer rows.

    Attributes:
        row_axes: Graph input to the axis that was cut.
        few: Rows that were left.
        costs: Time per node with those.
    """

    row_axes: Mapping[str, int]
    few: int
    costs: Costs


class TimeModel:
    """Seconds of sets of nodes as functions of the number of rows.

    Args:
        costs: Costs of the sample.
        fewer: Costs with fewer rows, for each batch that the model has.
    """

    def __init__(self, costs: Costs, fewer: Sequence[FewRows]) -> None:
        self.costs = costs
        self._fewer = sorted(fewer, key=lambda cut: len(cut.row_axes))

    def line(self, nodes: Collection[int], row_axes: Mapping[str, int], rows: int) -> tuple[float, float]:
        """Return (a, b): the nodes take a + b·n seconds for n rows.

        Args:
            nodes: Indices of the nodes.
            row_axes: Graph inputs that are cut into rows; empty where rows begin further down.
            rows: Rows of the sample.
        """
        whole = sum(self.costs.seconds[i] for i in nodes)
        cut = next((c for c in self._fewer if row_axes.items() <= c.row_axes.items()), None)
        if cut is None or not row_axes or rows <= cut.few:
            return 0.0, whole / rows
        few = sum(cut.costs.seconds[i] for i in nodes)
        slope = min(max((whole - few) / (rows - cut.few), 0.0), whole / rows)
        return whole - slope * rows, slope
