"""What copying a large hit once saves: ``python -m benchmarks.large_hits [--pairs N]``.

In models that the compiler makes, an operator in the branch copies a large hit out of its entry into the result of the
``If``: ``CacheFetch`` if all rows are found, ``CacheStore`` if some are new. The compiled model is timed against the
same model changed so that the lookup copies the hit into a tensor of its own, which the branch copies once more, as for
small results. In the first table all calls are hits; in the second one half of each call's rows is new.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from rich.table import Table

import actcache
from actcache.passes.rewrite.handing_over import HANDS_OVER, STORE_FETCHES
from benchmarks.interleaved import Call, Ratio, interleaved
from benchmarks.sessions import folder, session

#: KiB of a row's value, and rows of a call.
SIZES = ((4, 8), (16, 8), (64, 8), (256, 8), (1024, 8), (4096, 2))
NEW_SIZES = ((16, 8), (64, 8), (256, 8), (1024, 8))
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
        kept = [attribute for attribute in node.attribute if attribute.name not in (HANDS_OVER, STORE_FETCHES)]
        del node.attribute[:]
        node.attribute.extend(kept)
    return changed


class Rows:
    """Feeds of calls: the same rows in each, but for `new` of them, which come once."""

    def __init__(self, rows: int, new: int) -> None:
        self._random = np.random.default_rng(1)
        self._known, self._new = self._draw(rows), new

    def _draw(self, rows: int) -> npt.NDArray[np.float32]:
        return self._random.standard_normal((rows, _WIDTH), np.float32)

    def __call__(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the next one. New rows stand between the known ones."""
        x = self._known.copy()
        if self._new:
            x[:: len(x) // self._new] = self._draw(self._new)
        return {"x": x}


def second_copy(kib: int, rows: int, pairs: int, new: int = 0) -> Ratio:
    """Time calls whose hits are copied once against calls whose hits are copied twice.

    Args:
        kib: KiB of a row's result.
        rows: Of a call.
        pairs: Timed calls of each.
        new: How many rows of a call are no hits: a divisor of `rows`, or 0.
    """
    plain, once, twice = (folder() / f"wide{kib}{kind}.onnx" for kind in ("", ".cached", ".twice"))
    region = save_wide(plain, kib)
    known, feeds = Rows(rows, 0)(), Rows(rows, new)
    actcache.compile_model(plain, once, samples=[known], regions=[region], verify=False)
    onnx.save(copied_twice(onnx.load(once)), twice)
    two, one = session(twice, compiled=True), session(once, compiled=True)
    wanted = two.run(None, known)[0]  # which computes it
    for running in (two, one, two, one):  # whose first hits may be compared
        running.run(None, known)
    for running in (two, one):
        if not np.array_equal(running.run(None, known)[0], wanted):
            raise RuntimeError(f"a row of {kib} KiB was not found again")

    def calls(running: ort.InferenceSession) -> Callable[[int], Call]:
        return lambda _: partial(running.run, None, feeds())

    before = _found(region.name)
    ratio = interleaved(calls(one), calls(two), pairs)
    if _found(region.name) - before != 2 * (pairs + 2) * (rows - new):
        raise RuntimeError(f"known rows of {kib} KiB were not found again")
    return ratio


def _found(region: str) -> int:
    """Return how many rows the regions of this name have found."""
    return sum(counts["hits"] for name, counts in actcache.stats()["regions"].items() if region in name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_hits")
    parser.add_argument("--pairs", type=int, default=101, help="timed calls of each (default: 101)")
    options = parser.parse_args(arguments)
    actcache.configure(budget_bytes="256MiB", bypass="off")
    for title, sizes, share in (("calls of hits", SIZES, 0), ("calls of which half the rows are new", NEW_SIZES, 2)):
        table = Table("a row's value", "rows", "copied twice", "copied once", "ratio", "quartiles", title=title)
        for kib, rows in sizes:
            found = second_copy(kib, rows, options.pairs, rows // share if share else 0)
            times = (f"{seconds * 1e6:,.0f} µs" for seconds in (found.second, found.first))
            table.add_row(f"{kib} KiB", str(rows), *times, f"{found.ratio:.2f}", f"{found.low:.2f}–{found.high:.2f}")
            actcache.invalidate()
        Console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
