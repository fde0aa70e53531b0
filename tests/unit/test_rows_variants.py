"""Whatever the analysis claims of a sample's variants, onnxruntime does: no check of a rule is there for nothing."""

from __future__ import annotations

import pytest
from rows_catalogue import SAMPLES
from rows_support import Sample
from rows_variants import failures, moved_rows

PROVEN = [tried for tried in SAMPLES if set(tried.claims.values()) != {"mixed"}]


@pytest.mark.parametrize("tried", PROVEN, ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_wrong_is_claimed_of_a_variant(tried: Sample) -> None:
    assert not failures(tried)


def test_samples_have_variants() -> None:
    assert sum(1 for tried in PROVEN for _ in moved_rows(tried)) > 2 * len(PROVEN)
