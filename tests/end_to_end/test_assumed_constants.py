"""Rows are proven apart for the axes, shapes and flags that the model has. A session may replace these, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from hand_written import Control

import actcache

Array = np.ndarray[Any, Any]
WIDTH = 128
BATCHES = ([0, 1, 2, 3], [3, 2], [1, 1, 1], [5, 0, 6], [4], [0, 1, 2, 3])
ROWS = np.random.default_rng(0).standard_normal((7, WIDTH)).astype(np.float32)

#: What follows the layers, the constant that is replaced, and what by.
REPLACED = {
    "axis": ("<int64 c = {1}> { LAYERS y = CumSum(h, c) }", np.array(0)),
    "axis of a Constant": ("{ LAYERS c = Constant<value_int = 1>() y = CumSum(h, c) }", np.array(0)),
    "axes": ("<int64[1] c = {1}> { LAYERS s = ReduceSum(h, c) y = Add(h, s) }", np.array([0])),
    "shape": (
        "<int64[3] c = {-1, 2, 64}, int64[2] flat = {-1, 128}>"
        " { LAYERS a = Reshape(h, c) b = Softmax<axis = 1>(a) y = Reshape(b, flat) }",
        np.array([2, -1, 64]),
    ),
}


def saved(text: str, folder: Path) -> Path:
    layers = "a0 = MatMul(x, w0) a1 = Tanh(a0) a2 = MatMul(a1, w1) a3 = Tanh(a2) h = MatMul(a3, w2)"
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[N, {WIDTH}] x) => (float[N, {WIDTH}] y) '
        + text.replace("LAYERS", layers)
    )
    random = np.random.default_rng(1)
    for name in ("w0", "w1", "w2"):
        weight = random.standard_normal((WIDTH, WIDTH)).astype(np.float32) / WIDTH**0.5
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(proto, folder / "m.onnx")
    return folder / "m.onnx"


def session(path: Path, **replaced: Array) -> tuple[ort.InferenceSession, object]:
    """A session, and what has to live as long."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # it would go by the file's constants
    options.register_custom_ops_library(actcache.library_path())
    kept = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in replaced.items()}
    for name, value in kept.items():
        options.add_initializer(name, value)
    return ort.InferenceSession(path, options), kept


def hits() -> int:
    return sum(region["hits"] for region in actcache.stats()["regions"].values())


@pytest.mark.parametrize("what", REPLACED)
def test_a_constant_that_the_proof_rests_on(what: str, control: Control, tmp_path: Path) -> None:
    """With another one nothing is cached; with the same one, and in sessions without any, rows are."""
    control.invalidate()
    text, other = REPLACED[what]
    path = saved(text, tmp_path)
    result = actcache.compile_model(path, min_saving=0)
    assert [region.candidate.region.granularity for region in result.regions] == ["row"]
    same = next(iter(onnx_constant(path)))
    for replaced, served in (({}, True), ({"c": other}, False), ({"c": same}, True), ({}, True)):
        (original, first), (compiled, second) = session(path, **replaced), session(result.output, **replaced)
        before = hits()
        for rows in BATCHES:
            (wanted,), (found,) = (each.run(None, {"x": ROWS[rows]}) for each in (original, compiled))
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
        assert (hits() > before) is served
        del first, second


def onnx_constant(path: Path) -> list[Array]:
    graph = onnx.load_model(path).graph
    found = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == "c"]
    return found or [np.array(node.attribute[0].i) for node in graph.node if node.output[0] == "c"]


def test_a_flag_that_turns_dropout_on(control: Control, tmp_path: Path) -> None:
    """Nothing random is kept, in a region by calls neither."""
    control.invalidate()
    path = saved("<bool c = {0}, float half = {0.5}> { LAYERS y = Dropout(h, half, c) }", tmp_path)
    for granularity in ("row", "tensor"):
        target = tmp_path / f"{granularity}.onnx"
        actcache.compile_model(path, target, min_saving=0, granularity=granularity)
        for flag, drawn in ((False, False), (True, True)):
            compiled, _kept = session(target, c=np.array(flag))
            first, second = (compiled.run(None, {"x": ROWS})[0] for _ in range(2))
            assert bool((first == 0).any()) is drawn and (not np.array_equal(first, second)) is drawn
