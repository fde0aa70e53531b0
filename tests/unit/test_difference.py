"""The first element in which two arrays differ, bit for bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from actcache.inspection.array_difference import first_difference, row_bits


def found(one: Any, two: Any, dtype: Any) -> dict[str, Any]:
    difference = first_difference(np.array(one, dtype), np.array(two, dtype))
    assert difference is not None
    return difference.to_json()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [1.0, -1.0, 0.0, 6e-8, -2.5])
def test_neighbours_are_one_ulp_apart(value: float, dtype: type) -> None:
    one = dtype(value)
    two = np.nextafter(one, dtype(np.inf))
    assert found([one], [two], dtype)["ulps"] == 1
    assert found([np.nextafter(two, dtype(np.inf))], [one], dtype)["ulps"] == 2


def test_the_signs_of_zero_differ_by_nothing_but_bits() -> None:
    difference = found([0.0], [-0.0], np.float32)
    assert (difference["ulps"], difference["bits"]) == (0, ["0x00000000", "0x80000000"])
    assert found([np.finfo(np.float32).smallest_subnormal], [-0.0], np.float32)["ulps"] == 1


def test_what_is_no_number_has_bits_only() -> None:
    for other in (1.0, math.inf):
        difference = found([math.nan], [other], np.float64)
        assert difference["ulps"] is None and len(difference["bits"][0]) == 18
    same = np.array([math.nan, math.inf])
    assert first_difference(same, same.copy()) is None


def test_the_place_and_how_many() -> None:
    one = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    two = one.copy()
    two[1, 0, 2] = -5
    two[1, 2, 3] = 7
    difference = first_difference(one, two)
    assert difference is not None
    assert difference.to_json() == {
        **{"index": [1, 0, 2], "values": [14, -5], "bits": ["0x000000000000000e", "0xfffffffffffffffb"]},
        **{"ulps": None, "byte": None, "differing": 2, "elements": 24},
    }
    assert str(difference) == "14 there, -5 here"


def test_a_scalar_and_a_boolean() -> None:
    assert found(1.5, 2.5, np.float32)["index"] == []
    assert found([True, True], [True, False], np.bool_)["values"] == [True, False]


@pytest.mark.parametrize(
    ("one", "two", "byte"), [("abc", "abd", 2), ("abc", "ab", 2), ("", "a", 0), ("aé", "aè", 2), ("ab", "aé", 1)]
)
def test_strings_differ_in_bytes(one: str, two: str, byte: int) -> None:
    difference = first_difference(np.array(["x", one], object), np.array(["x", two], object))
    assert difference is not None
    assert (difference.index, difference.values, difference.byte) == ((1,), (one, two), byte)
    assert str(difference) == f"{one!r} there, {two!r} here, from byte {byte} on"


def test_texts_of_floats_are_short_and_exact() -> None:
    difference = first_difference(
        np.array([0.1], np.float32), np.array([np.nextafter(np.float32(0.1), np.float32(1))], np.float32)
    )
    assert str(difference) == "0.1 there, 0.10000001 here, 1 ulp apart (0x3dcccccd, 0x3dccccce)"


def test_rows_along_any_axis() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert row_bits(array, 0).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert row_bits(array, 1).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert row_bits(array, None).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert row_bits(np.zeros((3, 0), np.float32), 0).shape == (3, 0)
    assert row_bits(np.array([["a\0", "b"]], object), 0).tolist() == [[b"a\0", b"b"]]
