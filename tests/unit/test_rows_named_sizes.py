"""Sizes with one name: taken for equal, and what a region then has to check in every call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import model, view

import actcache
from actcache.passes.graph.view import GraphView
from actcache.passes.rows import RowProof, SizeEquation, prove_rows
from actcache.passes.rows.sizes import const

#: The dynamo exporter cuts the ids by the width of the mask. A mask of another width shares rows out anew.
BY_THE_MASK = """
named (float[N, S] x, float[N, S] mask) => (float[N, S] y)
<int64[1] rest = {-1}>
{
    width = Shape <start = 1, end = 2> (mask)
    by_width = Concat <axis = 0> (rest, width)
    cut = Reshape(x, by_width)
    soft = Softmax <axis = -1> (cut)
    back = Shape(x)
    y = Reshape(soft, back)
}
"""


def proof(*inputs: str, **axes: int) -> RowProof:
    """The proof of a graph with these inputs."""
    graph = model("g () => (float[] y) { y = Identity(x0) }")
    for index, text in enumerate(inputs):  # onnx.parser knows no sums
        sizes = [int(size) if size.isdecimal() else size for size in text.split(", ")]
        graph.graph.input.append(onnx.helper.make_tensor_value_info(f"x{index}", onnx.TensorProto.FLOAT, sizes))
    return prove_rows(GraphView(graph), axes, named_sizes=True)


def test_equal_names_are_equal_sizes_under_an_equation() -> None:
    graph = view(BY_THE_MASK)
    axes = {"x": 0, "mask": 0}
    believed = prove_rows(graph, axes, named_sizes=True)
    assert believed.row_axis("y") == 0
    assert believed.size_equations(("mask", "x")) == (SizeEquation(("mask", 1), 0, (("x", 1),)),)
    refusal = prove_rows(graph, axes).refusal("y")
    assert refusal is not None and refusal.rule == "reshape-mixes-rows"


def test_a_call_that_breaks_an_equation_gives_what_the_original_gives(tmp_path: Path) -> None:
    onnx.save(model(BY_THE_MASK), tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    fit = {"x": x, "mask": np.zeros((4, 3), np.float32)}
    broken = {"x": x, "mask": np.zeros((4, 6), np.float32)}  # rows 0 and 1 are one, 2 and 3 another
    partly_known = {**broken, "x": x * np.array([[1], [2], [1], [3]], np.float32)}
    result = actcache.compile_model(tmp_path / "m.onnx", samples=[fit], min_saving=0, granularity="row")
    assert [c.candidate.region.granularity for c in result.regions] == ["row"]
    original = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    options = ort.SessionOptions()
    options.register_custom_ops_library(actcache.library_path())
    compiled = ort.InferenceSession(str(result.output), options, providers=["CPUExecutionProvider"])
    for feed in (fit, broken, broken, partly_known, fit):
        np.testing.assert_allclose(compiled.run(None, feed)[0], original.run(None, feed)[0], rtol=1e-5)


def test_sums_are_equations_with_their_terms() -> None:
    sums = proof("N, S", "N, past + S + 1", "N, 4, past", x0=0, x1=0, x2=0)
    (_, tokens), (_, attended), (*_, past) = (sums.shape(name) or () for name in ("x0", "x1", "x2"))
    assert attended == tokens + past + const(1)
    assert sums.size_equations(("x0", "x1", "x2")) == (SizeEquation(("x1", 1), 1, (("x0", 1), ("x2", 2))),)


def test_a_sum_of_which_a_part_is_not_in_the_frontier_cannot_be_checked() -> None:
    sums = proof("N, S", "N, past + S", "N, 4, past", "N, S", x0=0, x1=0, x2=0, x3=0)
    assert sums.size_equations(("x0", "x1")) is None
    assert sums.size_equations(("x1",)) == ()  # any number is a sum of two
    assert sums.size_equations(("x0", "x3")) == (SizeEquation(("x3", 1), 0, (("x0", 1),)),)


def test_sums_that_share_a_part_that_is_not_there_cannot_be_checked() -> None:
    sums = proof("N, a", "N, b", "N, c", "N, a + b", "N, a + c", "N, c + c", x0=0)
    assert sums.size_equations(("x3",)) == () and sums.size_equations(("x3", "x5")) == ()
    assert sums.size_equations(("x3", "x4")) is None
    assert sums.size_equations(("x0", "x1", "x3")) == (SizeEquation(("x3", 1), 0, (("x0", 1), ("x1", 1))),)


def test_what_the_graph_computes_first_is_told_by_what_it_computes_it_from() -> None:
    two = proof("N, S", "N, S", x0=0, x1=0)
    assert two.size_equations(("x1", "y")) is None  # y is computed from x0
    assert two.size_equations(("x0", "y")) == ()
    assert two.size_equations(("x0", "x1", "y")) == (SizeEquation(("x1", 1), 0, (("x0", 1),)),)


@pytest.mark.parametrize("axis", [0, -2])
def test_the_name_of_the_rows_is_never_believed(axis: int) -> None:
    beside = proof("N, S", "N + S", "S, N", x0=axis)
    sizes = [size for name in ("x1", "x2") for size in beside.shape(name) or ()]
    assert not any(size.batch for size in sizes) and str(sizes[1]) == "S"
    assert beside.size_equations(("x0", "x1", "x2")) == (SizeEquation(("x2", 0), 0, (("x0", 1),)),)
