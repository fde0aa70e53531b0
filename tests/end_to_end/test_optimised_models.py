"""Models that other tools have optimised or exported with operators that onnx cannot infer types of: what is cached of
them is what would be cached of the same model in ONNX's own operators.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import onnxruntime as ort
import pytest

import actcache
from actcache.model.compiled_model import read_compiled
from models import feed
from models.fetch import fetch


def optimised(name: str, level: str, folder: Path) -> Path:
    """Has onnxruntime save the model as it optimised it."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / f"{name}.optimised.onnx")
    ort.InferenceSession(str(fetch(name)), options, providers=["CPUExecutionProvider"])
    return folder / f"{name}.optimised.onnx"


def same(original: Path, compiled: Path, given: dict[str, np.ndarray], tolerance: float = 1e-4) -> list[list[Any]]:
    """Runs both, cold, warm and with rows in another order; returns the outputs of the compiled model."""
    reference = ort.InferenceSession(str(original), providers=["CPUExecutionProvider"])
    session = actcache.InferenceSession(str(compiled), providers=["CPUExecutionProvider"])
    answers = []
    for call in (given, given, {name: array[::-1].copy() for name, array in given.items()}):
        answers.append(session.run(None, call))
        for mine, wanted in zip(answers[-1], reference.run(None, call), strict=True):
            if isinstance(wanted, np.ndarray):
                np.testing.assert_allclose(mine, wanted, rtol=tolerance, atol=tolerance)
            else:
                assert [list(m) for m in mine] == [list(w) for w in wanted]
                np.testing.assert_allclose([[*m.values()] for m in mine], [[*w.values()] for w in wanted], tolerance)
    return answers


@pytest.mark.parametrize(
    ("name", "level"), [("paraphrase_minilm_l3", "ORT_ENABLE_EXTENDED"), ("vit_s_focus", "ORT_ENABLE_ALL")]
)
def test_a_model_that_onnxruntime_optimised(name: str, level: str, tmp_path: Path) -> None:
    source = optimised(name, level, tmp_path)
    assert any(node.domain == "com.microsoft" for node in onnx.load(source).graph.node)
    size = {"size": 24} if name == "paraphrase_minilm_l3" else {}
    result = actcache.compile_model(source, samples=[feed(name, 2, seed=0, **size)])
    region = result.regions[-1].candidate
    assert region.region.granularity == "row" and region.time_share > 0.85
    same(source, result.output, feed(name, 2, seed=5, **size))
    assert actcache.stats()["regions"][region.region.id]["hits"] == 4


def fused_encoder(path: Path) -> None:
    """Rows as far as ``h``, which is an operator of com.microsoft; behind it one scale spans the batch."""
    weights = np.random.default_rng(0).standard_normal((2, 256, 256)).astype(np.float32) / 16
    nodes = [
        oh.make_node("MatMul", ["x", "w"], ["a"]),
        oh.make_node("BiasGelu", ["a", "bias"], ["b"], domain="com.microsoft"),
        oh.make_node("MatMul", ["b", "v"], ["c"]),
        oh.make_node("BiasGelu", ["c", "bias"], ["h"], domain="com.microsoft"),
        oh.make_node("DynamicQuantizeLinear", ["h"], ["q", "scale", "zero"]),
        oh.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(weights[0], "w"),
        onnx.numpy_helper.from_array(weights[1], "v"),
        onnx.numpy_helper.from_array(np.ones(256, np.float32), "bias"),
    ]
    sides = [oh.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 256]) for name in "xy"]
    graph = oh.make_graph(nodes, "fused", sides[:1], sides[1:], constants)
    imports = [oh.make_opsetid("", 17), oh.make_opsetid("com.microsoft", 1)]
    onnx.save(oh.make_model(graph, opset_imports=imports, ir_version=8), path)


