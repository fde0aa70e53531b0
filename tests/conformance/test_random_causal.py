"""Random graphs of sequences: what is proven holds in onnxruntime, and suffixes give what whole graphs give."""

from __future__ import annotations

import pytest

from actcache.passes.causal import Ahead, CausalProof
from actcache.passes.refusal import Refusal
from tests.conformance.causal.drawing import draw
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import (
    behind_past,
    looks_ahead,
    proven,
    suffix_model,
    wrong_suffixes,
    wrongly_proven,
)

SEEDS = range(120)


def remembered_by(sketch: Sketch, proof: CausalProof) -> list[str]:
    """What a proof knows of what is remembered behind the last position."""
    return [name for name in sketch.view.producer if proof.last(name) is not None]


def held_to_the_truth(sketch: Sketch, seed: int, *, remembered: bool = False) -> tuple[CausalProof | None, bool]:
    """Compare with onnxruntime; return the proof if the graph is causal, and else whether it is seen to look ahead."""
    (output,) = sketch.view.outputs
    proof = proven(sketch, binary_masks=True)
    assert not list(wrongly_proven(sketch, proof, seed=seed, may_fail=True)), seed
    if isinstance(proof.state(output), Ahead):
        return None, looks_ahead(sketch, output, seed=seed)
    wanted = [output, *(remembered_by(sketch, proof) if remembered else ())]
    assert not list(wrong_suffixes(sketch, proof, wanted, count=6, seed=seed, may_fail=True)), seed
    return proof, False


@pytest.mark.parametrize("first", range(0, len(SEEDS), 20))
def test_random_graphs(first: int) -> None:
    causal = ahead = seen = 0
    for seed in SEEDS[first : first + 20]:
        proof, looked_ahead = held_to_the_truth(draw(seed), seed)
        if proof is None:
            ahead += 1
            seen += looked_ahead
        else:
            causal += 1
    assert causal >= 5
    assert ahead >= 3
    assert seen >= ahead // 3


def test_random_graphs_with_a_scan() -> None:
    """What is carried behind the last position is told as well."""
    causal = seen = told = 0
    for seed in range(50):
        sketch = draw(seed, 3, scan=True)
        proof, looked_ahead = held_to_the_truth(sketch, seed, remembered=True)
        seen += looked_ahead
        if proof is not None:
            causal += 1
            told += len(remembered_by(sketch, proof))
    assert causal >= 12 and told >= 12
    assert seen >= 5


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_graphs_behind_a_past(first: int) -> None:
    """Proven for an empty past; with one, the branch is the original."""
    causal = later = 0
    for seed in range(first, first + 20):
        sketch = draw(seed, past=True)
        (output,) = sketch.view.outputs
        proof = proven(sketch, binary_masks=True)
        assert not list(wrongly_proven(sketch, proof, (4,), seed=seed, may_fail=True)), seed
        if isinstance(proof.state(output), Ahead):
            continue
        if isinstance(suffix_model(sketch, proof, [output]), Refusal):
            continue
        causal += 1
        assert not list(wrong_suffixes(sketch, proof, [output], count=5, seed=seed, may_fail=True)), seed
        same = behind_past(sketch, proof, output, seed=seed)
        assert same is not False, seed
        later += same is True
    assert causal >= 5
    assert later >= 2


def test_random_graphs_tell_what_is_remembered_behind_the_last_position() -> None:
    told = 0
    for seed in range(160):
        sketch = draw(seed)
        if {"GRU", "LSTM", "RNN"}.isdisjoint(node.op_type for node in sketch.model.graph.node):
            continue
        (output,) = sketch.view.outputs
        proof = proven(sketch, binary_masks=True)
        last = remembered_by(sketch, proof)
        if not last or isinstance(proof.state(output), Ahead):
            continue
        told += len(last)
        assert not list(wrong_suffixes(sketch, proof, [output, *last], count=6, seed=seed, may_fail=True)), seed
    assert told >= 5
