"""Entries of another session are used only after rows of them were computed all the same and were equal.

A compiled model that another tool has edited keeps its fingerprint, so its keys are the old model's.
"""

# mypy: no-warn-return-any
from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest
from hand_written import Control, Region, Tensor, batch

_SCALE = "scale = Constant <value = float[3] {{{}, 2.0, 3.0}}> () y_m = Mul(x_c, scale)"
_NORM = """one = Constant <value = float[3] {{1.0, 1.0, 1.0}}> () y_m = LayerNormalization <epsilon = {}> (x_c, one)"""

#: What the region computes, and what an edit makes of it.
EDITS = {
    "a scaled weight": (_SCALE.format("1.0"), _SCALE.format("1.01")),
    "another epsilon": (_NORM.format("0.00001"), _NORM.format("0.1")),
    "another approximation": ("y_m = Tanh(x_c)", "y_m = Softsign(x_c)"),
    "a quantised branch": (
        "y_m = Tanh(x_c)",
        """s = Constant <value = float {0.05}> () z = Constant <value = int8 {0}> ()
           q = QuantizeLinear(x_c, s, z) d = DequantizeLinear(q, s, z) y_m = Tanh(d)""",
    ),
}
GRANULARITIES = ["row", "tensor"]


def regions(what: str, granularity: str) -> tuple[Region, Region]:
    """The region as it was compiled, and as it was edited: of the same name and fingerprint."""
    whole = granularity == "tensor"
    before, after = (body.replace("x_c", "x") if whole else body for body in EDITS[what])
    region = Region([Tensor("x")], [Tensor("y")], before, granularity)
    return region, dataclasses.replace(region, body=after)


def truth(region: Region, x: np.ndarray) -> np.ndarray:
    """What the region computes where nothing was stored before."""
    alone = dataclasses.replace(
        region, fingerprint=f"{region.fingerprint} alone {region.body}", id=f"{region.id} alone"
    )
    return run(alone.session(), x)


def run(session: ort.InferenceSession, x: np.ndarray) -> np.ndarray:
    (y,) = session.run(None, {"x": x})
    return y


CALLS = [batch(1, 2, 3), batch(3, 2, 1), batch(1), batch(2, 4), batch(4, 4, 5), batch(1, 2, 3), batch()]


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("what", EDITS)
def test_an_edited_model_never_gets_entries_of_the_old_one(control: Control, what: str, granularity: str) -> None:
    old, new = regions(what, granularity)
    expected = {model: [truth(region, x) for x in CALLS] for model, region in (("old", old), ("new", new))}
    assert not np.allclose(expected["old"][0], expected["new"][0], rtol=1e-3)
    sessions = {"old": old.session(), "new": new.session()}
    for model in ("old", "new", "old", "new"):  # each is right before and after it has met the other's entries
        for x, y in zip(CALLS, expected[model], strict=True):
            assert np.array_equal(run(sessions[model], x), y), model
    assert control.counts(old, "mismatches") >= (1,)
    hits = control.counts(old, "hits")
    for model in ("old", "new"):  # and each has its own
        for x, y in zip(CALLS, expected[model], strict=True):
            assert np.array_equal(run(sessions[model], x), y), model
    assert control.counts(old, "hits")[0] > hits[0]
    assert np.array_equal(run(old.session(), CALLS[0]), expected["old"][0])
    assert np.array_equal(run(new.session(), CALLS[0]), expected["new"][0])


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_in_turn(control: Control, granularity: str) -> None:
    """Both models fill the store at the same time, so that batches hold hits of both."""
    old, new = regions("a scaled weight", granularity)
    sessions = [(old, old.session()), (new, new.session())]
    generator = np.random.default_rng(0)
    for _ in range(60):
        x = batch(*generator.integers(0, 12, generator.integers(1, 6)))
        for region, session in sessions:
            scale = np.array([1.01 if "1.01" in region.body else 1.0, 2, 3], np.float32)
            assert np.array_equal(run(session, x), x * scale)
    assert control.counts(old, "hits")[0] > 0


def test_an_equal_session_shares_after_two_rows(control: Control) -> None:
    region, _ = regions("a scaled weight", "row")
    first, second = region.session(), region.session()
    x = batch(1, 2, 3)
    y = run(first, x)
    assert control.counts(region, "misses", "hits", "verified") == (3, 0, 0)
    assert np.array_equal(run(second, x), y)  # all of them are compared
    assert control.counts(region, "misses", "hits", "verified") == (6, 0, 3)
    assert np.array_equal(run(second, x), y)
    assert control.counts(region, "misses", "hits", "verified") == (6, 3, 3)
    run(second, batch(7, 8))
    run(first, batch(7, 8))  # the other way round, too
    assert control.counts(region, "misses", "hits", "verified", "mismatches") == (8, 5, 3, 0)
    third = region.session()
    run(third, batch(7))
    run(third, batch(8))
    run(third, x)
    assert control.counts(region, "misses", "hits", "verified") == (10, 8, 5)


def test_a_single_session_compares_nothing(control: Control) -> None:
    region, _ = regions("a scaled weight", "row")
    session = region.session()
    for _ in range(3):
        run(session, batch(1, 2))
    assert control.counts(region, "misses", "hits", "verified") == (2, 4, 0)


def test_what_is_removed_and_counted_is_found_by_its_region(control: Control) -> None:
    """Sessions that keep to themselves are forgotten by namespace, too."""
    old, new = regions("a scaled weight", "row")
    sessions = old.session(namespace="trust"), new.session(namespace="trust")
    for session in (*sessions, sessions[1]):
        run(session, batch(1, 2, 3))
    assert control.counts(old, "mismatches")[0] >= 1
    assert control.invalidate("trust") == 6
    assert control.invalidate("trust") == 0
