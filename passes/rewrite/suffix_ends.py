"""A recurrence that tells all it remembers behind its last position alone: an LSTM, and its cell state c.

It begins where an earlier call ended, behind position P. What it gave at P is kept with that, so it computes the
positions behind. With P = 0 nothing is known, and it computes all. Where other calls went on in another way than this
one, it is divided: so what it remembers there becomes known, too, and the next such call begins there. A loop goes over
the one or two parts, so that there is one operator, which holds its weights as it needs them once::

    h, c, y of P ─► Loop: LSTM on the next part ─► y of all parts; h and c behind each
"""

from __future__ import annotations

import onnx
from onnx.helper import make_graph, make_node, make_tensor_value_info

from actcache.passes.rewrite.suffix_resumed import Resumed, begun
from actcache.passes.rewrite.suffix_sizes import END

_CARRIED = ("h", "c", "y", "start", "stop")
_TOLD = ("told_h", "told_c")


def recur_from_end(at: Resumed) -> None:
    """Go on from what an earlier call ended with; tell h and c where this call is divided, and behind its end."""
    inputs, sizes = list(map(at.own, at.slots)), at.sizes
    (h, h_ends), (c, c_ends) = at.end("h"), at.end("c")
    zero, end = sizes.vector([0]), sizes.vector([END])
    known = sizes.node("Gather", sizes.node("Shape", h), zero, axis=0)
    x = sizes.node("Slice", inputs[0], known, end, zero)
    is_whole = sizes.node("Equal", at.divided, zero)
    first_stop = sizes.node("Where", is_whole, end, at.divided)
    parts = sizes.node("Where", is_whole, sizes.vector([1]), sizes.vector([2]))
    begin = [begun(at, inputs, 5, h), begun(at, inputs, 6, c), h, zero, first_stop]
    behind = [at.final(1) or f"{at.part}.h", at.final(2) or f"{at.part}.c", at.part]
    behind += [f"{at.part}.start", f"{at.part}.stop"]
    loop = [sizes.node("Reshape", parts, sizes.vector([])), "", *begin]
    body = _on_the_next_part(at, x, [*inputs[1:3], inputs[3] if at.has(3) else "", ""], inputs[7:])
    sizes.nodes.append(make_node("Loop", loop, [*behind, h_ends, c_ends], body=body))


def _on_the_next_part(at: Resumed, x: str, weights: list[str], peepholes: list[str]) -> onnx.GraphProto:
    """The body of the loop, from what is carried to that behind the next part of x, and to what is told of it."""
    zero, end = at.sizes.vector([0]), at.sizes.vector([END])
    before = {name: f"{at.part}.in.{name}" for name in ("number", "go_on", *_CARRIED)}
    after = {name: f"{at.part}.out.{name}" for name in ("go_on", *_CARRIED, *_TOLD)}
    part, computed = f"{at.part}.in.x", f"{at.part}.out.computed"
    nodes = [
        make_node("Slice", [x, before["start"], before["stop"], zero], [part]),
        at.node_like([part, *weights, before["h"], before["c"], *peepholes], computed, after["h"], after["c"]),
        make_node("Concat", [before["y"], computed], [after["y"]], axis=at.axis),
        make_node("Identity", [before["go_on"]], [after["go_on"]]),
        make_node("Identity", [before["stop"]], [after["start"]]),
        make_node("Identity", [end], [after["stop"]]),
        *(make_node("Identity", [after[told[-1]]], [after[told]]) for told in _TOLD),
    ]
    kind, number = at.dtype(2), onnx.TensorProto.INT64
    kinds = {"number": number, "go_on": onnx.TensorProto.BOOL, "start": number, "stop": number}
    sizes: dict[str, list[int]] = {"number": [], "go_on": []}

    def values(names: dict[str, str]) -> list[onnx.ValueInfoProto]:
        return [make_tensor_value_info(n, kinds.get(what, kind), sizes.get(what)) for what, n in names.items()]

    return make_graph(nodes, f"{at.part} part by part", values(before), values(after))
