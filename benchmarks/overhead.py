"""The fixed cost of one warm region: a model of one node, whose lookup saves nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser

import actcache
from benchmarks.interleaved import Ratio, interleaved
from benchmarks.sessions import folder, session

_MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
one_node (float[N, 4] x) => (float[N, 4] y) { y = Tanh(x) }
"""

#: Calls in one measurement: a single one is too short for the clock and the interpreter.
CALLS = 200


def warm_region(pairs: int) -> Ratio:
    """Time :data:`CALLS` calls with one row, all of them hits, against the same calls of the plain model."""
    plain, cached = folder() / "one_node.onnx", folder() / "one_node.cached.onnx"
    onnx.save(onnx.parser.parse_model(_MODEL), plain)
    feed = {"x": np.array([[0.5, -1.25, 3.0, 0.0]], np.float32)}
    actcache.compile_model(plain, cached, samples=[feed], min_saving=0.0)
    original, compiled = session(plain, compiled=False), session(cached, compiled=True)

    def calls(runner: object) -> None:
        for _ in range(CALLS):
            runner.run(None, feed)  # type: ignore[attr-defined]

    return interleaved(lambda _: lambda: calls(compiled), lambda _: lambda: calls(original), pairs)
