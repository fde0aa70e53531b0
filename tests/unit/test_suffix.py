"""The branch of a suffix: where its states are, and that it gives what the whole graph gives."""

from __future__ import annotations

import pytest

from actcache.passes.refusal import Refusal
from actcache.passes.rewrite.suffix_plan import plan_states
from tests.conformance.causal.sketches import attention
from tests.conformance.causal.truth import proven, suffix_model, wrong_suffixes


@pytest.mark.parametrize("optimised", [False, True])
def test_attention_after_every_prefix(optimised: bool) -> None:
    sketch = attention()
    assert not list(wrong_suffixes(sketch, proven(sketch), ["y"], optimised=optimised))


def test_keys_and_values_are_the_states() -> None:
    sketch = attention()
    made = suffix_model(sketch, proven(sketch), ["y"])
    assert not isinstance(made, Refusal)
    model, kept = made
    assert kept == ["y", "k1", "v1"]
    concats = [node for node in model.graph.node if node.op_type == "Concat"]
    assert [list(node.input) for node in concats] == [["k1.cached", "k1@r"], ["v1.cached", "v1@r"]]


def test_a_region_without_positions_is_refused() -> None:
    sketch = attention()
    refusal = plan_states(sketch.view, range(3), [], ["pos"], proven(sketch))
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "no-suffix"
