"""Models that take sequences, maps and optional values beside tensors: samples of them are given, made up, recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import onnxruntime as ort
import pytest
from region_counts import counts_of

import actcache
from actcache.errors import InvalidSamples
from actcache.inspection.explain_miss import explain_inputs
from actcache.model.feed_file import read_feed, save_sample
from actcache.model.model_inputs import model_inputs
from actcache.model.samples import load_sample

FLOAT, INT64, STRING = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.STRING
ROWS = oh.make_tensor_type_proto(FLOAT, ["K", 64])
ENCODER = actcache.RegionSpec("encoder", ("x",), ("h7",))
NUMBER = oh.make_tensor_type_proto(FLOAT, [])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of ``x``, beside a sequence ``parts``, an optional ``bias``, and a map ``words``."""
    path = tmp_path_factory.mktemp("kinds") / "model.onnx"
    empty = oh.make_graph(
        [oh.make_node("Constant", [], ["zero"], value=onnx.numpy_helper.from_array(np.zeros((1, 64), np.float32)))],
        "absent",
        [],
        [oh.make_tensor_value_info("zero", FLOAT, None)],
    )
    given = oh.make_graph(
        [oh.make_node("OptionalGetElement", ["bias"], ["held"])],
        "present",
        [],
        [oh.make_tensor_value_info("held", FLOAT, None)],
    )
    nodes = [
        oh.make_node("MatMul", ["x", "w"], ["h0"]),
        *(oh.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"]) for i in range(7)),
        oh.make_node("ConcatFromSequence", ["parts"], ["joined"], axis=0),
        oh.make_node("ReduceSum", ["joined", "first"], ["sum"], keepdims=1),
        oh.make_node("OptionalHasElement", ["bias"], ["has"]),
        oh.make_node("If", ["has"], ["shift"], then_branch=given, else_branch=empty),
        oh.make_node("DictVectorizer", ["words"], ["v"], domain="ai.onnx.ml", string_vocabulary=["a", "b"]),
        oh.make_node("ReduceSum", ["v"], ["weight"], keepdims=0),
        oh.make_node("Sum", ["h7", "sum", "shift", "weight"], ["y"]),
    ]
    inputs = [
        oh.make_tensor_value_info("x", FLOAT, ["N", 64]),
        oh.make_value_info("parts", oh.make_sequence_type_proto(ROWS)),
        oh.make_value_info("bias", oh.make_optional_type_proto(oh.make_tensor_type_proto(FLOAT, [1, 64]))),
        oh.make_value_info("words", oh.make_map_type_proto(STRING, NUMBER)),
    ]
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32) / 8
    constants = [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.array([0]), "first")]
    outputs = [oh.make_tensor_value_info("y", FLOAT, ["N", 64])]
    graph = oh.make_graph(nodes, "kinds", inputs, outputs, constants)
    imports = [oh.make_opsetid("", 18), oh.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(oh.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def feed(seed: int = 0, count: int = 2, rows: int = 4, *, bias: bool = True) -> dict[str, Any]:
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return generator.standard_normal(shape).astype(np.float32)

    return {
        "x": draw(rows, 64),
        "parts": [draw(1 + number, 64) for number in range(count)],
        "bias": draw(1, 64) if bias else None,
        "words": {"a": 2.0, "c": 1.0},
    }


def equal(one: Any, two: Any) -> bool:
    if isinstance(one, list):
        return isinstance(two, list) and len(one) == len(two) and all(map(equal, one, two))
    if isinstance(one, np.ndarray):
        return isinstance(two, np.ndarray) and one.dtype == two.dtype and np.array_equal(one, two)
    return bool(one == two)


@pytest.mark.parametrize("given", [feed(), feed(count=0), feed(bias=False)])
def test_what_is_written_is_read(given: dict[str, Any], model: Path, tmp_path: Path) -> None:
    inputs = model_inputs(onnx.load(model))
    assert [i.kind for i in inputs] == ["tensor", "sequence", "tensor", "map"] and inputs[2].nullable
    found = load_sample(save_sample(tmp_path / "call.npz", given), inputs)
    assert found.keys() == given.keys() and all(equal(found[name], given[name]) for name in given)


def test_files_that_numpy_writes_are_read(model: Path, tmp_path: Path) -> None:
    call = feed()
    entries = {"parts[0]": call["parts"][0], "parts[1]": call["parts"][1], "x": call["x"], "bias": call["bias"]}
    entries |= {"words{keys}": np.array(["a"]), "words{values}": np.array([1.0])}
    np.savez(tmp_path / "call.npz", **entries)
    found = read_feed(tmp_path / "call.npz", model_inputs(onnx.load(model)))
    assert equal(found["parts"], call["parts"]) and found["words"] == {"a": 1.0}
    np.savez(tmp_path / "call.npz", **{name: a for name, a in entries.items() if "parts" not in name})
    with pytest.raises(InvalidSamples, match=r"call\.npz: 'parts': this input is missing"):
        load_sample(tmp_path / "call.npz", model_inputs(onnx.load(model)))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("parts", 3.0, r"takes sequence of float\[K, 64\] here.*\[array, \.\.\.\]"),
        ("parts", [np.ones((1, 64))], "holds float64, the model takes float"),
        ("parts", [np.ones((1, 63), np.float32)], r"shape \[1, 63\]"),
        ("words", np.ones(2), "{key: number, ...}"),
        ("x", None, "the sample holds object"),
    ],
)
def test_what_does_not_fit_is_named(name: str, value: Any, says: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidSamples, match=rf"samples\[0\]: '{name}': .*{says}"):
        actcache.compile_model(model, tmp_path / "c.onnx", samples=[{**feed(), name: value}])


