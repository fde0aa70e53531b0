"""Operators that go along the sequence: how the branch of a suffix goes on from position P.

Each function writes the suffix of the node's first output to :attr:`Resumed.part`; which one is whose is in
:mod:`~actcache.passes.rewrite.suffix_ways`. Those of attention are in
:mod:`~actcache.passes.rewrite.suffix_attention`, those of recurrences in
:mod:`~actcache.passes.rewrite.suffix_recurrent` and :mod:`~actcache.passes.rewrite.suffix_ends`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from actcache.passes.causal.registry import Recurrence
from actcache.passes.rewrite.suffix_sizes import SuffixSizes


@dataclass(frozen=True)
class Resumed:
    """A node that goes on, and how it gets what it reads. Operands go by their number; left out, they are ``""``.

    Attributes:
        source: The node of the original.
        part: The tensor to write.
        axis: Of its positions.
        sizes: Makes small nodes.
        opset: Of the model.
        own: The operand as the causal rule says that an entry reads it: its suffix, or all positions.
        whole: The operand at all positions.
        later: The suffix of an operand with positions.
        first: The operand as the original's node reads it where nothing is known.
        earlier: Its positions 0 … P-1, which are kept for that.
        given: Positions 0 … P-1 of one of the node's outputs, which are kept for that.
        end: Keeps what the node ends a call with, under a name, and like one of its outputs, by number; the last
            argument: that has no axis of positions. Returns what an earlier call ended with behind position P, with
            an axis of one position, or of none if P is 0; and the name of the tensor to write.
        final: The tensor to write for another of the node's outputs, by its number, which holds what is remembered
            behind the last position; "": nobody reads that.
        divided: Behind so many positions from there on (a tensor of one number), it tells what it has then, too. 0:
            only behind the last.
        dtype: The type of an operand.
        output_dtype: The type of an output.
        recurrence: How the node goes along the positions, if it takes one after the other.
        parts: Of such nodes: the tensors to write for all outputs that have something for each position, by number.
    """

    source: onnx.NodeProto
    part: str
    axis: int
    sizes: SuffixSizes
    opset: int
    own: Callable[[int], str]
    whole: Callable[[int], str]
    later: Callable[[int], str]
    first: Callable[[int], str]
    earlier: Callable[[int], str]
    given: Callable[[int], str]
    end: Callable[[str, int, bool], tuple[str, str]]
    final: Callable[[int], str]
    divided: str
    dtype: Callable[[int], int]
    output_dtype: Callable[[int], int]
    recurrence: Recurrence | None = None
    parts: Mapping[int, str] = field(default_factory=dict)

    @property
    def slots(self) -> range:
        """The numbers of the operands."""
        return range(len(self.source.input))

    def has(self, slot: int) -> bool:
        """Whether an operand is there."""
        return slot < len(self.source.input) and bool(self.source.input[slot])

    def hands_out(self, number: int) -> bool:
        """Whether the node has an output."""
        return number < len(self.source.output) and bool(self.source.output[number])

    def present_part(self, number: int) -> str:
        """Return the tensor to write all positions of another output to, for outputs with keys and values."""
        return f"{self.part}.present{number}"

    def attribute(self, name: str, default: int = 0) -> int:
        """Return an attribute that is a whole number."""
        return next((a.i for a in self.source.attribute if a.name == name), default)

    def add(self, inputs: Sequence[str], output: str, *others: str) -> onnx.NodeProto:
        """Add a node like the original, with other inputs and outputs."""
        self.sizes.nodes.append(node := self.node_like(inputs, output, *others))
        return node

    def node_like(self, inputs: Sequence[str], output: str, *others: str) -> onnx.NodeProto:
        """Return a node like the original, with other inputs and outputs."""
        node = onnx.NodeProto()
        node.CopyFrom(self.source)
        node.name = f"{self.source.name} {output}" if self.source.name else ""
        del node.input[:], node.output[:]
        node.input.extend(inputs)
        node.output.extend([output, *others])
        return node


def compute_all(at: Resumed) -> None:
    """What is cheap: it is computed at all positions, and the suffix cut out of it."""
    at.add([at.whole(slot) for slot in at.slots], f"{at.part}.whole")
    at.sizes.cut(f"{at.part}.whole", at.part, [at.axis])


def convolve(at: Resumed) -> None:
    """A causal convolution that pads in front: its first input has all positions, along the same axis."""
    pads = next(list(a.ints) for a in at.source.attribute if a.name == "pads")
    rank = len(pads) // 2 + 2
    border = [0] * 2 * rank
    border[at.axis] = pads[at.axis - 2]
    padded = at.sizes.node("Pad", at.whole(0), at.sizes.vector(border))
    at.sizes.cut(padded, f"{at.part}.window", [at.axis])
    node = at.add([f"{at.part}.window", *map(at.whole, at.slots[1:])], at.part)
    next(a.ints for a in node.attribute if a.name == "pads")[at.axis - 2] = 0
