"""Every row rule against the operator itself: rows permuted, cut to subsets, single, repeated.

The values cannot agree by accident: negative, not round, one row huge. A rule without a sample fails.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rows_catalogue import SAMPLES
from rows_support import Sample, described, follows, keeps_apart, session, unbounded

from actcache.passes.rows import RULES


def proven(tried: Sample) -> list[str]:
    """The outputs that the sample claims to be rows."""
    return [name for name, claim in tried.claims.items() if not isinstance(claim, str)]


@pytest.mark.parametrize("tried", SAMPLES, ids=str)
def test_claim_is_what_onnxruntime_does(tried: Sample) -> None:
    proof = tried.proof
    states = {name: (described(proof.state(name)), proof.refusal(name)) for name in tried.claims}
    assert {name: claim for name, (claim, _) in states.items()} == tried.claims, states
    if proven(tried):
        wrong = [(name, chosen) for name, chosen, same in follows(tried, session(tried)) if not same]
        assert not wrong


@pytest.mark.parametrize("tried", [tried for tried in SAMPLES if proven(tried) and unbounded(tried)], ids=str)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_no_row_reaches_another(tried: Sample) -> None:
    found = list(keeps_apart(tried, session(tried)))
    assert found
    assert not [(name, value) for name, value, same in found if not same]


@pytest.mark.parametrize("tried", [tried for tried in SAMPLES if proven(tried)], ids=str)
def test_rows_of_a_sample_differ(tried: Sample) -> None:
    """Equal rows would follow any choice, whatever the operator does."""
    results = session(tried).run(proven(tried), tried.feed())
    claims: list[Any] = [tried.claims[name] for name in proven(tried)]
    axes = [claim if isinstance(claim, int) else claim[0] for claim in claims]
    first = [np.take(result, [0], axis) for result, axis in zip(results, axes, strict=True)]
    assert any((np.broadcast_to(row, result.shape) != result).any() for row, result in zip(first, results, strict=True))


def test_every_rule_has_a_sample() -> None:
    shown = {op for tried in SAMPLES for op in tried.operators if proven(tried)}
    refused = {op for tried in SAMPLES for op in tried.operators}
    missing = [key for key, found in RULES.items() if key not in (refused if found.barrier else shown)]
    assert not missing


def test_no_rule_fails_on_its_samples() -> None:
    slugs = [proof.refusal(name) for tried in SAMPLES for proof in [tried.proof] for name in tried.claims]
    assert any(slugs)
    assert not [refusal for refusal in slugs if refusal is not None and refusal.rule == "rule-error"]