def test_an_encoder_beside_such_inputs_is_compiled(model: Path, tmp_path: Path) -> None:
    sample = save_sample(tmp_path / "sample.npz", feed())
    result = actcache.compile_model(model, tmp_path / "given.onnx", samples=[sample], regions=[ENCODER])
    made_up = actcache.compile_model(model, tmp_path / "made.onnx", min_saving=0)
    assert ("x",) in [r.candidate.cone for r in made_up.regions]
    assert [r.candidate.region.granularity for r in result.regions] == ["row"]
    reference = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    session = actcache.InferenceSession(str(result.output), providers=["CPUExecutionProvider"])
    recorded = actcache.record(session, tmp_path / "calls")
    calls = [feed(1), {**feed(2), "x": feed(1)["x"]}, feed(3, count=3), feed(3, bias=False)]
    for call in calls:
        (mine,), (wanted,) = recorded.run(None, call), reference.run(None, call)
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-5)
    assert counts_of(result.regions[0])["hits"] == 8
    assert recorded.recorded == len(calls)
    traced = actcache.compile_model(model, tmp_path / "traced.onnx", trace=[tmp_path / "calls"], min_saving=0)
    assert traced.trace is not None and traced.regions


def test_why_a_call_misses_whose_sequence_changed(tmp_path: Path) -> None:
    """What the region reads is computed from the sequence, which the two files hold."""
    nodes = [
        oh.make_node("ConcatFromSequence", ["parts"], ["joined"], axis=0),
        oh.make_node("MatMul", ["joined", "w"], ["h"]),
        oh.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    weights = onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "w")
    inputs = [oh.make_value_info("parts", oh.make_sequence_type_proto(ROWS))]
    graph = oh.make_graph(nodes, "g", inputs, [oh.make_tensor_value_info("y", FLOAT, None)], [weights])
    proto = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, tmp_path / "model.onnx")
    spec = actcache.RegionSpec("joined", ("joined",), ("y",))
    result = actcache.compile_model(tmp_path / "model.onnx", regions=[spec], granularity="tensor")
    first = [np.ones((2, 64), np.float32), np.zeros((1, 64), np.float32)]
    second = [first[0], first[1] + 5]
    files = [save_sample(tmp_path / f"{i}.npz", {"parts": parts}) for i, parts in enumerate((first, second))]
    (same,) = explain_inputs(result.output, files[0], files[0])
    (changed,) = explain_inputs(result.output, files[0], files[1])
    assert same.outcome == "hit" and changed.outcome == "miss" and "differs in 64 of 192 elements" in changed.text
