"""A past in the branch of a suffix: what earlier calls left, put in front of what the call computes itself.

The proof is about calls whose past is empty. In any other call nothing is known, P = 0, and the branch computes what
the region's own nodes compute. So one Concat serves both: of the past, what is known, and the suffix. Its result, all
positions that later ones read, is what the region hands on as well (``present``): nobody has to put it together again.
"""

from __future__ import annotations

from collections.abc import Collection

from actcache.passes.causal import CausalProof
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.suffix_ways import presents_of


class Pasts:
    """Finds the tensors of a region that begin with a past."""

    def __init__(self, view: GraphView, proof: CausalProof, inside: Collection[int]) -> None:
        self._view, self._proof, self._inside = view, proof, frozenset(inside)

    def put_behind(self, name: str) -> str | None:
        """Return the data that stands behind a past in `name`; None: it is not put together along its positions."""
        index = self._view.producer.get(name)
        axis = self._proof.position_axis(name)
        if index is None or index not in self._inside or axis is None:
            return None
        node = self._view.model.graph.node[index]
        along = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if node.op_type != "Concat" or along % len(self._proof.shape(name) or (0,)) != axis:
            return None
        return next((read for read in node.input if self._proof.position_axis(read) == axis), None)

    def is_read_whole(self, name: str) -> bool:
        """Whether the branch has all positions of a tensor anyway: it begins with a past and the region reads it, or it
        is what an attention hands out.
        """
        if self.put_behind(name) is not None:
            return not self._inside.isdisjoint(self._view.consumers.get(name, ()))
        index = self._view.producer.get(name)
        if index is None or index not in self._inside:
            return False
        node = self._view.model.graph.node[index]
        return name in [node.output[number] for number in presents_of(node)]
