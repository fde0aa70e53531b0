"""What copying a large hit once saves: ``python -m benchmarks.large_hits [--pairs N]``.

In models that the compiler makes, ``CacheFetch`` copies a large hit out of its entry into the result of the ``If``. The
compiled model is timed against the same model without it: there the lookup copies the hit into a tensor of its own,
and an ``Identity`` copies that into the result of the ``If``, as the compiler has it for small results. All calls are
hits.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

import actcache
from actcache.passes.rewrite.hit_branch import HANDS_OVER
from benchmarks.interleaved import Ratio, interleaved
from benchmarks.sessions import folder, session

#: KiB of a row's value, and rows of a call.
SIZES = ((4, 8), (16, 8), (64, 8), (256, 8), (1024, 8), (4096, 2))
_WIDTH = 64
_FLOATS_A_KIB = 256


def save_wide(path: Path, kib: int) -> actcache.RegionSpec:
    """Save a model whose rows have results of so many KiB (16 at least), and return the region that is all of it."""
    values = np.random.default_rng(0).standard_normal((1, 1, kib * _FLOATS_A_KIB // _WIDTH), np.float32)
    constants = [numpy_helper.from_array(values, "values"), numpy_helper.from_array(np.array([2]), "axis")]
    nodes = [
        helper.make_node("Tanh", ["x"], ["narrow"]),
        helper.make_node("Unsqueeze", ["narrow", "axis"], ["column"]),
        helper.make_node("Mul", ["column", "values"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", _WIDTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", _WIDTH, values.shape[2]])
    graph = helper.make_graph(nodes, "wide", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return actcache.RegionSpec("wide", ("x",), ("y",))


def fetch_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the ``CacheFetch`` nodes of a compiled model, of the branches of its main graph."""
    bodies = [a.g for node in model.graph.node for a in node.attribute if a.name == "else_branch"]
    return [node for body in bodies for node in body.node if node.op_type == "CacheFetch"]


def copied_twice(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a compiled model changed so that its lookups copy all hits, which are copied once more after them."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in fetch_nodes(changed):
        if len(node.output) != 1:
            raise ValueError(f"'{node.name}' has several results")
        node.CopyFrom(helper.make_node("Identity", [node.input[1]], list(node.output)))
    for node in changed.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != HANDS_OVER]
        del node.attribute[:]
        node.attribute.extend(kept)
    return changed


def second_copy(kib: int, rows: int, pairs: int) -> Ratio:
    """Time calls of hits that are copied once against calls of hits that are copied twice."""
    plain, once, twice = (folder() / f"wide{kib}{kind}.onnx" for kind in ("", ".cached", ".twice"))
    region = save_wide(plain, kib)
    feed = {"x": np.random.default_rng(1).standard_normal((rows, _WIDTH), np.float32)}
    actcache.compile_model(plain, once, samples=[feed], regions=[region], verify=False)
    onnx.save(copied_twice(onnx.load(once)), twice)
    two, one = session(twice, compiled=True), session(once, compiled=True)
    wanted = two.run(None, feed)[0]  # which computes it
    for running in (two, one, two, one):  # whose first hits may be compared
        running.run(None, feed)
    for running in (two, one):
        if not np.array_equal(running.run(None, feed)[0], wanted):
            raise RuntimeError(f"a row of {kib} KiB was not found again")
    return interleaved(lambda _: lambda: one.run(None, feed), lambda _: lambda: two.run(None, feed), pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_hits")
    parser.add_argument("--pairs", type=int, default=101, help="timed calls of each (default: 101)")
    options = parser.parse_args(arguments)
    actcache.configure(budget_bytes="256MiB", bypass="off")
    table = Table("a row's value", "rows", "copied twice", "copied once", "ratio", "quartiles", title="calls of hits")
    for kib, rows in SIZES:
        found = second_copy(kib, rows, options.pairs)
        times = (f"{seconds * 1e6:,.0f} µs" for seconds in (found.second, found.first))
        table.add_row(f"{kib} KiB", str(rows), *times, f"{found.ratio:.2f}", f"{found.low:.2f}–{found.high:.2f}")
        actcache.invalidate()
    Console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
