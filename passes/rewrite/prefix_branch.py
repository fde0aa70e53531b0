"""What computes the last positions of a region of prefixes, in the branch of its ``If``."""

from __future__ import annotations

from actcache.passes.causal import prove_causal
from actcache.passes.graph.constant_values import ReadTensor
from actcache.passes.graph.view import GraphView
from actcache.passes.refusal import Refusal
from actcache.passes.region import Region
from actcache.passes.rewrite.suffix_branch import SuffixBranch, SuffixNames
from actcache.passes.rewrite.suffix_plan import build_suffix, plan_states


def prefix_branch(view: GraphView, region: Region, mark: str, read: ReadTensor | None = None) -> SuffixBranch | None:
    """Return the nodes of a region's branch; None: they are the region's own.

    Args:
        view: The model that the region was found in.
        region: The region.
        mark: What is appended to names in the branch.
        read: Reads constants that are stored outside the model.
    """
    if region.granularity != "prefix":
        return None
    proof = prove_causal(view, region.positions, pasts=region.pasts, ones=region.ones, binary_masks=True, read=read)
    states = plan_states(view, region.nodes, region.frontier, region.handed_on, proof)
    if isinstance(states, Refusal) or not set(region.states).issuperset(set(states.names).difference(region.live_outs)):
        raise ValueError(f"region '{region.id}' is no longer proven to be causal")
    names = SuffixNames(
        compact={name: name + mark for name in region.compact_axes()},
        cached={name: f"{name}{mark}.cached" for name in (*region.live_outs, *states.names)},
        mark=mark,
        divided=f"divided{mark}",
    )
    return build_suffix(view, region.nodes, region.frontier, region.handed_on, states, proof, names)
