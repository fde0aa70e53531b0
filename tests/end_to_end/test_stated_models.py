"""Sessions of one model file with the same options use each other's entries at once; all others compare first."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from hand_written import Control

import actcache
from actcache.passes.graph.nodes import all_nodes

Array = np.ndarray[Any, Any]
TEXT = """<ir_version: 8, opset_import: ["" : 17]>
  g (float[N, 8] x) => (float[N, 8] y) <float[8] one = {1,1,1,1,1,1,1,1}> {
    n = LayerNormalization <epsilon = 0.00001> (x, one) m = MatMul(n, w) half = Constant <value = float[1] {0.5}> ()
    h = Mul(m, half) y = Tanh(h) }"""
_SEEDS = itertools.count()
X = np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """A compiled model of one region that no other test has."""
    proto = onnx.parser.parse_model(TEXT)
    weight = np.random.default_rng(next(_SEEDS)).standard_normal((8, 8)).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(proto, tmp_path / "m.onnx")
    return actcache.compile_model(tmp_path / "m.onnx", min_saving=0).output


def region(model: Path) -> str:
    """The fingerprint of the one region of a compiled model."""
    (lookup,) = (n for n in onnx.load(model).graph.node if n.op_type == "CacheLookup")
    return str(next(a.s.decode() for a in lookup.attribute if a.name == "fingerprint"))


def counts(fingerprint: str) -> tuple[int, ...]:
    """Hits, misses, rows compared and sessions kept apart of a region."""
    (found,) = (r for r in actcache.stats()["regions"].values() if r["fingerprint"] == fingerprint)
    assert found["compared"] <= found["verified"] <= found["misses"]
    return found["hits"], found["misses"], found["compared"], found["kept_apart"]


def run(model: Path, level: str = "ORT_ENABLE_ALL", x: Array = X, plain: bool = False) -> Array:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    actcache.register(options)
    kind = ort.InferenceSession if plain else actcache.InferenceSession
    result: Array = kind(str(model), options).run(None, {"x": x})[0]
    return result


def test_sessions_that_live_for_one_call_share(compiled: Path, control: Control) -> None:
    control.invalidate()
    first = run(compiled)
    assert counts(region(compiled)) == (0, 5, 0, 0)
    for number in range(1, 4):
        np.testing.assert_array_equal(run(compiled), first)
        assert counts(region(compiled)) == (5 * number, 5, 0, 0)


@pytest.mark.parametrize(
    "how", ["plain onnxruntime", "another level", "another file", "the same file with other contents"]
)
def test_other_sessions_compare_first(how: str, compiled: Path, control: Control, tmp_path: Path) -> None:
    control.invalidate()
    first = run(compiled)
    other = compiled
    if "file" in how:
        proto = onnx.load(compiled)
        proto.producer_version = "edited"
        other = compiled if "same" in how else tmp_path / "other.onnx"
        onnx.save(proto, other)
    level = "ORT_ENABLE_BASIC" if "level" in how else "ORT_ENABLE_ALL"
    again = run(other, level, plain="plain" in how)
    np.testing.assert_allclose(again, first, rtol=0, atol=1e-6)
    assert counts(region(compiled)) == (0, 10, 5, 0)
    if "plain" not in how:  # they are of one class from now on, and so is the next of either kind
        run(other, level)
        run(other, level)
        assert counts(region(compiled)) == (10, 10, 5, 0)


def test_an_edited_model_keeps_apart_and_is_counted(compiled: Path, control: Control, tmp_path: Path) -> None:
    control.invalidate()
    first = run(compiled)
    proto = onnx.load(compiled)
    (norm,) = (n for n in all_nodes(proto.graph.node) if n.op_type == "LayerNormalization")
    next(a for a in norm.attribute if a.name == "epsilon").f = 0.3
    onnx.save(proto, tmp_path / "edited.onnx")
    for _ in range(2):
        edited = run(tmp_path / "edited.onnx")
        assert np.abs(edited - first).max() > 1e-3
        np.testing.assert_array_equal(run(compiled), first)
    assert counts(region(compiled))[2:] == (5, 1)


def test_an_edited_constant_is_another_key(compiled: Path, control: Control, tmp_path: Path) -> None:
    """Nothing is compared: keys cover values of Constant nodes as the session has them."""
    control.invalidate()
    first = run(compiled)
    proto = onnx.load(compiled)
    (constant,) = (n for n in all_nodes(proto.graph.node) if n.op_type == "Constant")
    constant.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.array([0.5001], np.float32)))
    onnx.save(proto, tmp_path / "edited.onnx")
    assert not np.array_equal(run(tmp_path / "edited.onnx"), first)
    assert not np.array_equal(run(tmp_path / "edited.onnx", plain=True), first)
    np.testing.assert_array_equal(run(compiled, plain=True), first)
    assert counts(region(compiled))[2:] == (10, 0)  # the plain sessions, each with its own kind
    np.testing.assert_array_equal(run(compiled), first)


def test_a_weight_that_a_session_replaces_is_another_identity(compiled: Path, control: Control) -> None:
    control.invalidate()
    first = run(compiled)
    weight = np.eye(8, dtype=np.float32)

    def replaced() -> Array:
        options = ort.SessionOptions()
        kept = ort.OrtValue.ortvalue_from_numpy(weight)
        options.add_initializer("w", kept)
        result: Array = actcache.InferenceSession(str(compiled), options).run(None, {"x": X})[0]
        return result

    other = replaced()
    assert not np.allclose(other, first, atol=1e-2)
    np.testing.assert_array_equal(replaced(), other)
    np.testing.assert_array_equal(run(compiled), first)
    assert counts(region(compiled)) == (10, 10, 0, 0)


def test_nothing_is_said_of_sessions_created_later(compiled: Path, control: Control) -> None:
    control.invalidate()
    run(compiled)
    with pytest.raises(Exception, match=r"(?i)no such|not exist|doesn't exist|failed"):
        actcache.InferenceSession("nowhere.onnx")
    run(compiled, plain=True)
    assert counts(region(compiled)) == (0, 10, 5, 0)


def test_a_model_given_as_bytes_is_the_file_it_came_from(compiled: Path, control: Control) -> None:
    control.invalidate()
    run(compiled)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    actcache.InferenceSession(compiled.read_bytes(), options).run(None, {"x": X})
    assert counts(region(compiled)) == (5, 5, 0, 0)
