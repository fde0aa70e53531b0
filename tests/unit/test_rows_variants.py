"""Whatever the analysis claims of a sample's variants, onnxruntime does: no check of a rule is there for nothing."""

from __future__ import annotations

import pytest
from rows_catalogue import SAMPLES
from rows_support import Sample
from rows_variants import variants, wrong_claims


@pytest.mark.parametrize("tried", [tried for tried in SAMPLES if set(tried.claims.values()) != {"mixed"}], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_wrong_is_claimed_of_a_variant(tried: Sample) -> None:
    wrong = {what: claims for what, variant in variants(tried) if (claims := wrong_claims(variant))}
    assert not wrong


def test_samples_have_variants() -> None:
    assert sum(1 for tried in SAMPLES for _ in variants(tried)) > 3 * len(SAMPLES)
