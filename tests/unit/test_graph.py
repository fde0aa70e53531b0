"""The view of a model: def-use, constants, captured values."""

from __future__ import annotations

import numpy as np
from graphs import TOWERS, model, view

from actcache.passes.graph.view import GraphView

IF_CAPTURES = """
captures (bool c, float[N] x) => (float[N] y) {
    k = Neg(x)
    y = If(c) <
        then_branch = t () => (float[N] a) { a = Abs(k) },
        else_branch = e () => (float[N] b) { k2 = Identity(x) b = Sqrt(k2) }
    >
}
"""


def test_reads_and_writes_follow_the_protobuf() -> None:
    towers = view(TOWERS)
    assert towers.reads[0] == ("a", "w")
    assert towers.producer["y"] == 3
    assert towers.consumers["t"] == [3]


def test_graphsurgeons_graph_has_the_same_nodes_and_knows_shapes() -> None:
    towers = view(TOWERS)
    assert [node.op for node in towers.graph.nodes] == [node.op_type for node in towers.model.graph.node]
    assert towers.graph.nodes[1].o().op == "Add"
    assert towers.graph.tensors()["t"].shape == list(towers.shape("t") or ())


def test_bodies_read_what_they_capture() -> None:
    assert set(view(IF_CAPTURES).reads[1]) == {"c", "k", "x"}


def test_constants_are_what_no_input_can_change() -> None:
    folded = view(
        "g (float[N] x) => (float[N] y) <float[1] w = {2.0}> { v = Neg(w) u = Constant<value_int = 3>() y = Mul(x, v) }"
    )
    assert folded.constants == {"w", "v", "u"}
    assert folded.value("u") == np.int64(3)


def test_overridable_initializers_are_inputs() -> None:
    proto = model("g (float[N] x) => (float[N] y) <float[1] w = {2.0}> { y = Mul(x, w) }")
    proto.graph.input.append(proto.graph.input[0])
    proto.graph.input[1].name = "w"
    assert "w" not in GraphView(proto).constants
    assert "w" in GraphView(proto).inputs
    proto.ir_version = 3
    assert GraphView(proto).inputs == ("x",)


def test_a_random_generator_is_no_constant() -> None:
    noisy = view("g (float[2] x) => (float[2] y) { r = RandomNormal<shape = [2]>() y = Add(x, r) }")
    assert noisy.constants == frozenset()
    like = view("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { r = RandomNormalLike(w) y = Add(x, r) }")
    assert like.constants == {"w"}


def test_labels_name_the_node_or_its_output() -> None:
    assert view(TOWERS).label(1) == "Tanh → t"
