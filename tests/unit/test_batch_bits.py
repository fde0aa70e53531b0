"""Operators whose bits depend on the batch are found by running the model, and tensors that are no edges, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import parser

from actcache.passes.choice.bits import BitRules, measured_rules
from actcache.passes.choice.dependent import Dependent as Found
from actcache.passes.graph.view import GraphView
from actcache.verification.batch_bits import dependent_nodes, kept_tensors, optimised

TEXT = """<ir_version: 9, opset_import: ["" : 20]>
g (float[N, 8] x) => (float[N, 8] y) <float[8, 8] w, float[8] b> {
    s = Sigmoid(x)
    l = Mish(s)
    m = MatMul(l, w)
    a = Add(m, b)
    y = Log(a)
}"""


def options(level: ort.GraphOptimizationLevel) -> ort.SessionOptions:
    made = ort.SessionOptions()
    made.graph_optimization_level = level
    made.log_severity_level = 4
    return made


def model(folder: Path) -> Path:
    proto = parser.parse_model(TEXT)
    generator = np.random.default_rng(0)
    del proto.graph.initializer[:]
    for name, shape in (("w", (8, 8)), ("b", (8,))):
        values = generator.uniform(0.1, 1, shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    path = folder / "model.onnx"
    onnx.save(proto, path)
    return path


def found(folder: Path) -> tuple[list[Found], list[str]]:
    path = model(folder)
    levels = ort.GraphOptimizationLevel
    proto = optimised(options(levels.ORT_ENABLE_ALL), path, folder / "optimised.onnx")
    sample = {"x": np.random.default_rng(1).standard_normal((7, 8)).astype(np.float32)}
    kept = kept_tensors(proto)
    outputs = list(proto.graph.output)
    nodes = dependent_nodes(proto, options(levels.ORT_DISABLE_ALL), folder / "values.onnx", sample, {"x": 0})
    assert list(proto.graph.output) == outputs
    return nodes, kept


def test_what_depends_on_the_batch_is_named_and_what_only_reads_it_is_not(tmp_path: Path) -> None:
    nodes, _ = found(tmp_path)
    assert {node.output for node in nodes} <= {"l", "y"}  # the sums behind 'l' had other rows to work on
    assert all("Mish" in node.label or "Log" in node.label for node in nodes)


def test_what_is_fused_is_no_edge(tmp_path: Path) -> None:
    _, kept = found(tmp_path)
    assert "m" not in kept and {"s", "l", "a", "y"} <= set(kept)
    view = GraphView(onnx.load(model(tmp_path)))
    rules = measured_rules(view, BitRules(), [Found("l", "Mish", 2, 1e-7), Found("made_up", "Cast", 2, 1e-7)], kept)
    assert [refusal.node for refusal in rules.barriers.values()] == [view.label(view.producer["l"])]
    assert rules.may_be_edge("l") and rules.may_be_edge("y") and not rules.may_be_edge("m")
    assert BitRules().may_be_edge("m")


def test_without_rows_nothing_is_run(tmp_path: Path) -> None:
    assert dependent_nodes(onnx.ModelProto(), ort.SessionOptions(), tmp_path / "none", {}, {"x": 0}) == []
