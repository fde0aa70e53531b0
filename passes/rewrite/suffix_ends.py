"""A recurrence that tells all it remembers behind its last position alone: an LSTM, and its cell state c.

It begins where an earlier call ended, behind position P. What it gave at P is kept with that, so it computes the
positions behind. With P = 0 nothing is known, and it computes all. Where other calls went on in another way than this
one, it is divided: so what it remembers there becomes known, too, and the next such call begins there. Of weights of
the main graph, onnxruntime packs those of the first LSTM, but not those of the second, a branch of a branch. So packed
weights are held once, and what follows where a call is divided may differ in the last bits. ::

    x ─► LSTM on the first part ─► divided? ─► If ─ then: LSTM on the rest ─► y, h, c ─► of both
                                                └─ else: ───────────────────► y, h, c ─► of the first
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx.helper import make_node

from actcache.passes.rewrite.suffix_resumed import Resumed, begun, state_shape
from actcache.passes.rewrite.suffix_sizes import END


def recur_from_end(at: Resumed) -> None:
    """Go on from what an earlier call ended with; tell h and c where this call is divided, and behind its end."""
    inputs, sizes = list(map(at.own, at.slots)), at.sizes
    (h, h_ends), (c, c_ends) = at.end("h"), at.end("c")
    zero, end = sizes.vector([0]), sizes.vector([END])
    known = sizes.node("Gather", sizes.node("Shape", h), zero, axis=0)
    x = sizes.node("Slice", inputs[0], known, end, zero)
    is_whole = sizes.node("Equal", at.divided, zero)
    first_x = sizes.node("Slice", x, zero, sizes.node("Where", is_whole, end, at.divided), zero)
    weights = [*inputs[1:3], inputs[3] if at.has(3) else "", ""]
    first = [f"{at.part}.first{name}" for name in ("", ".h", ".c")]
    at.add([first_x, *weights, begun(at, inputs, 5, h), begun(at, inputs, 6, c), *inputs[7:]], *first)
    shape = state_shape(at, inputs)
    told = [first[0], *(sizes.node("Reshape", name, shape) for name in first[1:])]
    second = [f"{at.part}.second{name}" for name in ("", ".h", ".c")]
    rest = [
        make_node("Slice", [x, at.divided, end, zero], [f"{at.part}.rest"]),
        at.node_like([f"{at.part}.rest", *weights, *first[1:], *inputs[7:]], *second),
        *(make_node("Reshape", [name, shape], [f"{name}.told"]) for name in second[1:]),
    ]
    later = [second[0], *(f"{name}.told" for name in second[1:])]
    both = [make_node("Concat", pair, [f"{pair[1]}.both"], axis=0) for pair in zip(told, later, strict=True)]
    one = [make_node("Identity", [name], [f"{name}.one"]) for name in told]
    computed = f"{at.part}.computed"
    branches = {"then_branch": _body(at, one, one), "else_branch": _body(at, [*rest, *both], both)}
    scalar = sizes.node("Reshape", is_whole, sizes.vector([]))
    sizes.nodes.append(make_node("If", [scalar], [computed, h_ends, c_ends], **branches))
    sizes.nodes.append(make_node("Concat", [h, computed], [at.part], axis=at.axis))
    for final, ends in ((at.final(1), h_ends), (at.final(2), c_ends)):
        if final:
            last = sizes.node("Reshape", sizes.vector([-1]), sizes.vector([]))
            sizes.nodes.append(make_node("Gather", [ends, last], [final], axis=0))


def _body(at: Resumed, nodes: Sequence[onnx.NodeProto], last: Sequence[onnx.NodeProto]) -> onnx.GraphProto:
    """A branch that gives what its last nodes write."""
    outputs = [onnx.helper.make_tensor_value_info(node.output[0], at.dtype(2), None) for node in last]
    return onnx.helper.make_graph(nodes, outputs[0].name, [], outputs)
