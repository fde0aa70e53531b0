"""Random graphs of sequences: what is proven holds in onnxruntime, and suffixes give what whole graphs give.

``python -m tests.conformance.causal`` draws thousands.
"""

from __future__ import annotations

import pytest

from tests.conformance.causal.drawing import draw
from tests.conformance.causal.trial import FORMS, Trial, tried

SEEDS = range(120)


def right(trial: Trial, seed: int) -> Trial:
    """Nothing is wrong with it."""
    assert not trial.wrong, seed
    return trial


@pytest.mark.parametrize("first", range(0, len(SEEDS), 40))
def test_random_graphs(first: int) -> None:
    trials = [right(tried(draw(seed), seed), seed) for seed in SEEDS[first : first + 40]]
    ahead = [trial for trial in trials if not trial.causal]
    assert len(trials) - len(ahead) >= 10
    assert len(ahead) >= 6
    assert sum(trial.seen_ahead for trial in ahead) >= len(ahead) // 3


def test_random_graphs_with_a_scan() -> None:
    """What is carried behind the last position is told as well."""
    trials = [right(FORMS["scan"](seed), seed) for seed in range(50)]
    assert sum(trial.causal for trial in trials) >= 12
    assert sum(len(trial.told) for trial in trials) >= 12
    assert sum(trial.seen_ahead for trial in trials) >= 5


@pytest.mark.parametrize("first", range(0, 60, 30))
def test_random_graphs_behind_a_past(first: int) -> None:
    """Proven for an empty past; with one, the branch is the original."""
    trials = [right(FORMS["past"](seed), seed) for seed in range(first, first + 30)]
    assert sum(trial.causal for trial in trials) >= 6
    assert sum(trial.later is True for trial in trials) >= 2


def test_random_graphs_tell_what_is_remembered_behind_the_last_position() -> None:
    told = 0
    for seed in range(160):
        sketch = draw(seed)
        if not {"GRU", "LSTM", "RNN"}.isdisjoint(node.op_type for node in sketch.model.graph.node):
            told += len(right(tried(sketch, seed, remembered=True), seed).told)
    assert told >= 5
