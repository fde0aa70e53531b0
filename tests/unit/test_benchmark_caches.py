"""The caches that actcache is measured against: what they find, what they compute, and that their results are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from graphs import parse
from numpy.typing import NDArray

from benchmarks.caches import RequestCache, RowLru

Array = NDArray[Any]
ROW_BYTES = 2 * 4 * 4


class Counting:
    """A session that remembers how many rows each call had."""

    def __init__(self) -> None:
        model = parse("g (float[N, K] x) => (float[N, K] y, float[N, K] z) { y = Tanh(x) z = Neg(x) }")
        self._session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        self.rows: list[int] = []

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, names: None, feed: dict[str, Array]) -> Any:
        self.rows.append(len(feed["x"]))
        return self._session.run(names, feed)


def check(cache: RowLru | RequestCache, x: Array) -> None:
    wanted = Counting().run(None, {"x": x})
    got = cache.run(None, {"x": x})
    assert len(got) == 2
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.fixture
def rows() -> Array:
    return np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)


def test_the_lru_computes_each_missing_row_once(rows: Array) -> None:
    session = Counting()
    cache = RowLru(session, 1 << 20)
    check(cache, rows[:4])
    check(cache, rows[[5, 1, 5, 0, 6]])
    check(cache, rows[[6, 5, 0]])
    assert session.rows == [4, 2]


def test_the_lru_holds_its_budget_and_drops_the_oldest(rows: Array) -> None:
    session = Counting()
    cache = RowLru(session, 3 * ROW_BYTES)
    check(cache, rows[:3])
    check(cache, rows[[0]])  # row 1 is the oldest now
    check(cache, rows[[3]])
    check(cache, rows[[0, 2, 3]])
    assert session.rows == [3, 1]
    check(cache, rows[[1]])
    check(cache, rows)  # more than fits
    assert session.rows == [3, 1, 1, 5]


def test_the_lru_knows_the_shape_of_a_row(rows: Array) -> None:
    session = Counting()
    cache = RowLru(session, 1 << 20)
    zeros = np.zeros((1, 4), np.float32)
    check(cache, zeros)
    check(cache, zeros[:, :2])
    assert session.rows == [1, 1]


def test_the_request_cache_finds_whole_requests_alone(rows: Array) -> None:
    session = Counting()
    cache = RequestCache(session, 1 << 20)
    check(cache, rows[:4])
    check(cache, rows[:4].copy())
    assert session.rows == [4]
    check(cache, rows[[1, 0, 2, 3]])
    check(cache, rows[:4].reshape(2, 8))
    assert session.rows == [4, 4, 2]


def test_a_request_that_does_not_fit_is_computed(rows: Array) -> None:
    session = Counting()
    cache = RequestCache(session, ROW_BYTES)
    check(cache, rows[:2])
    check(cache, rows[:2])
    assert session.rows == [2, 2]
