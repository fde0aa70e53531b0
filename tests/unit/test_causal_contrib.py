"""onnxruntime's own operators of transformers: what its optimiser writes is proven, or refused with its reason."""

from __future__ import annotations

import pytest
from causal_checks import assert_goes_on, assert_refused

from tests.conformance.causal.fused import (
    AHEAD,
    BINARY,
    GOOD,
    GROUPS_REFUSED,
    LENGTHS,
    QKV,
    biased,
    groups,
    layer,
    packed,
)
from tests.conformance.causal.truth import agree, changed, feed, looks_ahead, proven, session, suffix_model


@pytest.mark.parametrize("name", [*GOOD, *BINARY])
def test_it_goes_on_from_every_prefix(name: str) -> None:
    assert_goes_on((GOOD | BINARY)[name], ("mask",) if name in BINARY else (), optimised=(False, True))


def test_values_of_another_size_than_keys_are_refused() -> None:
    node = "a = com.microsoft.MultiHeadAttention<num_heads=2, unidirectional=1>(q, k, w)"
    refusal = proven(layer(f"{QKV} w = MatMul(h, wide) {node} y = Relu(a)")).refusal("y")
    assert refusal is not None
    assert "takes no past" in refusal.reason


def test_a_packed_attention_with_a_bias_of_scores_is_refused() -> None:
    refusal = proven(packed("h, packed, biases, , , bias", before=biased("LessOrEqual(pj, pi)"))).refusal("y")
    assert refusal is not None
    assert "takes no past beside a bias" in refusal.reason


@pytest.mark.parametrize("rule", GROUPS_REFUSED)
def test_groups_that_are_not_followed(rule: str) -> None:
    refusal = proven(GROUPS_REFUSED[rule], binary_masks=True).refusal("y")
    assert refusal is not None
    assert refusal.rule == rule, refusal


@pytest.mark.parametrize("name", AHEAD)
def test_it_is_refused_and_looks_ahead(name: str) -> None:
    rule, sketch = AHEAD[name]
    assert_refused(sketch, rule)
    assert looks_ahead(sketch)


def test_a_bias_with_positions_for_rows_is_refused() -> None:
    """Of as many rows as positions, each gets a bias of its own, from a position that may be later."""
    nodes = """one_row = Gather<axis=0>(h, zero) each = ReduceSum<keepdims=0>(one_row, axis1)
        rows = Unsqueeze(each, axis123) keys = Unsqueeze(each, axis012) queries = Transpose<perm=[0,1,3,2]>(keys)
        b0 = Add(keys, queries) distance = Mul(b0, rows) bias = Tanh(distance)"""
    sketch = groups(more=", , , , bias", before=f"{LENGTHS} {nodes}")
    assert_refused(sketch, "mask-unknown")
    runner, given = session(sketch.model), feed(sketch, 6, rows=6)
    whole, other = (runner.run(["y"], each)[0] for each in (given, changed(given, sketch, 4)))
    assert not agree(other[:, :4], whole[:, :4])


def test_keys_and_values_are_the_past() -> None:
    """onnxruntime looks at a past only if a present is handed out."""
    sketch = GOOD["heads"]
    made = suffix_model(sketch, proven(sketch), ["y"])
    assert isinstance(made, tuple), made
    model, kept = made
    assert kept == ["y", "k", "v"]
    (node,) = (node for node in model.graph.node if node.op_type == "MultiHeadAttention")
    assert all(node.input[slot] for slot in (6, 7))
    assert len(node.output) == 3 and all(node.output)
