"""Measurements end when they have said enough, and what onnxruntime makes of a model is found once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import model

from actcache.passes.costs.layout import Layout, lay_out
from actcache.passes.costs.profiler import measure_costs, node_seconds
from actcache.passes.costs.timed_runs import run_seconds, say_enough
from actcache.passes.graph.view import GraphView

BODY = """
encoder (float[N, 64] x) => (float[N, 64] y)
{
    a = MatMul(x, w)
    b = Relu(a)
    c = MatMul(b, w)
    y = Tanh(c)
}
"""


def test_equal_times_say_enough_sooner_than_different_ones() -> None:
    assert not say_enough([1.0] * 7) and say_enough([1.0] * 8)
    different = [0.9, 1.1, 1.0, 0.8, 1.2]
    assert not say_enough(different * 2) and not say_enough(different * 10) and say_enough(different * 60)


def test_an_outlier_says_nothing_of_the_median() -> None:
    assert say_enough([1.0] * 9 + [50.0])


def test_what_disturbs_most_runs_of_a_node_does_not_count() -> None:
    events = [
        {"cat": "Node", "name": f"{node}_kernel_time", "dur": duration}
        for node, durations in {"alone": [300, 301, 299, 302], "disturbed": [9000, 302, 7000, 8000]}.items()
        for duration in durations
    ]
    others = [{"cat": "Session", "name": "alone_kernel_time", "dur": 1}, {"cat": "Node", "name": "alone", "dur": 1}]
    assert node_seconds([*events, *others]) == pytest.approx({"alone": 299e-6, "disturbed": 302e-6})


@pytest.fixture
def proto() -> onnx.ModelProto:
    made = model(BODY)
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    made.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    return made


def test_a_layout_is_the_same_after_it_was_kept(proto: onnx.ModelProto, tmp_path: Path) -> None:
    view, feed = GraphView(proto), {"x": np.ones((3, 64), np.float32)}
    found = lay_out(view, tmp_path, feed)
    found.save(tmp_path / "kept")
    again = Layout.load(tmp_path / "kept")
    assert (again.graph, list(again.weights), again.shapes) == (found.graph, list(found.weights), found.shapes)
    assert found.shapes["a"] == found.shapes["y"] == (3, 64) and len(found.weights) == 4
    assert not found.graph.initializer and found.graph.node
    assert {path.name for path in tmp_path.iterdir()} == {"kept"}


def test_costs_of_other_inputs_are_measured_with_a_kept_layout(proto: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(proto, tmp_path / "model.onnx")
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    view, feed = GraphView(proto), {"x": np.ones((256, 64), np.float32)}
    layout = lay_out(view, tmp_path, feed)
    one = {"x": feed["x"][:1]}
    whole, few = (measure_costs(view, tmp_path, sample, run_seconds(session, sample), layout) for sample in (feed, one))
    assert len(whole.seconds) == len(few.seconds) == 4
    for costs in (whole, few):
        assert costs.measured and sum(costs.seconds) == pytest.approx(costs.total)