@pytest.mark.parametrize("verify", [True, False])
def test_a_region_ends_at_an_operator_that_onnx_does_not_know(verify: bool, tmp_path: Path) -> None:
    fused_encoder(source := tmp_path / "fused.onnx")
    result = actcache.compile_model(source, min_saving=0, verify=verify, granularity="row")
    (region,) = (c.candidate.region for c in result.regions)
    assert region.live_outs == ("h",) and region.granularity == "row"
    rows = np.random.default_rng(1).standard_normal((6, 256)).astype(np.float32)
    same(source, result.output, {"x": rows})
    compiled = read_compiled(result.output)
    assert compiled.view.dtype("h") == onnx.TensorProto.FLOAT  # without asking again
    again = actcache.compile_model(result.output, tmp_path / "again.onnx", min_saving=0, granularity="row")
    assert again.regions[0].fingerprint == result.regions[0].fingerprint


def forest(path: Path, trees: int = 400, depth: int = 6, features: int = 8) -> None:
    """What scikit-learn's exporter writes for a forest: probabilities as a list of maps, labels as integers."""
    generator = np.random.default_rng(0)
    inner, leaves = 2**depth - 1, 2**depth
    nodes = inner + leaves
    ids = np.tile(np.arange(nodes), trees)
    tree = np.repeat(np.arange(trees), nodes)
    is_leaf = ids >= inner
    attributes = {
        "nodes_treeids": tree,
        "nodes_nodeids": ids,
        "nodes_featureids": np.where(is_leaf, 0, generator.integers(0, features, len(ids))),
        "nodes_truenodeids": np.where(is_leaf, 0, 2 * ids + 1),
        "nodes_falsenodeids": np.where(is_leaf, 0, 2 * ids + 2),
        "nodes_values": np.where(is_leaf, 0, generator.standard_normal(len(ids))).astype(np.float32),
        "nodes_hitrates": np.ones(len(ids), np.float32),
        "class_treeids": tree[is_leaf],
        "class_nodeids": ids[is_leaf],
        "class_ids": generator.integers(0, 3, trees * leaves),
        "class_weights": np.full(trees * leaves, 1 / trees, np.float32),
    }
    made = oh.make_node(
        "TreeEnsembleClassifier",
        ["x"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        nodes_modes=["LEAF" if leaf else "BRANCH_LEQ" for leaf in is_leaf],
        classlabels_int64s=[0, 1, 2],
        post_transform="NONE",
        **{name: values.tolist() for name, values in attributes.items()},
    )
    cast = oh.make_node("Cast", ["label"], ["output_label"], to=onnx.TensorProto.INT64)
    maps = oh.make_node(
        "ZipMap", ["probabilities"], ["output_probability"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]
    )
    label = oh.make_tensor_value_info("output_label", onnx.TensorProto.INT64, ["N"])
    number = oh.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    listed = oh.make_value_info("output_probability", oh.make_sequence_type_proto(
        oh.make_map_type_proto(onnx.TensorProto.INT64, number)))  # fmt: skip
    sides = [oh.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", features])], [label, listed]
    graph = oh.make_graph([made, cast, maps], "forest", *sides)
    imports = [oh.make_opsetid("ai.onnx.ml", 1), oh.make_opsetid("", 17)]
    onnx.save(oh.make_model(graph, opset_imports=imports, ir_version=8), path)


def test_a_forest_whose_probabilities_become_maps(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    forest(source := tmp_path / "forest.onnx")
    sample = {"x": np.random.default_rng(2).standard_normal((64, 8)).astype(np.float32)}
    result = actcache.compile_model(source, samples=[sample])
    (region,) = (c.candidate for c in result.regions)
    assert region.region.granularity == "row" and region.time_share > 0.5
    assert set(region.region.live_outs) == {"output_label", "probabilities"}
    answers = same(source, result.output, {"x": sample["x"] + 1})
    assert answers[0][1] == answers[1][1] and answers[0][1][0].keys() == {0, 1, 2}
    assert actcache.stats()["regions"][region.region.id]["hits"] == 128
    assert capfd.readouterr().err == ""
