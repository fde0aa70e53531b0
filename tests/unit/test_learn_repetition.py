"""When recorded calls are known to repeat nothing, so that nobody compiles a model by them."""

from __future__ import annotations

import numpy as np
import pytest

from actcache.learn.repetition import Feed, may_repeat

DRAWN = np.random.default_rng(1).standard_normal((12, 3, 5)).astype(np.float32)
RATE = np.array(16_000, np.int64)


def alone(*numbers: int) -> list[Feed]:
    """Return calls of one row."""
    return [{"x": DRAWN[n : n + 1]} for n in numbers]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (alone(0, 1, 2), False),
        (alone(0, 1, 0), True),
        ([{"x": DRAWN[:4]}, {"x": DRAWN[4:6]}, {"x": DRAWN[6:]}], False),
        ([{"x": DRAWN[:4]}, {"x": DRAWN[3:6]}], True),  # a row in batches of other sizes
        ([{"x": DRAWN[[1, 1]]}], True),  # in one batch
        ([{"x": np.moveaxis(DRAWN[:4], 0, 1)}, {"x": np.moveaxis(DRAWN[3:7], 0, 1)}], True),  # rows along another axis
        ([{**call, "rate": RATE} for call in alone(0, 1, 2)], False),  # what never changes says nothing
        ([{**call, "rate": RATE} for call in alone(0, 1, 1)], True),
        ([{"rate": RATE}, {"rate": RATE}], True),  # unless there is nothing else
        ([{**call, "y": DRAWN[n % 2, 0]} for n, call in enumerate(alone(0, 1, 2))], True),  # beside what is new
        ([{"ids": np.arange(4)[None]}, {"ids": np.arange(5)[None]}], True),  # a sequence that goes on
        ([{"x": np.hstack([DRAWN[0, :2], DRAWN[n, :2]])} for n in range(4)], True),  # a part of each row comes again
        ([{"users": np.arange(3)}, {"users": np.arange(2, 6)}], True),  # numbers in batches
        ([{"users": np.arange(3)}, {"users": np.arange(3, 6)}], False),
        ([{"x": np.array(["a", "b"], object)}], True),
        ([{"x": np.array(["a"])}, {"x": np.array(["b"])}], False),
    ],
)
def test_parts_that_came_before(calls: list[Feed], expected: bool) -> None:
    assert may_repeat(calls) is expected
