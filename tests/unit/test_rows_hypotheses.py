"""Guesses at which axis of which input holds the rows."""

from __future__ import annotations

import pytest
from graphs import model, view

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import row_hypotheses, with_namesakes


@pytest.mark.parametrize(
    ("inputs", "best"),
    [
        ("float[B, S] i, float[B, S] m", {"i": 0, "m": 0}),
        ("float[?, ?] i, float[2, ?, 8] m, int64 rate", {"i": 0, "m": 1}),
        ("float[2, B, 8] i, float[B, S] m, float[4, 4] w", {"i": 1, "m": 0}),
        ("float[images, 3] i, float[texts, S] m", {"i": 0}),
        ("float[4, 4] i", None),
    ],
)
def test_hypotheses(inputs: str, best: dict[str, int] | None) -> None:
    made = view(f"h ({inputs}) => (float y) {{ y = ReduceSum(i) }}")
    found = row_hypotheses(made, made.inputs)
    assert (found[0] if found else None) == best and len(found) <= 6


def test_only_axes_that_may_vary_are_hypotheses() -> None:
    made = view("h (float[?, ?] i, float[2, ?, 8] m) => (float y) { y = ReduceSum(i) }")
    assert row_hypotheses(made, made.inputs) == [{"i": 0, "m": 1}, {"i": 0}]


def test_a_size_that_is_declared_as_a_number_below_1_has_no_name() -> None:
    """Old exporters write -1: that two axes have it makes them no namesakes."""
    made = model("h (float[M, S] i, float[S, M] m) => (float y) { y = ReduceSum(i) }")
    for declared, axis in zip(made.graph.input, (0, 1), strict=True):
        declared.type.tensor_type.shape.dim[axis].dim_value = -1
    found = row_hypotheses(GraphView(made), ["i", "m"])
    assert found[0] == {"i": 1, "m": 0} and {"i": 0, "m": 1} not in found


def test_independent_batches_are_separate_hypotheses() -> None:
    made = view("h (float[images, 3] i, float[texts, S] m) => (float y) { y = ReduceSum(i) }")
    assert {"m": 0} in row_hypotheses(made, made.inputs)


def test_axes_of_one_name_are_cut_together() -> None:
    made = view("g (float[N, 4] x, float[M, N] m, float[K, 4] k, float[?, 4] u) => (float[N, 4] y) { y = Tanh(x) }")
    assert with_namesakes(made, {"x": 0}) == {"x": 0, "m": 1}
    assert with_namesakes(made, {"m": 0}) == {"m": 0}
    assert with_namesakes(made, {"u": 0}) == {"u": 0}


def test_at_most_six_are_tried() -> None:
    made = view("h (float[A, B, C, D, E, F, G, H] i) => (float y) { y = ReduceSum(i) }")
    assert row_hypotheses(made, made.inputs) == [{"i": axis} for axis in range(6)]


def test_the_name_of_most_first_axes_is_the_best_guess() -> None:
    made = view("h (float[A, S] i, float[B, A] m, float[B, S] k) => (float y) { y = ReduceSum(i) }")
    found = row_hypotheses(made, made.inputs)
    assert found[:2] == [{"m": 0, "k": 0}, {"i": 0, "m": 1}] and {"i": 0, "m": 0, "k": 0} in found
    assert row_hypotheses(made, ["i"]) == [{"i": 0}, {"i": 1}]


def test_sizes_of_0_may_vary_and_sizes_of_1_may_not() -> None:
    made = model("h (float[A, B, C] i) => (float y) { y = ReduceSum(i) }")
    for dim, value in zip(made.graph.input[0].type.tensor_type.shape.dim, (1, 0, 4), strict=True):
        dim.dim_value = value
    assert row_hypotheses(GraphView(made), ["i"]) == [{"i": 1}]
