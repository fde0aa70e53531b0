"""What becomes of sizes and rows when operands meet."""

from __future__ import annotations

import pytest
from graphs import view

from actcache.passes.rows import RowIndex, prove_rows
from actcache.passes.rows.broadcasting import broadcast, broadcast_size, labelled, same_rows
from actcache.passes.rows.sizes import ONE, N, Size, Symbols, const
from actcache.passes.rows.state import BATCH_SIZE, ROW_FREE, Mixes, Row, State, Value

FOUR = const(4)


def rows(axis: int, *shape: Size, block: Size = ONE, before: Size = ONE) -> Value:
    """A value with rows."""
    return Value(Row(axis, block, before), shape)


def test_sizes_that_meet() -> None:
    symbols = Symbols()
    s, t = symbols.fresh("S"), symbols.fresh("T")
    assert broadcast_size([], symbols) == ONE and broadcast_size([ONE, ONE], symbols) == ONE
    assert broadcast_size([ONE, N], symbols) == N and broadcast_size([s, ONE, s], symbols) == s
    assert broadcast_size([s, FOUR], symbols) == FOUR == broadcast_size([FOUR, ONE, t, s], symbols)
    both = broadcast_size([s, t], symbols)
    assert both == broadcast_size([t, s], symbols) and both not in (s, t) and both.dimension and not both.batch
    assert both != broadcast_size([s, t, s + t], symbols)


def test_a_table_that_was_cut_to_a_size_has_it() -> None:
    symbols = Symbols()
    s, t = symbols.fresh("S"), symbols.fresh("T")
    cut = symbols.least(s, t + ONE)
    assert broadcast_size([cut, s], symbols) == s == broadcast_size([s, cut], symbols)
    assert broadcast_size([cut, t + ONE], symbols) not in (t + ONE, cut)
    assert broadcast_size([cut, s, t], symbols) == broadcast_size([s, t], symbols)


@pytest.mark.parametrize(("sizes", "other"), [([N, FOUR], "4"), ([FOUR, ONE, N], "4"), ([N * FOUR, N], "4·N")])
def test_an_axis_of_rows_meets_nothing_else(sizes: list[Size], other: str) -> None:
    with pytest.raises(Mixes, match=f"against one of size {other}$") as caught:
        broadcast_size(sizes, Symbols())
    assert caught.value.rule == "broadcast-against-rows"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([ROW_FREE, ROW_FREE], ROW_FREE),
        ([ROW_FREE, BATCH_SIZE], BATCH_SIZE),
        ([BATCH_SIZE, BATCH_SIZE], BATCH_SIZE),
        ([Row(0), ROW_FREE], "rank-unknown"),
        ([ROW_FREE, Row(0)], "rank-unknown"),
        ([Row(0), BATCH_SIZE], "batch-size-in-data"),
        ([BATCH_SIZE, ROW_FREE, Row(0)], "batch-size-in-data"),
    ],
)
def test_operands_of_unknown_rank(states: list[State], expected: State | str) -> None:
    values = [Value(state, (N,) if isinstance(state, Row) else None) for state in states]
    if isinstance(expected, str):
        with pytest.raises(Mixes) as caught:
            broadcast(values, Symbols())
        assert caught.value.rule == expected
    else:
        result = broadcast(values, Symbols())
        assert result.state == expected and result.shape is None


def test_positions_of_rows_that_meet_are_some_function_of_the_position() -> None:
    place, scaled = Value(RowIndex(0), (N,)), Value(RowIndex(0, FOUR), (N,))
    assert broadcast([place, scaled], Symbols()).state == RowIndex(0, None)
    assert broadcast([place], Symbols()).state == RowIndex(0, None)
    assert broadcast([place, Value(ROW_FREE, (FOUR, ONE))], Symbols()).state == RowIndex(1, None)
    across = Value(RowIndex(1), (ONE, N))
    for other in (Value(RowIndex(0), (N, ONE)), rows(1, ONE, N)):
        with pytest.raises(Mixes) as caught:
            broadcast([across, other], Symbols())
        assert caught.value.rule == "row-position-in-data"


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ("y = Add(x, t)", "rows lie on axis 0 of one operand and on axis 1 of another"),
        ("a = Reshape(x, flat) b = Reshape(t, flat) y = Add(a, b)", "rows of one operand are flattened"),
    ],
)
def test_rows_that_do_not_meet_are_misaligned(node: str, why: str) -> None:
    text = f"g (float[N, M] x) => (float[] y) <int64[1] flat = {{-1}}> {{ t = Transpose(x) {node} }}"
    refusal = prove_rows(view(text), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "rows-misaligned" and why in str(refusal)


@pytest.mark.parametrize(
    ("equation", "axis", "rule"),
    [
        ("nij,jn->ni", 0, None),
        ("nij,jn->in", 1, None),
        ("nij,kn->kinj", 2, None),
        ("nij,jn->ij", None, "rows-contracted"),
        ("ijn,jn->in", None, "rows-misaligned"),
        ("nij,nn->ni", None, "rows-diagonal"),
        ("nj,jn->nj", None, "malformed-node"),
        ("nij->nj", None, "malformed-node"),
    ],
)
def test_rows_of_products_have_one_label(equation: str, axis: int | None, rule: str | None) -> None:
    text = f'g (float[N, 3, 4] x, float[4, N] z) => (float[] y) {{ y = Einsum<equation = "{equation}">(x, z) }}'
    proof = prove_rows(view(text), {"x": 0, "z": 1})
    refusal = proof.refusal("y")
    assert proof.row_axis("y") == axis and (refusal and refusal.rule) == rule


def test_products_of_what_is_the_same_for_all_rows_are_that_too() -> None:
    free = Value(ROW_FREE, (FOUR,))
    assert labelled([(free, "k"), (free, "k")], "k", Symbols()).state == ROW_FREE


def test_numbers_and_positions_of_rows_enter_no_product() -> None:
    for value in (Value(BATCH_SIZE, (FOUR,)), Value(RowIndex(0), (N,))):
        with pytest.raises(Mixes, match="enters a product"):
            labelled([(value, "k"), (Value(ROW_FREE, (FOUR,)), "k")], "k", Symbols())


def test_rows_that_are_matched_by_position() -> None:
    assert same_rows([Value(ROW_FREE, (FOUR,)), Value(ROW_FREE)], (0, 1)) is None
    assert same_rows([rows(1, FOUR, N), rows(0, N)], (1, 0)) == Row(1)
    pair = [rows(0, N * FOUR, block=FOUR), rows(1, ONE, N * FOUR, block=FOUR)]
    assert same_rows(pair, (0, 1)) == Row(0, FOUR)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([rows(0, N), Value(ROW_FREE, (FOUR,))], "rows are expected on axis 0, an operand has them on none"),
        ([Value(BATCH_SIZE, (FOUR,)), rows(0, N)], "rows are expected on axis 0, an operand has them on none"),
        ([rows(0, N), rows(1, FOUR, N)], "rows are expected on axis 0, an operand has them on axis 1"),
        ([rows(0, N * FOUR, before=FOUR)] * 2, "an operand has its rows flattened behind another axis"),
        ([rows(0, N * FOUR, block=FOUR), rows(0, N)], "the operands flatten their rows differently"),
    ],
)
def test_rows_that_are_not_matched(values: list[Value], why: str) -> None:
    with pytest.raises(Mixes, match=f"^{why}$") as caught:
        same_rows(values, (0, 0))
    assert caught.value.rule == "rows-misaligned"
