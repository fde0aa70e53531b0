"""What tests of the causal proof ask of a graph that is refused, and of one that is proven. Output ``y``."""

from __future__ import annotations

from actcache.passes.causal import Ahead, Causal
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import proven, wrong_suffixes, wrongly_proven


def assert_refused(sketch: Sketch, rule: str) -> None:
    """The proof gives this reason, and names the node."""
    state = proven(sketch, binary_masks=True).state("y")
    assert isinstance(state, Ahead)
    assert state.refusal.rule == rule, state.refusal
    assert state.refusal.node


def assert_goes_on(sketch: Sketch, binary: tuple[str, ...] = (), *, optimised: tuple[bool, ...] = (False,)) -> None:
    """It is proven, `binary` names the masks that have to hold 0 and 1, and onnxruntime agrees after every prefix."""
    proof = proven(sketch, binary_masks=True)
    assert isinstance(proof.state("y"), Causal), proof.refusal("y")
    assert proof.position_axis("y") == 1
    assert proof.binary_inputs == binary
    assert not list(wrongly_proven(sketch, proof))
    for each in optimised:
        assert not list(wrong_suffixes(sketch, proof, ["y"], optimised=each))
