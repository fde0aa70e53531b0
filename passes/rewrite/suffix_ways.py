"""Which operator goes on from earlier positions in which way."""

from __future__ import annotations

import onnx

from actcache.passes.causal.registry import MICROSOFT
from actcache.passes.graph.op_facts import canonical_domain
from actcache.passes.rewrite.suffix_attention import attend, attend_in_groups, attend_packed, attend_with_past, turn
from actcache.passes.rewrite.suffix_ends import recur_from_end
from actcache.passes.rewrite.suffix_recurrent import recur
from actcache.passes.rewrite.suffix_resumed import Resumed, compute_all, convolve

_WAYS = {
    ("", "Conv"): convolve,
    ("", "Attention"): attend,
    (MICROSOFT, "MultiHeadAttention"): attend_with_past,
    (MICROSOFT, "Attention"): attend_packed,
    (MICROSOFT, "GroupQueryAttention"): attend_in_groups,
    (MICROSOFT, "RotaryEmbedding"): turn,
}


#: Outputs that hold keys and values of all positions, for later calls.
_PRESENTS = {
    ("", "Attention"): (1, 2),
    (MICROSOFT, "MultiHeadAttention"): (1, 2),
    (MICROSOFT, "Attention"): (1,),
    (MICROSOFT, "GroupQueryAttention"): (1, 2),
}


def presents_of(source: onnx.NodeProto) -> list[int]:
    """Return the numbers of the outputs that hold keys and values of all positions."""
    numbers = _PRESENTS.get((canonical_domain(source.domain), source.op_type), ())
    return [number for number in numbers if number < len(source.output) and source.output[number]]


def is_kept(source: onnx.NodeProto) -> bool:
    """Whether a node is the original's, whatever sizes it gets, where no earlier position is known."""
    way = _WAYS.get((canonical_domain(source.domain), source.op_type), compute_all)
    masked = way is attend and not any(a.name == "is_causal" and a.i for a in source.attribute)
    return masked or way in (convolve, compute_all, turn)


def go_on(at: Resumed) -> None:
    """Write the suffix of a node's first output; of operators without a way of their own, from all positions. Of
    recurrences: of all outputs that have something for each position.
    """
    if at.recurrence is not None:
        (recur if at.recurrence.shows_all else recur_from_end)(at)
    else:
        _WAYS.get((canonical_domain(at.source.domain), at.source.op_type), compute_all)(at)
