"""Where the states of a causal region are: the tensors that are kept at all positions for those that come later.

Where a node reads data at all positions, it is kept right there, or before nodes that only lay it out anew (the heads
of keys and values, and their repetition for several queries): where a position has the fewest bytes, and as late as
possible while those of one position lie together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from actcache.passes.causal import CausalProof, Fixed
from actcache.passes.cuts import End
from actcache.passes.graph.nodes import element_bits
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.suffix_branch import SuffixNames
from actcache.passes.rows.rules_elementwise import NARY, UNARY
from actcache.passes.rows.sizes import Size

#: Operators that lay data out anew.
LAYOUT = frozenset("Cast Expand Flatten Identity Pad Reshape Slice Split Squeeze Tile Transpose Unsqueeze".split())
#: What is so cheap that it is rather computed again for all positions than kept.
CHEAP = LAYOUT | frozenset((*UNARY, *NARY, *"Not Neg Abs Concat Clip CumSum ScatterElements ScatterND".split()))
#: Reads what lies at given places.
_PICKS = frozenset({"Gather", "GatherND", "GatherElements"})
_SCALES = frozenset({"Mul", "Div", "Add", "Sub", "Neg"})
#: Longer chains of them are not computed again.
_MOST_NODES = 32
#: Fewest bytes of one position that lie together.
_TOGETHER = 64
#: Taken for sizes that are not known.
_USUAL = 4


@dataclass(frozen=True)
class States:
    """What a region keeps beside its live-outs.

    Attributes:
        earlier: Tensors of which later positions read earlier ones. Each has a plain axis of positions
            (:meth:`~actcache.passes.causal.CausalProof.position_axis`).
        ends: What is known behind the last position of a call alone, such as the cell state of an LSTM: by name, each
            with what it is like.
        finals: What the rest of the model, or the caller, reads of what is remembered behind the last position of a
            call, each with the end that is equal to it, or with the live-out that is at its last position.
        results: Live-outs of which later positions read earlier ones.
    """

    earlier: tuple[str, ...]
    ends: Mapping[str, End]
    finals: Mapping[str, str] = field(default_factory=dict)
    results: tuple[str, ...] = ()

    @property
    def are_read(self) -> bool:
        """Whether later positions read anything of earlier ones."""
        return bool(self.earlier or self.ends or self.results)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, as entries hold them."""
        return (*self.earlier, *self.ends)


class NoSuffix(Exception):
    """Raised where a region cannot be computed for a suffix; never seen outside this package."""

    def __init__(self, reason: str, node: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal("no-suffix", reason, node)


class Ends:
    """What is known behind the last position of a call alone, as it turns out to be needed.

    Args:
        view: The model.
        proof: What is proven of it.
        names: Of the branch.
        live_outs: What is read behind the region.

    Attributes:
        like: As :attr:`States.ends`.
        finals: As :attr:`States.finals`: those of `live_outs` that hold what is remembered.
    """

    def __init__(self, view: GraphView, proof: CausalProof, names: SuffixNames, live_outs: Collection[str]) -> None:
        self._view, self._names = view, names
        self.like: dict[str, End] = {}
        last = {name: found for name in live_outs if (found := proof.last(name)) is not None}
        self.finals = {
            name: self._named(found.of, found.what) if found.what else found.of for name, found in last.items()
        }

    def keep(self, name: str, what: str, like: End) -> tuple[str, str]:
        """Keep an end of what writes `name`; see :attr:`~actcache.passes.rewrite.suffix_resumed.Resumed.end`."""
        end = self._named(name, what)
        self.like[end] = like
        return self._names.known(end), self._names.marked(end)

    def final(self, name: str) -> str:
        """Return the tensor to write for a final; "": it is none."""
        return self._names.marked(name) if name in self.finals else ""

    def _named(self, name: str, what: str) -> str:
        end = f"{name}.{what}"
        while end in self._view.producer or end in self._view.inputs or end in self._view.initializers:
            end += "_"
        return end

    def computed(self) -> dict[str, str]:
        """Return the tensors that the branch writes for them."""
        return {end: self._names.marked(end) for end in self.like}


class StateChoice:
    """Chooses the states of one region, as they turn out to be needed.

    Attributes:
        names: The states that are no live-outs, in the order in which they were chosen.
        results: Those that are live-outs.
    """

    def __init__(
        self, view: GraphView, proof: CausalProof, frontier: Collection[str], live_outs: Collection[str]
    ) -> None:
        self._view, self._proof = view, proof
        self._frontier, self._live_outs = frozenset(frontier), frozenset(live_outs)
        self._rows = {size for name in frontier if proof.value(name).data for size in proof.shape(name) or ()}
        self.names: list[str] = []
        self.results: dict[str, None] = {}

    def choose(self, name: str) -> str:
        """Return the state from which all positions of `name` come: itself, or what it is laid out from."""
        found = self._candidates(name)
        if not found:
            label = self._view.label(self._view.producer[name])
            raise NoSuffix("later positions read it, and it has no axis of its own for positions", label)
        for candidate in found:
            if candidate in self._live_outs:
                self.results[candidate] = None
            if candidate in self._live_outs or candidate in self.names:
                return candidate
        found = [candidate for candidate in found if self._has_rows(candidate)] or found
        least = min(map(self._bytes, found))
        light = [candidate for candidate in found if self._bytes(candidate) == least]
        together = [candidate for candidate in light if self._run(candidate) >= _TOGETHER]
        chosen = together[0] if together else max(light, key=self._run)
        self.names.append(chosen)
        return chosen

    def keep(self, name: str) -> None:
        """Keep a tensor that the branch goes on from."""
        if name in self._live_outs:
            self.results[name] = None
        elif name not in self.names:
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
            if index is None or not self._is_cheap(index) or len(seen) > _MOST_NODES:
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
            if len(data) != 1 or not (self._is(LAYOUT, index) or self._scales(index)):
                break
            current = data[0]
        return found

    def _has_rows(self, name: str) -> bool:
        """Whether an axis may be that of the rows of a batch: it has a size that the frontier has, and is no number."""
        axis = self._proof.position_axis(name)
        sizes = [size for a, size in enumerate(self._proof.shape(name) or ()) if a != axis]
        return any(size in self._rows and size.value is None for size in sizes)

    def _is_cheap(self, index: int) -> bool:
        """Whether a node costs next to nothing. What looks things up costs their bytes: masks by position are few."""
        picks = self._is(_PICKS, index) and self._proof.value(self._view.model.graph.node[index].input[0]).data
        return picks or self._is(CHEAP, index)

    def _is(self, operators: Collection[str], index: int) -> bool:
        node = self._view.model.graph.node[index]
        return canonical_domain(node.domain) == "" and node.op_type in operators

    def _scales(self, index: int) -> bool:
        """Whether a node multiplies by what is the same for all positions, or the like."""
        operands = self._view.reads[index]
        return self._is(_SCALES, index) and all(
            self._proof.value(read).data or isinstance(self._proof.state(read), Fixed) for read in operands
        )

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
