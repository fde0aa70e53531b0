"""A node that is filled up computes two rows where one is missing of more, and else what it is given."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from actcache.passes.cuts import RowCut
from actcache.passes.graph.nodes import all_nodes
from actcache.passes.region import Region
from actcache.passes.rewrite.fill_up import fill_up

FLOAT = onnx.TensorProto.FLOAT


def branch(axis: int, opset: int) -> ort.InferenceSession:
    """Return what computes the missing rows: a sum over all rows that are computed tells how many there are."""
    shape: list[Any] = [3, 3]
    shape[axis] = None
    nodes = [make_node("Abs", ["x@r"], ["a"]), make_node("CumSum", ["a", "axis"], ["y@r"], "sums")]
    values = {name: make_tensor_value_info(name, FLOAT, shape) for name in ("x", "x@r", "a", "y@r")}
    graph = make_graph(nodes, "branch", [values["x"], values["x@r"]], [values["y@r"], values["a"]])
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(axis), "axis"))
    filled = {"y": {"a": axis, "y": axis}}
    region = Region("r", frozenset({0, 1}), ("x",), ("y",), RowCut((axis,), (axis,), 2, 1), filled)
    describe = lambda source, name: make_tensor_value_info(name, FLOAT, shape)  # noqa: E731
    fill_up(graph, region, {"x": "x@r", "y": "y@r"}, "@r", opset, describe)
    model = make_model(graph, opset_imports=[make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in all_nodes(model.graph.node)].count("CumSum") == 2
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_are_those_of_the_node(axis: int, opset: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # for the profile
    session = branch(axis, opset)
    rows = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    for missing, call in ((1, 3), (1, 1), (2, 3), (3, 3)):
        few, all_rows = (np.take(rows, np.arange(n), axis) for n in (missing, call))
        y, a = session.run(None, {"x": all_rows, "x@r": few})
        assert y.shape == a.shape == few.shape
        assert np.allclose(y, np.cumsum(np.abs(few), axis))
    events = json.loads(Path(session.end_profiling()).read_text())
    ran = Counter(event["args"]["op_name"] for event in events if "op_name" in event.get("args", {}))
    assert ran["CumSum"] == 4 * ran["Concat"] > 0  # one of the four calls went the way of two rows
