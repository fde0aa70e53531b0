"""What is remembered behind the last position of a call (h and c of an LSTM), where a call is found as a whole.

It is the end that the last position's entries have, or a live-out at its last position
(:attr:`~actcache.passes.region.Region.finals`).
"""

from __future__ import annotations

import onnx

from actcache.passes.region import Region


def take_finals(hit: onnx.GraphProto, region: Region, mark: str) -> None:
    """Have the branch of a hit write ``<name><mark>.hit`` for each of a region's finals."""
    last = f"last{mark}"
    if region.finals:
        hit.initializer.append(onnx.helper.make_tensor(last, onnx.TensorProto.INT64, [], [-1]))
    for name, kept in region.finals.items():
        axis = region.cut.position_axes[1][region.kept.index(kept)]
        cached = f"{kept}{mark}.cached"
        hit.node.append(onnx.helper.make_node("Gather", [cached, last], [f"{name}{mark}.hit"], axis=axis))
