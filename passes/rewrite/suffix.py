"""The branch that computes the suffix of a causal region: positions P … S-1, given what positions 0 … P-1 left.

Signature; the body follows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from actcache.passes.causal import CausalProof
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal


@dataclass(frozen=True)
class SuffixNames:
    """What a branch shares with the operators around it.

    Attributes:
        compact: Frontier tensor with positions to the tensor of its positions P … S-1.
        cached: State to the tensor of its positions 0 … P-1. Any name may be asked for.
        mark: Is appended to the name of whatever is written in the branch, as it is not what the original writes.
    """

    compact: Mapping[str, str]
    cached: Mapping[str, str]
    mark: str


@dataclass(frozen=True)
class SuffixBranch:
    """What computes the suffix.

    Attributes:
        nodes: In order. Constants of the region are read by their own names, frontier tensors in full as well.
        initializers: Small constants of the nodes.
        computed: Per live-out and per state the tensor of its positions P … S-1.
    """

    nodes: list[onnx.NodeProto]
    initializers: list[onnx.TensorProto]
    computed: Mapping[str, str]


def plan_states(
    view: GraphView, nodes: Collection[int], frontier: Sequence[str], live_outs: Sequence[str], proof: CausalProof
) -> tuple[str, ...] | Refusal:
    """Return the states of a region: its tensors of which later positions read earlier ones; or why there are none.

    Each has a plain axis of positions (:meth:`CausalProof.position_axis`). A live-out may be one of them.
    """
    raise NotImplementedError


def build_suffix(
    view: GraphView,
    nodes: Collection[int],
    frontier: Sequence[str],
    live_outs: Sequence[str],
    states: Sequence[str],
    proof: CausalProof,
    names: SuffixNames,
) -> SuffixBranch:
    """Build the branch of a region; with P = 0 it computes what the region's own nodes compute.

    Raises:
        ValueError: :func:`plan_states` refuses the region.
    """
    raise NotImplementedError
