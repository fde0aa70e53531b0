"""What is said of tensors that are given from outside: axes that are there, shapes, names that are not known."""

from __future__ import annotations

import pytest
from graphs import view

from actcache.passes.rows import Mixed, Row, RowFree, prove_rows
from actcache.passes.rows.registry import normal_axis
from actcache.passes.rows.state import Mixes

MODEL = "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"


@pytest.mark.parametrize("named_sizes", [False, True])
@pytest.mark.parametrize(("axis", "row"), [(0, 0), (1, 1), (-1, 1), (-2, 0), (2, None), (-3, None)])
def test_rows_lie_on_an_axis_that_is_there(axis: int, row: int | None, named_sizes: bool) -> None:
    proof = prove_rows(view(MODEL), {"x": axis}, named_sizes=named_sizes)
    assert proof.row_axis("y") == row
    refusal = proof.refusal("x")
    assert (refusal is None) == (row is not None)
    assert refusal is None or (refusal.rule == "rank-unknown" and f"no axis {axis}" in str(refusal))


def test_rows_of_an_input_of_any_rank_are_refused() -> None:
    made = view("g (float[] x) => (float[] y) { y = Relu(x) }")
    refusal = prove_rows(made, {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "rank-unknown"
    assert prove_rows(made, {}).state("y") == RowFree()


def test_a_name_that_is_not_known_has_no_rows_and_no_shape() -> None:
    proof = prove_rows(view(MODEL), {"x": 0})
    assert isinstance(proof.state("x"), Row)
    assert isinstance(proof.state("no such name"), Mixed) and proof.refusal("no such name") is not None
    assert proof.shape("no such name") is None and proof.shape("x") is not None


def test_ranks_and_equations_of_a_frontier() -> None:
    proof = prove_rows(view(MODEL), {"x": 0})
    assert proof.ranks(["x", "no such name"]) == {"x": 2}
    assert proof.size_equations(["x"]) == ()
    assert proof.is_told_by(["x"])


def test_why_rows_mix_is_what_the_exception_says() -> None:
    assert str(Mixes("reduce-over-rows", "it takes a mean of the rows")) == "it takes a mean of the rows"


def test_axes_of_operators_are_there_too() -> None:
    assert [normal_axis(axis, 2) for axis in (0, 1, -1, -2)] == [0, 1, 1, 0]
    for axis in (2, -3):
        with pytest.raises(Mixes):
            normal_axis(axis, 2)
