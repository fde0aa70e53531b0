"""Why rows hit and miss: every reason by two calls of a region that is written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from actcache.inspection.call_comparison import Call, Why, units_of, why
from actcache.model.compiled_model import Lookup
from actcache.passes.cuts import RowCut, Units, WholeCut
from actcache.passes.cuts.conditions import SizeRule

#: Rows of ``a`` and ``b`` along axes 0 and 1; ``c`` enters every key.
ROWS = RowCut((0, 1, None), (0,))
REGION = Lookup(
    id="r",
    fingerprint="f" * 64,
    cut=ROWS,
    frontier=("a", "b", "c"),
    live_outs=("y",),
    live_out_types=(1,),
)
WHOLE = replace(REGION, cut=WholeCut.of(3, 1))


def values(rows: int = 3) -> dict[str, np.ndarray]:
    return {
        "a": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
        "b": np.arange(2 * rows, dtype=np.int64).reshape(2, rows),
        "c": np.array([7], np.int32),
    }


def taken(given: dict[str, np.ndarray], rows: list[int]) -> dict[str, np.ndarray]:
    return {"a": given["a"][rows], "b": given["b"][:, rows], "c": given["c"]}


def outcomes(records: list[Why]) -> list[tuple[int | None, str, str]]:
    return [(record.row, record.outcome, record.reason) for record in records]


def all_miss(records: list[Why], reason: str, says: str, rows: int | None = 3) -> None:
    expected = [None] if rows is None else list(range(rows))
    assert outcomes(records) == [(row, "miss", reason) for row in expected]
    assert says in records[0].text


def test_rows_in_another_order_hit_and_equal_ones_are_duplicates() -> None:
    one = values()
    two = taken(values(5), [2, 4, 0, 4, 2])
    two["b"][:, [0, 2, 4]] = one["b"][:, [2, 0, 2]]
    records = why(REGION, Call(one), Call(two))
    assert [(r.row, r.outcome) for r in records] == [(0, "hit"), (1, "miss"), (2, "hit"), (3, "duplicate"), (4, "hit")]
    assert records[0].details == {"equal_to": 2} and records[3].details == {"duplicate_of": 1}


def test_calls_of_few_rows_share_nothing_where_they_are_told_apart() -> None:
    apart, one, three = replace(REGION, cut=replace(ROWS, min_units=2)), values(1), values(3)
    all_miss(why(apart, Call(one), Call(three)), "row count", "have 1 and 3 rows: those of fewer than 2 share no")
    assert outcomes(why(apart, Call(three), Call(taken(three, [0])))) == [(0, "miss", "row count")]
    assert outcomes(why(apart, Call(three), Call(taken(three, [2, 0])))) == [(0, "hit", "equal"), (1, "hit", "equal")]
    assert outcomes(why(apart, Call(one), Call(one))) == [(0, "hit", "equal")]
    assert outcomes(why(REGION, Call(three), Call(taken(three, [0])))) == [(0, "hit", "equal")]


def test_a_miss_names_the_nearest_row_and_the_first_element() -> None:
    one = values()
    two = {name: array.copy() for name, array in taken(one, [1, 0, 2]).items()}
    two["a"][0, 2] = np.nextafter(np.float32(6), np.float32(7))
    two["a"][0, 3] = 99
    two["b"][1, 1] = 50
    first, second, third = why(REGION, Call(one), Call(two))
    assert third.outcome == "hit"
    assert first.details["tensor"] == "a" and first.details["nearest_row"] == 1
    assert (first.details["index"], first.details["ulps"]) == ([0, 2], 1)
    assert (first.details["differing"], first.details["elements"]) == (2, 4)
    assert second.details["tensor"] == "b" and second.details["nearest_row"] == 0
    assert (second.details["index"], second.details["values"]) == ([1, 1], [3, 50])
    assert second.text == (
        "nearest is row 0 of the first call; 'b' differs in 1 of 2 elements, first at [1, 1]: 3 there, 50 here"
    )


def test_bits_decide() -> None:
    one, two = values(), values()
    one["a"][0, 0], two["a"][0, 0] = 0.0, -0.0
    one["a"][1, 1] = two["a"][1, 1] = np.nan
    assert [r.outcome for r in why(REGION, Call(one), Call(two))] == ["miss", "hit", "hit"]


def test_texts() -> None:
    region = replace(REGION, frontier=("t",), cut=RowCut((0,), (0,)))
    one = {"t": np.array([["ab", "c"], ["x", "y"]], object)}
    two = {"t": np.array([["x", "y"], ["a", "bc"], ["x", "z"]], object)}
    hit, moved, other = why(region, Call(one), Call(two))
    assert (hit.outcome, hit.details) == ("hit", {"equal_to": 1})
    assert (moved.outcome, moved.details["differing"], moved.details["nearest_row"]) == ("miss", 2, 1)  # in its place
    assert (moved.details["index"], moved.details["values"], moved.details["byte"]) == ([1, 0], ["x", "a"], 0)
    assert (other.details["nearest_row"], other.details["index"], other.details["byte"]) == (1, [2, 1], 0)


@pytest.mark.parametrize(
    ("name", "array", "reason", "says"),
    [
        (
            "a",
            np.zeros((3, 5), np.float32),
            "shape",
            "'a' has shape [3, 4] there and [3, 5] here, of which only axis 0",
        ),
        ("a", np.zeros((3, 4, 1), np.float32), "shape", "'a' has shape [3, 4] there and [3, 4, 1] here"),
        ("b", np.zeros((2, 3), np.int32), "type", "'b' is int64 there and int32 here"),
        ("c", np.zeros((1, 1), np.int32), "shape", "'c' has shape [1] there and [1, 1] here"),
        ("c", np.array([8], np.int32), "element", "'c', which all entries cover, differs at [0]: 7 there, 8 here"),
    ],
)
def test_what_the_keys_of_all_rows_cover(name: str, array: np.ndarray, reason: str, says: str) -> None:
    all_miss(why(REGION, Call(values()), Call(values() | {name: array})), reason, says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"a": np.zeros((4, 4), np.float32)}, "its inputs have different numbers of rows: 'a' 4, 'b' 3"),
        ({"b": np.zeros(3, np.int64)}, "'b' has no axis 1"),
    ],
)
def test_a_call_that_is_one_entry(change: dict[str, np.ndarray], says: str) -> None:
    odd, plain = values() | change, values()
    assert not units_of(REGION, odd).divided and units_of(REGION, plain) == Units(3)
    text = f"the second call is one entry, the other is rows: {says}"
    all_miss(why(REGION, Call(plain), Call(odd)), "entry", text, None)
    if "a" in change:
        all_miss(why(REGION, Call(odd), Call(plain)), "entry", "the first call is one entry")
    (same,) = why(REGION, Call(odd), Call(odd)) if "a" in change else why(WHOLE, Call(odd), Call(odd))
    assert (same.row, same.outcome) == (None, "hit")


def test_size_equations() -> None:
    region = replace(
        REGION, cut=replace(ROWS, sizes=(SizeRule((0, 1), 1, ((1, 0), (2, 0))),))
    )  # a[1] = b[0] + c[0] + 1
    assert units_of(region, values()) == Units(3)
    wide = values() | {"a": np.zeros((3, 5), np.float32)}
    assert units_of(region, wide).text == "a[1] = b[0] + c[0] + 1 does not hold: 5 is not 4"
    all_miss(why(region, Call(values()), Call(wide)), "entry", "a[1] = b[0] + c[0] + 1 does not hold", None)
    fewer = values() | {"c": np.array(7, np.int32)}
    assert "an axis is missing" in units_of(region, fewer).text


def test_ranks() -> None:
    region = replace(REGION, cut=replace(ROWS, ranks=tuple(values()[name].ndim for name in REGION.frontier)))
    assert units_of(region, values()) == Units(3)
    name = REGION.frontier[-1]
    more = values() | {name: values()[name][..., None]}
    ndim = values()[name].ndim
    assert units_of(region, more).text == f"'{name}' has {ndim + 1} axes, its rows are proven for {ndim}"
    assert units_of(REGION, more) == Units(3)  # compiled before ranks were written


def test_whole_calls() -> None:
    (same,) = why(WHOLE, Call(values()), Call(values()))
    assert (same.row, same.outcome) == (None, "hit")
    changed = values()
    changed["b"][1, 2] = 9
    (other,) = why(WHOLE, Call(values()), Call(changed))
    assert (other.outcome, other.details["tensor"], other.details["index"]) == ("miss", "b", [1, 2])
    all_miss(why(WHOLE, Call(values()), Call(taken(values(), [0]))), "shape", "'a' has shape [3, 4] there and", None)


@pytest.mark.parametrize(
    ("first", "second", "outcome", "reason"),
    [
        ({"namespace": "a"}, {"namespace": "b"}, "miss", "namespace"),
        ({}, {"control": "bypass"}, "bypassed", "control"),
        ({"control": "bypass"}, {}, "miss", "control"),
        ({}, {"control": "refresh"}, "miss", "control"),
        ({"control": "refresh"}, {}, "hit", "equal"),
        ({"namespace": "a"}, {"namespace": "a"}, "hit", "equal"),
    ],
)
def test_what_a_call_says(first: dict[str, Any], second: dict[str, Any], outcome: str, reason: str) -> None:
    records = why(REGION, Call(values(), **first), Call(values(), **second))
    assert outcomes(records) == [(row, outcome, reason) for row in range(3)]


def test_no_rows() -> None:
    none = taken(values(), [])
    assert outcomes(why(REGION, Call(values()), Call(none))) == [(None, "bypassed", "no rows")]
    all_miss(why(REGION, Call(none), Call(values())), "no rows", "the first call has no rows")


@pytest.mark.parametrize("change", [{"namespace": "b"}, {"control": "refresh"}])
def test_equal_rows_are_duplicates_whatever_makes_them_miss(change: dict[str, Any]) -> None:
    records = why(REGION, Call(values()), Call(taken(values(), [1, 2, 1]), **change))
    assert [record.outcome for record in records] == ["miss", "miss", "duplicate"]
    assert records[2].details == {"duplicate_of": 0}
