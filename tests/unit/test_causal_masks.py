"""Masks: those that are proven close all later positions in onnxruntime, those that do not are refused."""

from __future__ import annotations

import numpy as np
import pytest

from actcache.passes.causal import Ahead, Causal
from tests.conformance.causal.masks import AHEAD, BINARY, CAUSAL
from tests.conformance.causal.sketches import attention
from tests.conformance.causal.truth import looks_ahead, proven, wrong_suffixes, wrongly_proven


@pytest.mark.parametrize("name", CAUSAL)
def test_masks_that_close_later_positions(name: str) -> None:
    sketch = CAUSAL[name]
    proof = proven(sketch)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert proof.binary_inputs == ()
    assert not list(wrongly_proven(sketch, proof, (6,)))
    assert not list(wrong_suffixes(sketch, proof, ["y"]))


@pytest.mark.parametrize("name", BINARY)
def test_masks_that_the_caller_closes_further(name: str) -> None:
    sketch = BINARY[name]
    refused = proven(sketch).refusal("y")
    assert refused is not None
    proof = proven(sketch, binary_masks=True)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert proof.binary_inputs == ("mask",)
    assert not list(wrongly_proven(sketch, proof, (6,)))
    assert not list(wrong_suffixes(sketch, proof, ["y"]))


@pytest.mark.parametrize("name", AHEAD)
def test_masks_that_do_not_are_refused(name: str) -> None:
    state = proven(AHEAD[name]).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.node


#: Small weights do not show through -10000; a given mask closes all of a row only if it begins with 0.
QUIET = {"-10000", "and a given one, finite", "not its own, -inf"}


@pytest.mark.parametrize("name", sorted(AHEAD.keys() - QUIET))
def test_refused_masks_let_later_positions_through(name: str) -> None:
    assert looks_ahead(AHEAD[name])


def test_half_precision_needs_infinity() -> None:
    nodes = "ok = LessOrEqual(pj, pi) half = Cast<to=10>(sc1)"
    low, infinite = np.array(-65504, np.float16), np.array(-np.inf, np.float16)
    for below, refused in ((low, True), (infinite, False)):
        made = attention(nodes, apply="Where(ok, half, below)", weights={"below": below})
        assert isinstance(proven(made).state("w"), Ahead) == refused
