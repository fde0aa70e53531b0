"""onnxruntime's own operators of transformers: what its optimiser writes is proven, or refused with its reason."""

from __future__ import annotations

import pytest
from causal_checks import assert_goes_on, assert_refused

from tests.conformance.causal.fused import AHEAD, BINARY, GOOD, GROUPS_REFUSED, QKV, biased, layer, packed
from tests.conformance.causal.truth import looks_ahead, proven, suffix_model


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
