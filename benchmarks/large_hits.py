"""What the second copy of a hit costs: ``python -m benchmarks.large_hits [--pairs N]``.

A hit is copied twice: out of its entry into the lookup's result, and from there, by the ``Identity`` of the branch that
runs on a hit, into the result of the ``If``. The compiled model is timed against the same model with the second copy
taken out: there the lookup's result is the model's output, and the branch has nothing to hand on. All calls are hits.
That is the most that an operator could gain which copies out of the entries into the result of the ``If``.
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


def copied_once(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a compiled model of one region and output, changed so that its hits (it has no misses) are copied once."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    lookup = next(node for node in graph.node if node.op_type == "CacheLookup")
    branching = next(node for node in graph.node if node.op_type == "If")
    hit = next(attribute.g for attribute in branching.attribute if attribute.name == "else_branch")
    sizes = [dim.dim_value for dim in hit.output[0].type.tensor_type.shape.dim]
    nothing = numpy_helper.from_array(np.zeros([0, *sizes[1:]], np.float32))
    del hit.node[:]
    hit.node.append(helper.make_node("Constant", [], [hit.output[0].name], value=nothing))
    # The size of what the If gives remains an output: onnxruntime drops an If that nobody reads.
    graph.node.append(helper.make_node("Shape", [branching.output[0]], ["size"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(lookup.output[2], TensorProto.FLOAT, None))
    graph.output.append(helper.make_tensor_value_info("size", TensorProto.INT64, [len(sizes)]))
    kept = [value for value in graph.value_info if value.name != lookup.output[2]]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    return changed


def second_copy(kib: int, rows: int, pairs: int) -> Ratio:
    """Time calls of hits that are copied once against calls of hits that are copied twice."""
    plain, twice, once = (folder() / f"wide{kib}{kind}.onnx" for kind in ("", ".cached", ".once"))
    region = save_wide(plain, kib)
    feed = {"x": np.random.default_rng(1).standard_normal((rows, _WIDTH), np.float32)}
    actcache.compile_model(plain, twice, samples=[feed], regions=[region], verify=False)
    onnx.save(copied_once(onnx.load(twice)), once)
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
