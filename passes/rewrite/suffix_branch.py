"""What a branch of a suffix shares with the operators around it, and what it gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import onnx

#: The axes along which only the suffix is wanted; ``short``: of sizes, those that they have in the suffix.
Version = frozenset[int] | Literal["short"]
FULL: frozenset[int] = frozenset()


@dataclass(frozen=True)
class SuffixNames:
    """What a branch shares with the operators around it.

    Attributes:
        compact: Frontier tensor with positions to the tensor of its positions P … S-1.
        cached: State or live-out to the tensor of its positions 0 … P-1.
        divided: Tensor of one number, for regions with ends: behind so many of the positions that follow those with
            ends, the branch tells its ends, too; 0: behind the last one alone.
        mark: Is appended to the name of whatever is written in the branch and is not what the original writes.
    """

    compact: Mapping[str, str]
    cached: Mapping[str, str]
    mark: str
    divided: str = ""

    def known(self, name: str) -> str:
        """Return the tensor of what is known of a state or live-out."""
        return self.cached.get(name, f"{name}.cached")

    def tag(self, version: Version, places: int) -> str:
        """Return what is appended to the name of a tensor with so many axes of positions for a version of it."""
        if version == "short":
            return f"{self.mark}.short"
        if not version:
            return f"{self.mark}.all"
        axes = "" if places == 1 else "." + "_".join(map(str, sorted(version)))
        return f"{self.mark}{axes}"

    def marked(self, name: str) -> str:
        """Return the name of what the branch writes for a tensor of another name."""
        return f"{name}{self.mark}"


@dataclass(frozen=True)
class SuffixBranch:
    """What computes the suffix.

    Attributes:
        nodes: In order. Constants are read by their own names, the whole frontier too.
        initializers: Small constants of the nodes.
        computed: Per live-out and per state the tensor of its positions P … S-1.
        complete: Some of the last live-outs to the tensor of all their positions, where the branch has it anyway, and
            not what the region gives in a call to which the proof does not apply.
        finals: As :attr:`~actcache.passes.rewrite.suffix_states.States.finals`, each with the tensor that holds it.
    """

    nodes: list[onnx.NodeProto]
    initializers: list[onnx.TensorProto]
    computed: Mapping[str, str]
    complete: Mapping[str, str]
    finals: Mapping[str, str]
