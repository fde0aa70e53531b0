"""verify_fraction: hits that are computed all the same, and what happens where they differ."""

from __future__ import annotations

import numpy as np
import pytest
from hand_written import Control, Region, Tensor, batch, squares


def random_rows() -> Region:
    """A region that breaks its promise: what it computes is another thing each time."""
    return Region([Tensor("x")], [Tensor("y")], "y_m = RandomUniformLike(x_c)")


def test_verified_rows_are_computed_and_agree(control: Control) -> None:
    region = squares()
    model = region.session()
    x = batch(1, 2, 3, 1)
    model.run(None, {"x": x})
    control.configure("verify_fraction", "1")
    for _ in range(3):
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
    assert control.counts(region, "verified", "mismatches", "stored") == (9, 0, 3)
    control.configure("verify_fraction", None)
    model.run(None, {"x": x})
    assert control.counts(region, "verified", "misses", "hits") == (9, 12, 4 + 4)


def test_a_share_of_the_hits_is_verified(control: Control) -> None:
    region = squares()
    model = region.session()
    x = batch(*range(100))
    model.run(None, {"x": x})
    control.configure("verify_fraction", "0.1")
    for _ in range(50):
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
    hits, verified = control.counts(region, "hits", "verified")
    assert hits + verified == 5000
    assert 350 < verified < 650


def test_an_entry_that_differs_is_removed(control: Control, capfd: pytest.CaptureFixture[str]) -> None:
    region = random_rows()
    model = region.session()
    x = batch(1, 2)
    first = model.run(None, {"x": x})[0]
    assert np.array_equal(model.run(None, {"x": x})[0], first)
    control.configure("verify_fraction", "1")
    assert not np.array_equal(model.run(None, {"x": x})[0], first)
    assert control.counts(region, "verified", "mismatches") == (2, 2)
    control.configure("verify_fraction", None)
    before = control.counts(region, "misses")[0]
    third = model.run(None, {"x": x})[0]
    assert control.counts(region, "misses")[0] == before + 2
    assert np.array_equal(model.run(None, {"x": x})[0], third)
    assert f'region "{region.id}": a row that was computed again is' in capfd.readouterr().err


def test_a_mismatch_turns_the_region_off_where_that_is_the_policy(control: Control) -> None:
    region, sound = random_rows(), squares()
    model, other = region.session(), sound.session()
    x = batch(1, 2)
    for session in (model, other):
        session.run(None, {"x": x})
    control.configure("verify_fraction", "1")
    control.configure("on_mismatch", "disable")
    for session in (model, other) * 2:
        session.run(None, {"x": x})
    assert control.counts(region, "mismatches", "bypassed", "state") == (2, 2, "disabled")
    assert control.counts(sound, "mismatches", "bypassed", "verified") == (0, 0, 4)


def test_a_difference_within_the_tolerance_is_none(control: Control) -> None:
    region = random_rows()
    model = region.session()
    x = batch(1, 2)
    model.run(None, {"x": x})
    control.configure("verify_fraction", "1")
    control.configure("verify_tolerance", "1e6")
    model.run(None, {"x": x})
    assert control.counts(region, "verified", "mismatches") == (2, 0)
