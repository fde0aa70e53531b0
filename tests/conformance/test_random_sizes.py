"""Random graphs whose parts compute their sizes themselves give what they gave before, whatever sizes a call has."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from actcache.passes.cuts.feeds import Feed
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.own_sizes import with_own_sizes
from actcache.verification.comparison import identical
from tests.conformance.random_graphs import make, names

#: So many graphs are drawn around each of these operators, and of each some have to be rewritten.
GRAPHS = 40


def rewritten(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Yield the model with each set of some of its inputs as a part."""
    view = GraphView(model)
    for count in range(1, min(len(view.inputs), 4)):
        for part in combinations(view.inputs, count):
            found = with_own_sizes(view, [frozenset(part)])
            if found is not None:
                yield found


def run(model: onnx.ModelProto, feed: Feed) -> list[Any] | None:
    """Return the outputs as onnxruntime computes them node by node; None: it fails."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        return list(session.run(None, feed))
    except (Fail, InvalidArgument, RuntimeException):
        return None


def calls(feeds: list[Feed]) -> Iterator[Feed]:
    """Yield the calls of a graph, and others in which one input has the sizes of another call."""
    yield from feeds
    for one, two in pairwise(feeds):
        yield from ({**one, name: two[name]} for name in one if one[name].shape != two[name].shape)


@pytest.mark.parametrize("focus", ["Reshape", "Expand", "Shape", "ConstantOfShape", "Tile", "Slice"])
def test_rewritten_graphs_give_the_same(focus: str) -> None:
    compared = 0
    for name in names(GRAPHS, 11, focus):
        subject = make(name)
        for changed in rewritten(subject.model):
            for feed in calls(list(subject.feeds)):
                expected, given = run(subject.model, feed), run(changed, feed)
                assert (expected is None) == (given is None), name
                if expected is not None and given is not None and same(expected, run(subject.model, feed)):
                    compared += 1
                    assert same(expected, given), name
    assert compared > 10


def same(left: list[Any], right: list[Any] | None) -> bool:
    return right is not None and all(identical(a, b) for a, b in zip(left, right, strict=True))


def test_arrays_are_compared() -> None:
    assert not same([np.zeros(2)], [np.ones(2)]) and same([np.zeros(2)], [np.zeros(2)])
