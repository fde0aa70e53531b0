"""Verification tells a right model from a wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actcache.passes.cuts import RowDivision
from actcache.passes.cuts.feeds import Feed, first_rows, more_rows, take
from actcache.verification.cases import SEQUENCES, affordable, cases
from actcache.verification.verify import Verification, compare, references, varying_outputs

SAMPLE: Feed = {"x": np.array([[1.5, -2.0], [3.25, 0.5], [-7.0, 40.0]], np.float32), "k": np.array(2.0, np.float32)}
AXES = {"x": 0}
ROWS = RowDivision(AXES)


def original(feed: Feed) -> list[Any]:
    return [feed["x"] * feed["k"]]


def report(compiled: Any, tolerance: float = 1e-4, divisions: tuple[RowDivision, ...] = (ROWS,)) -> Any:
    answers = references(original, [SAMPLE], divisions)
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
    assert report(mixing, divisions=()).failure is None


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

    result = compare(original, lambda: None, references(picky, [SAMPLE], [ROWS]))
    assert result.failure is None and len(result.skipped) == 4


def test_rows_are_taken_along_their_axis_and_made_up_from_one() -> None:
    feed = {"s": np.arange(12, dtype=np.int64).reshape(2, 3, 2)}
    assert take(feed, {"s": 1}, np.array([2, 0]))["s"].tolist() == [[[4, 5], [0, 1]], [[10, 11], [6, 7]]]
    four = more_rows({"x": SAMPLE["x"][:1]}, AXES, 4)["x"]
    assert four.shape == (4, 2) and four[0].tolist() != four[1].tolist()
    assert [case.name for case in cases(SAMPLE, ())] == ["cold and warm"]


class Memo:
    """Computes new rows, in one batch, and keeps them: a cache by rows. It notes what it computed."""

    def __init__(self, compute: Any) -> None:
        self.compute, self.kept, self.computed = compute, dict[bytes, Any](), list[tuple[int, int]]()

    def clear(self) -> None:
        self.kept.clear()

    def __call__(self, feed: Feed) -> list[Any]:
        keys = [row.tobytes() for row in feed["x"]]
        new = [i for i, key in enumerate(keys) if key not in self.kept and key not in keys[:i]]
        if new:
            self.computed.append((len(keys), len(new)))
            self.kept |= zip([keys[i] for i in new], self.compute({**feed, "x": feed["x"][new]})[0], strict=True)
        return [np.stack([self.kept[key] for key in keys])]


def exact_report(compute: Any, model: Any = original) -> tuple[Verification, Memo]:
    compiled = Memo(compute)
    answers = references(model, [SAMPLE], [ROWS], (), SEQUENCES)
    return compare(compiled, compiled.clear, answers, exact=True), compiled


def test_batches_of_many_sizes_are_tried_cold_and_partly_known() -> None:
    report, compiled = exact_report(original)
    assert report.failure is None and report.bit_exact and not report.skipped
    sizes = {size for sequence in SEQUENCES for size in sequence}
    assert {1, 2, 3, 4, 8, 16, 17, 33} < sizes == {sequence[0] for sequence in SEQUENCES}
    assert {(size, size) for size in sizes} <= set(compiled.computed)  # all rows at once
    assert {(2, 1), (5, 1), (9, 1), (17, 1), (7, 5), (33, 32)} <= set(compiled.computed)


def test_the_original_is_asked_once_for_a_batch() -> None:
    asked: list[bytes] = []

    def counted(feed: Feed) -> list[Any]:
        asked.append(feed["x"].tobytes())
        return original(feed)

    references(counted, [SAMPLE], [ROWS], (), SEQUENCES)
    assert len(asked) <= len({size for sequence in SEQUENCES for size in sequence}) + 8


@pytest.mark.parametrize("size", [1, 8, 33])
def test_one_size_that_differs_in_the_last_bit_is_found_and_ends_the_run(size: int) -> None:
    def odd(feed: Feed) -> list[Any]:
        y = original(feed)[0]
        return [np.nextafter(y, np.float32(np.inf)) if len(y) == size else y]

    report, compiled = exact_report(odd)
    assert report.failure is not None and len(report.different) == 1 and not report.bit_exact
    assert f"{report.different[0]}" in report.failure
    assert compiled.computed[-1][1] == size or size == 1
    if size == 1:
        assert len(compiled.computed) < 4  # what is cheap comes first


def test_a_slow_model_is_tried_in_small_batches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert affordable(original, SAMPLE, [ROWS]) == SEQUENCES
    ticks = iter((0.0, 300.0))
    monkeypatch.setattr("actcache.verification.cases.time.perf_counter", lambda: next(ticks))
    few = affordable(original, SAMPLE, [ROWS])
    assert few and max(map(max, few)) == 9 and few == SEQUENCES[: len(few)]


def test_a_call_that_the_original_refuses_does_not_leave_its_cache_to_the_next() -> None:
    def picky(feed: Feed) -> list[Any]:
        if len(feed["x"]) == 2:
            raise ValueError("not two")
        return original(feed)

    report, compiled = exact_report(original, picky)
    assert report.failure is None and report.skipped
    assert (3, 3) in compiled.computed and (2, 1) not in compiled.computed


@pytest.mark.parametrize("shape", [(3, 2), (2, 1), (1, 40)])
def test_made_up_rows_differ_from_each_other_and_lie_between_those_given(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).uniform(-3, 5, shape).astype(np.float32)
    grown = more_rows({"x": x}, AXES, 30)["x"]
    assert len({row.tobytes() for row in grown}) == len(grown) == 30 * shape[0]
    assert grown[: shape[0]].tobytes() == x.tobytes()
    assert grown.min() >= x.min() and grown.max() <= x.max() and grown.dtype == np.float32
    ids = more_rows({"x": np.arange(6).reshape(3, 2)}, AXES, 12)["x"]
    assert set(ids.flatten()) == set(range(6)) and len({row.tobytes() for row in ids}) > 12


def test_first_rows_are_no_copy() -> None:
    few = first_rows({"s": np.zeros((2, 5)), "k": np.zeros(3)}, {"s": 1}, 3)
    assert few["s"].shape == (2, 3) and few["s"].base is not None and few["k"].shape == (3,)


def test_outputs_that_vary_by_themselves_are_found() -> None:
    generator = np.random.default_rng(0)
    assert varying_outputs(lambda f: [f["x"], generator.random(3)], SAMPLE) == {1}
