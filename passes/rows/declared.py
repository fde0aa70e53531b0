"""Which declarations of a model a row proof believes. ``docs/declarations.md`` lists all of them.

onnxruntime checks the ranks and the fixed sizes of graph inputs that are declared with axes. It checks nothing of an
input that is declared as a scalar, and nothing of what the model says about intermediate tensors. A rank of those is
believed only where the region reads the tensor itself: the lookup then checks the rank in every call.
"""

from __future__ import annotations

from collections.abc import Collection

from actcache.passes.graph.cones import cones
from actcache.passes.graph.view import GraphView


class Believed:
    """The declarations that one proof believes.

    Args:
        view: The model.
        unread: Graph inputs that the region does not read itself.
    """

    def __init__(self, view: GraphView, unread: Collection[str]) -> None:
        self._view = view
        self._doubted = frozenset(name for name in unread if is_scalar(view, name))
        self._scalars = frozenset(name for name in view.inputs if is_scalar(view, name)) - self._doubted

    def shape(self, name: str) -> tuple[int | str | None, ...] | None:
        """Return the declared sizes of a graph input or of a tensor that is read; None: the rank may be any."""
        return None if name in self._doubted else self._view.shape(name)

    def is_told_by(self, frontier: Collection[str]) -> bool:
        """Whether the frontier holds every scalar that anything computed before it was derived from."""
        if not self._scalars:
            return True
        reached = cones(self._view)
        cone = frozenset().union(*(reached.get(name, frozenset()) for name in frontier))
        return self._scalars.intersection(cone).issubset(frontier)


def is_scalar(view: GraphView, name: str) -> bool:
    """Whether a graph input is declared with rank 0, which onnxruntime does not check."""
    return view.shape(name) == ()
