"""Masks of position numbers: which of them close all later positions."""

from __future__ import annotations

import pytest

from actcache.passes.causal import Ahead, Causal, prove_causal
from tests.conformance.causal.sketches import attention


@pytest.mark.parametrize("mask", ["LessOrEqual(pj, pi)", "GreaterOrEqual(pi, pj)"])
def test_masks_that_close_later_positions(mask: str) -> None:
    proof = prove_causal(attention(mask).view, {"ids": 1})
    assert isinstance(proof.state("y"), Causal)
    assert proof.position_axis("y") == 1


@pytest.mark.parametrize(
    ("mask", "rule"),
    [
        ("GreaterOrEqual(pj, pi)", "not-causal"),
        ("Less(pj, pi)", "mask-closes-all"),
        ("Equal(pj, pj)", "not-causal"),
    ],
)
def test_masks_that_do_not(mask: str, rule: str) -> None:
    proof = prove_causal(attention(mask).view, {"ids": 1})
    state = proof.state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.rule == rule
    assert state.refusal.node == "Softmax → w"
