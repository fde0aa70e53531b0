"""An operator that takes a past, or stands behind one, in the branch of a suffix: as it was, or going on.

Where nothing is known, P = 0, the branch has to be what the original is, also in calls with a past. There the node is
the original's. Where something is known the past is empty, and it goes on from what is known::

    P = 0? ─► If ─ then: the original's node ────────────► y, present
                └─ else: the way that goes on from P ────► y, present

``present`` has all positions in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx.helper import make_graph, make_node, make_tensor_value_info

from actcache.passes.rewrite.suffix_resumed import Resumed
from actcache.passes.rewrite.suffix_ways import go_on


def begin_or_go_on(at: Resumed, presents: Sequence[int]) -> dict[int, str]:
    """Write the suffix of a node's first output, and all of the outputs `presents`; return those by number."""
    outer = at.sizes
    found = {number: at.present_part(number) for number in presents}
    begun = replace(at, part=f"{at.part}.begun")
    others = [begun.present_part(n) if n in found else "" for n in range(1, max(found, default=0) + 1)]
    first = begun.node_like(list(map(at.first, at.slots)), begun.part, *others)
    inner = outer.inside(at.part)
    gone = replace(at, part=f"{at.part}.gone", sizes=inner)
    go_on(gone)
    outer.initializers.extend(inner.initializers)
    branches = {
        "then_branch": _body(begun, [first], presents),
        "else_branch": _body(gone, inner.nodes, presents),
    }
    nothing = outer.node("Reshape", outer.node("Equal", outer.known, outer.vector([0])), outer.vector([]))
    outer.nodes.append(make_node("If", [nothing], [at.part, *found.values()], **branches))
    return found


def _body(at: Resumed, nodes: Sequence[onnx.NodeProto], presents: Sequence[int]) -> onnx.GraphProto:
    """A branch. What its operator hands out may have another type than what it reads."""
    others = [_value(at.present_part(number), at.output_dtype(number)) for number in presents]
    return make_graph(nodes, at.part, [], [_value(at.part, at.dtype(0)), *others])


def _value(name: str, dtype: int) -> onnx.ValueInfoProto:
    """An output of a branch. One whose type is not known (0) has the type that its node gives it."""
    return make_tensor_value_info(name, dtype, None) if dtype else onnx.ValueInfoProto(name=name)
