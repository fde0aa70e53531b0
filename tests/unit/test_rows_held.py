"""Every result of a rule is held to what its state says, whatever the rule said: a faulty rule claims nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest
from graphs import view

from actcache.passes.rows import RULES, BatchSize, Row, RowFree, RowIndex, RowProof, State, prove_rows, registry
from actcache.passes.rows.registry import Op, Rule, barrier, rule
from actcache.passes.rows.sizes import N, Size, const
from actcache.passes.rows.state import Mixes, RowOffset, Value

#: What the rule under test may read: rows, a weight, the number of rows, their positions, mixed rows.
TEXT = """g (float[N, 4] x, float[4] w) => (float[] y) <int64 none = {0}, int64 one = {1}> {
    n = Shape<end = 1>(x)
    end = Squeeze(n)
    places = Range(none, end, one)
    mixed = Softmax<axis = 0>(x)
    y = test.Tried(%s)
}"""
FOUR, EIGHT = const(4), const(8)

Tried = Callable[..., RowProof]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    """Return the proof of a node that reads `reads` and whose rule looks at the inputs `seen` and gives `result`."""

    def proof(
        result: Value | list[Value] | Exception,
        reads: str = "x",
        *,
        seen: Collection[int] = (0,),
        sizes: Collection[int] = (),
        indexes: Collection[int] = (),
    ) -> RowProof:
        def apply(op: Op) -> Value | list[Value]:
            assert all(op.get(position) is not None for position in seen)
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setitem(RULES, ("test", "Tried"), Rule(apply, sizes, indexes))
        return prove_rows(view(TEXT % reads), {"x": 0})

    return proof


@pytest.mark.parametrize(
    ("state", "shape", "rule"),
    [
        (Row(0), (N, FOUR), None),
        (Row(1), (FOUR, N), None),
        (Row(1), (N, FOUR), "size-from-batch"),
        (Row(0), (N, N), "size-from-batch"),
        (Row(0), (FOUR, N), "size-from-batch"),
        (Row(0), None, "rank-unknown"),
        (Row(0), (), "rank-unknown"),
        (Row(2), (N, FOUR), "rank-unknown"),
        (Row(0, FOUR), (N * FOUR,), None),
        (Row(0, FOUR), (N,), "size-from-batch"),
        (Row(0), (N * FOUR,), "size-from-batch"),
        (Row(0, before=FOUR), (N * FOUR,), None),
        (Row(0, EIGHT, FOUR), (N * EIGHT * FOUR,), None),
        (Row(0, EIGHT, FOUR), (N * EIGHT,), "size-from-batch"),
        (Row(0, EIGHT, FOUR), (N * FOUR,), "size-from-batch"),
        (RowIndex(0), (N, FOUR), None),
        (RowIndex(0), (N * FOUR,), "size-from-batch"),
        (RowIndex(1), (FOUR, N, N), "size-from-batch"),
        (RowIndex(1), (N,), "rank-unknown"),
        (RowOffset(0, FOUR), (N,), None),
        (RowOffset(0, FOUR), (N * FOUR,), "size-from-batch"),
    ],
)
def test_rows_have_the_size_that_their_state_says(
    tried: Tried, state: State, shape: tuple[Size, ...] | None, rule: str | None
) -> None:
    proof = tried(Value(state, shape))
    refusal = proof.refusal("y")
    if rule is None:
        assert proof.state("y") == state and proof.shape("y") == shape
    else:
        assert refusal is not None and (refusal.rule, refusal.node) == (rule, "Tried → y")


@pytest.mark.parametrize("shape", [None, (FOUR,), (N,)])
def test_what_is_the_same_for_all_rows_reads_none(tried: Tried, shape: tuple[Size, ...] | None) -> None:
    for state in (RowFree(), BatchSize()):
        refusal = tried(Value(state, shape), "w, x", seen=(0, 1)).refusal("y")
        assert refusal is not None and refusal.rule == "row-dependent-parameter" and refusal.node


def test_what_is_the_same_for_all_rows_does_not_depend_on_their_number(tried: Tried) -> None:
    assert tried(Value(RowFree(), (FOUR,)), "w").state("y") == RowFree()
    assert tried(Value(RowFree(), (FOUR, N)), "w").state("y") == BatchSize()
    assert tried(Value(RowFree(), (FOUR,)), "w, n", seen=(0, 1), sizes=(1,)).state("y") == BatchSize()
    assert tried(Value(RowFree()), "w, n", seen=(0, 1), sizes=(1,)).state("y") == BatchSize()


@pytest.mark.parametrize("position", [0, 1])
def test_no_input_of_rows_is_overlooked(tried: Tried, position: int) -> None:
    rows = Value(Row(0), (N, FOUR))
    assert tried(rows, "x, x", seen=(0, 1)).row_axis("y") == 0
    refusal = tried(rows, "x, x", seen=(position,)).refusal("y")
    assert refusal is not None and refusal.rule == "row-dependent-parameter" and f"input {1 - position}" in str(refusal)
    assert tried(rows, "x, w", seen=(0,)).row_axis("y") == 0
    assert tried(rows, "x, , w", seen=(0,)).row_axis("y") == 0


def test_no_rule_is_asked_about_rows_that_are_mixed(tried: Tried) -> None:
    for result in (Value(Row(0), (N, FOUR)), Value(RowFree(), (FOUR,))):
        refusal = tried(result, "x, mixed", seen=(0, 1)).refusal("y")
        assert refusal is not None and (refusal.rule, refusal.node) == ("softmax-over-rows", "Softmax → mixed")


@pytest.mark.parametrize(
    ("what", "kind", "rule"),
    [("n", "sizes", "batch-size-in-data"), ("places", "indexes", "row-position-in-data")],
)
def test_numbers_and_positions_of_rows_stand_only_where_a_rule_takes_them(
    tried: Tried, what: str, kind: str, rule: str
) -> None:
    rows = Value(Row(0), (N, FOUR))
    assert tried(rows, f"x, {what}", seen=(0, 1), **{kind: (1,)}).row_axis("y") == 0
    for wrong in ({}, {kind: (0,)}, {"sizes": (1,), "indexes": (1,), kind: ()}):
        refusal = tried(rows, f"x, {what}", seen=(0, 1), **wrong).refusal("y")
        assert refusal is not None and refusal.rule == rule


@pytest.mark.parametrize(
    ("result", "rule"),
    [
        (Mixes("reduce-over-rows", "a reason"), "reduce-over-rows"),
        (ValueError("no number"), "rule-error"),
        (KeyError("axis"), "rule-error"),
        (ZeroDivisionError(), "rule-error"),
        ([], "malformed-node"),
    ],
)
def test_a_rule_that_fails_refuses(tried: Tried, result: Exception | list[Value], rule: str) -> None:
    refusal = tried(result).refusal("y")
    assert refusal is not None and (refusal.rule, refusal.node) == (rule, "Tried → y")


def test_a_rule_may_know_more_outputs_than_a_node_has(tried: Tried) -> None:
    proof = tried([Value(Row(0), (N, FOUR)), Value(RowFree(), (FOUR,))])
    assert proof.row_axis("y") == 0


def test_scales_and_biases_may_be_those_of_the_rows() -> None:
    """What a rule reads counts as looked at, however it reads it."""
    text = """g (float[N, 3, 4] x, float[N, 1, 4] s, float[N, 3, 4] b) => (float[N, 3, 4] y)
    { y = LayerNormalization(x, s, b) }"""
    assert prove_rows(view(text), {"x": 0, "s": 0, "b": 0}).row_axis("y") == 0
    refusal = prove_rows(view(text), {"x": 0, "s": 0, "b": 1}).refusal("y")
    assert refusal is not None and refusal.rule == "rows-misaligned"


def test_an_operator_that_never_keeps_rows_apart_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: dict[tuple[str, str], Rule] = {}
    monkeypatch.setattr(registry, "RULES", registered)
    barrier("Tried", "reduce-over-rows", "it takes a mean of the rows", domain="test")
    monkeypatch.setitem(RULES, ("test", "Tried"), registered["test", "Tried"])
    assert RULES["test", "Tried"].barrier == "it takes a mean of the rows"
    refusal = prove_rows(view(TEXT % "x"), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "reduce-over-rows" and "a mean of the rows" in str(refusal)
    with pytest.raises(ValueError, match="two row rules for test:Tried"):
        rule("Tried", domain="test")(lambda op: op.need(0))
    rule("Other", "Third", domain="test", types=(1,))(lambda op: op.need(0))
    assert registered["test", "Other"].types == registered["test", "Third"].types == (1,)
