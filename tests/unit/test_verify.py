"""Verification tells a right model from a wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np

from actcache.verification.verify import Feed, cases, compare, more_rows, references, take, varying_outputs

SAMPLE: Feed = {"x": np.array([[1.5, -2.0], [3.25, 0.5], [-7.0, 40.0]], np.float32), "k": np.array(2.0, np.float32)}
AXES = {"x": 0}


def original(feed: Feed) -> list[Any]:
    return [feed["x"] * feed["k"]]


def report(compiled: Any, tolerance: float = 1e-4, batches: tuple[dict[str, int], ...] = (AXES,)) -> Any:
    answers = references(original, [SAMPLE], batches)
    return compare(compiled, lambda: None, answers, tolerance=tolerance)


def test_an_equal_model_is_bit_exact() -> None:
    result = report(original)
    assert result.failure is None and result.bit_exact and result.max_abs_error == 0.0
    assert result.cases == 9


def test_rounding_is_reported_and_accepted_within_the_tolerance() -> None:
    result = report(lambda feed: [feed["x"] * feed["k"] * np.float32(1 + 1e-6)])
    assert result.failure is None and not result.bit_exact and 0 < result.max_abs_error < 1e-3
    assert report(lambda feed: [feed["x"] * feed["k"] * np.float32(1.01)]).failure is not None


def test_a_model_that_mixes_rows_fails_only_where_the_batch_changes() -> None:
    def mixing(feed: Feed) -> list[Any]:
        scale = np.float32(1.0 if len(feed["x"]) == 3 else 1.5)
        return [feed["x"] * feed["k"] * scale]

    assert report(mixing).failure is not None
    assert report(mixing, batches=()).failure is None


def test_a_cached_answer_that_is_not_the_first_one_bit_for_bit_fails() -> None:
    calls: list[int] = []

    def drifting(feed: Feed) -> list[Any]:
        calls.append(1)
        return [feed["x"] * feed["k"] * np.float32(1 + 1e-7 * len(calls))]

    assert "bit for bit" in (report(drifting).failure or "")


def test_types_shapes_and_nans_must_agree() -> None:
    assert report(lambda feed: [original(feed)[0].astype(np.float64)]).failure is not None
    assert report(lambda feed: [original(feed)[0][..., None]]).failure is not None
    assert report(lambda feed: [np.full_like(feed["x"], np.nan)]).failure is not None


def test_a_failing_model_and_a_refusing_original_are_told_apart() -> None:
    def failing(_: Feed) -> list[Any]:
        raise RuntimeError("broken node")

    assert "broken node" in report(failing).failure

    def picky(feed: Feed) -> list[Any]:
        if len(feed["x"]) != 3:
            raise ValueError("three rows only")
        return original(feed)

    result = compare(original, lambda: None, references(picky, [SAMPLE], [AXES]))
    assert result.failure is None and len(result.skipped) == 4


def test_rows_are_taken_along_their_axis_and_made_up_from_one() -> None:
    feed = {"s": np.arange(12, dtype=np.int64).reshape(2, 3, 2)}
    assert take(feed, {"s": 1}, np.array([2, 0]))["s"].tolist() == [[[4, 5], [0, 1]], [[10, 11], [6, 7]]]
    four = more_rows({"x": SAMPLE["x"][:1]}, AXES, 4)["x"]
    assert four.shape == (4, 2) and four[0].tolist() != four[1].tolist()
    assert [case.name for case in cases(SAMPLE, ())] == ["cold and warm"]


def test_outputs_that_vary_by_themselves_are_found() -> None:
    generator = np.random.default_rng(0)
    assert varying_outputs(lambda f: [f["x"], generator.random(3)], SAMPLE) == {1}
