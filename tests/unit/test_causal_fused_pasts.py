"""Attentions that take the past themselves: with none they are causal, with one the branch is the original."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actcache.passes.causal import Ahead
from tests.conformance.causal.fused_pasts import GOOD, REFUSED, TWO, groups
from tests.conformance.causal.truth import behind_past, proven, suffix_model, wrong_suffixes, wrongly_proven


@pytest.mark.parametrize("name", GOOD)
def test_without_a_past_they_go_on_from_every_prefix(name: str) -> None:
    sketch, outputs = GOOD[name]
    assert len(sketch.pasts) == len(outputs) - 1
    proof = proven(sketch, binary_masks=True)
    assert all(proof.position_axis(output) is not None for output in outputs), proof.refusal("y")
    assert proof.ones_inputs == sketch.ones
    assert not list(wrongly_proven(sketch, proof, (5,)))
    for optimised in (False, True):
        assert not list(wrong_suffixes(sketch, proof, outputs, 6, optimised=optimised))


@pytest.mark.parametrize("name", GOOD)
def test_with_a_past_the_branch_is_the_original(name: str) -> None:
    sketch, outputs = GOOD[name]
    proof = proven(sketch, binary_masks=True)
    count = 1 if name.startswith("groups") else 3  # onnxruntime takes no more behind a past of several rows
    for output in outputs:
        assert behind_past(sketch, proof, output, count, both=("mask",)) is True, output


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused(name: str) -> None:
    rule, sketch = REFUSED[name]
    state = proven(sketch, binary_masks=True).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.rule == rule, state.refusal


@pytest.mark.parametrize("name", GOOD)
def test_a_past_that_may_have_positions_is_refused(name: str) -> None:
    sketch, _ = GOOD[name]
    refusal = proven(replace(sketch, pasts={}), binary_masks=True).refusal("y")
    assert refusal is not None and refusal.rule == "attention-past"


def test_lengths_that_a_mask_may_shorten_are_refused() -> None:
    refusal = proven(replace(groups(), ones=()), binary_masks=True).refusal("y")
    assert refusal is not None


def test_keys_and_values_that_are_handed_out_are_kept_and_nothing_else() -> None:
    sketch, _ = GOOD["groups, packed and turned"]
    made = suffix_model(sketch, proven(sketch, binary_masks=True), TWO)
    assert isinstance(made, tuple), made
    model, kept = made
    assert kept == list(TWO)
    (either,) = (node for node in model.graph.node if node.op_type == "If")
    begun, gone = (attribute.g for attribute in either.attribute)
    branches = {len(body.node): {node.op_type for node in body.node} for body in (begun, gone)}
    assert branches[1] == {"GroupQueryAttention"}
    assert "MultiHeadAttention" in branches[max(branches)] and len(branches) == 2
