"""Every row rule against the operator itself: rows permuted, cut to subsets, single, repeated.

The values cannot agree by accident: negative, not round, one row huge. A rule without a sample fails.
"""

from __future__ import annotations

import pytest
import rows_samples_contrib
import rows_samples_elementwise
import rows_samples_layers
import rows_samples_ml
import rows_samples_shape
from rows_support import Sample, described, follows, session

from actcache.passes.rows import RULES

SAMPLES: list[Sample] = [
    *rows_samples_elementwise.SAMPLES,
    *rows_samples_shape.SAMPLES,
    *rows_samples_layers.SAMPLES,
    *rows_samples_ml.SAMPLES,
    *rows_samples_contrib.SAMPLES,
]


@pytest.mark.parametrize("tried", SAMPLES, ids=str)
def test_claim_is_what_onnxruntime_does(tried: Sample) -> None:
    proof = tried.proof
    states = {name: (described(proof.state(name)), proof.refusal(name)) for name in tried.claims}
    assert {name: claim for name, (claim, _) in states.items()} == tried.claims, states
    if any(not isinstance(claim, str) for claim in tried.claims.values()):
        wrong = [(name, chosen) for name, chosen, same in follows(tried, session(tried)) if not same]
        assert not wrong


def test_every_rule_has_a_sample() -> None:
    proven = {
        op for tried in SAMPLES for op in tried.operators if any(not isinstance(c, str) for c in tried.claims.values())
    }
    refused = {op for tried in SAMPLES for op in tried.operators}
    missing = [key for key, found in RULES.items() if key not in (refused if found.barrier else proven)]
    assert not missing


def test_no_rule_fails_on_its_samples() -> None:
    slugs = [proof.refusal(name) for tried in SAMPLES for proof in [tried.proof] for name in tried.claims]
    assert not [refusal for refusal in slugs if refusal is not None and refusal.rule == "rule-error"]
