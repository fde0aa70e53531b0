"""Where the states of a causal region are: the tensors that are kept at all positions for those that come later.

Where a node reads data at all positions, it is kept right there, or before nodes that only lay it out anew (the heads
of keys and values, and their repetition for several queries): where a position has the fewest bytes, and as late as
possible while those of one position lie together.
"""

from __future__ import annotations

from collections.abc import Collection

from actcache.passes.causal import CausalProof
from actcache.passes.graph.nodes import element_bits
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rows.rules_elementwise import NARY, UNARY
from actcache.passes.rows.sizes import Size

#: Operators that lay data out anew.
LAYOUT = frozenset("Cast Expand Flatten Identity Reshape Slice Split Squeeze Tile Transpose Unsqueeze".split())
#: What is so cheap that it is rather computed again for all positions than kept.
CHEAP = LAYOUT | frozenset((*UNARY, *NARY, "Not", "Neg", "Abs", "Concat", "Clip", "CumSum"))
#: Longer chains of them are not computed again.
_MOST_NODES = 32
#: Fewest bytes of one position that lie together.
_TOGETHER = 64
#: Taken for sizes that are not known.
_USUAL = 4


class NoSuffix(Exception):
    """Raised where a region cannot be computed for a suffix; never seen outside this package."""

    def __init__(self, reason: str, node: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal("no-suffix", reason, node)


class StateChoice:
    """Chooses the states of one region, as they turn out to be needed.

    Attributes:
        names: The states that are no live-outs, in the order in which they were chosen.
    """

    def __init__(
        self, view: GraphView, proof: CausalProof, frontier: Collection[str], live_outs: Collection[str]
    ) -> None:
        self._view, self._proof, self._frontier, self._live_outs = view, proof, frontier, frozenset(live_outs)
        self.names: list[str] = []

    def choose(self, name: str) -> str:
        """Return the state from which all positions of `name` come: itself, or what it is laid out from."""
        found = self._candidates(name)
        if not found:
            label = self._view.label(self._view.producer[name])
            raise NoSuffix("later positions read it, and it has no axis of its own for positions", label)
        for candidate in found:
            if candidate in self._live_outs or candidate in self.names:
                return candidate
        least = min(map(self._bytes, found))
        light = [candidate for candidate in found if self._bytes(candidate) == least]
        together = [candidate for candidate in light if self._run(candidate) >= _TOGETHER]
        chosen = together[0] if together else max(light, key=self._run)
        self.names.append(chosen)
        return chosen

    def keep(self, name: str) -> None:
        """Keep a tensor that the branch goes on from."""
        if name not in self.names and name not in self._live_outs:
            self.names.append(name)

    def is_recomputed(self, name: str) -> bool:
        """Whether all positions of a tensor are computed again, from the frontier, at next to no cost."""
        waiting, seen = [name], set()
        while waiting:
            current = waiting.pop()
            if current in self._frontier or current in seen or not self._proof.value(current).data:
                continue
            seen.add(current)
            index = self._view.producer.get(current)
            if index is None or not self._is(CHEAP, index) or len(seen) > _MOST_NODES:
                return False
            waiting += self._view.reads[index]
        return True

    def _candidates(self, name: str) -> list[str]:
        """The tensor and those it is laid out from, as far as they can be kept, the last one first."""
        found, current = [], name
        while current not in self._frontier:
            if self._proof.position_axis(current) is not None:
                found.append(current)
            index = self._view.producer[current]
            data = [read for read in self._view.reads[index] if self._proof.value(read).data]
            if not self._is(LAYOUT, index) or len(data) != 1:
                break
            current = data[0]
        return found

    def _is(self, operators: Collection[str], index: int) -> bool:
        node = self._view.model.graph.node[index]
        return canonical_domain(node.domain) == "" and node.op_type in operators

    def _bytes(self, name: str) -> int:
        """Of one position."""
        axis, shape = self._proof.position_axis(name), self._proof.shape(name) or ()
        return self._width(name) * _product([size for a, size in enumerate(shape) if a != axis])

    def _run(self, name: str) -> int:
        """Bytes of one position that lie together."""
        axis, shape = self._proof.position_axis(name) or 0, self._proof.shape(name) or ()
        return self._width(name) * _product(list(shape[axis + 1 :]))

    def _width(self, name: str) -> int:
        return max(1, element_bits(self._view.dtype(name) or 0) // 8)


def _product(sizes: list[Size]) -> int:
    total = 1
    for size in sizes:
        total *= sum(factor * _USUAL ** len(symbols) for symbols, factor in size.terms.items())
    return total
