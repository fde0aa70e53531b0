"""What ``explain-miss`` says of two calls of a region of prefixes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from actcache.inspection.call_comparison import Array, Call, Why
from actcache.inspection.prefix_comparison import explain_prefixes
from actcache.model.compiled_model import Lookup
from actcache.passes.cuts import PrefixCut, read_cut

CUT = PrefixCut(
    (0, 0, None),
    (0,),
    frontier_positions=(1, 1, None),
    live_out_positions=(1,),
    live_out_ranks=(3,),
    ranks=(2, 2, 1),
    binary=(1,),
)
IDS = np.arange(20).reshape(2, 10)


def call(ids: Array, mask: Array | None = None, k: float = 1.0) -> Call:
    values = {"ids": ids, "mask": np.ones_like(ids) if mask is None else mask, "k": np.array([k], np.float32)}
    return Call(values)


def explained(first: Call, second: Call, cut: PrefixCut = CUT) -> list[Why]:
    return explain_prefixes(Lookup("m", "f" * 64, cut, ("ids", "mask", "k"), ("y",), (1,)), cut, first, second)


def test_rows_are_told_how_much_of_them_is_known() -> None:
    longer = np.concatenate([IDS[::-1], [[7, 7], [8, 8]]], 1)
    records = explained(call(IDS), call(longer))
    assert [(r.row, r.outcome, r.reason, r.details["known"], r.details["equal_to"]) for r in records] == [
        (0, "miss", "prefix", 10, 1),
        (1, "miss", "prefix", 10, 0),
    ]
    assert "10 of its 12 positions are known from row 1 of the first call" in records[0].text
    assert "the first call ends there" in records[0].text
    assert [r.outcome for r in explained(call(longer), call(IDS))] == ["hit", "hit"]


def test_the_shortest_beginning_of_a_batch_decides_and_is_told() -> None:
    other = IDS.copy()
    other[0, 6], other[1, 3] = 99, 99
    first, second = explained(call(IDS), call(other))
    assert (first.details["known"], second.details["known"]) == (6, 3)
    assert first.details["used"] == second.details["used"] == 3
    assert "position 6 differs in 'ids'" in first.text and "only 3 are known of another row" in first.text
    blocks = explained(call(IDS), call(other), replace(CUT, block=2))
    assert blocks[0].details["used"] == 2


def test_what_belongs_to_all_positions_and_shapes_decide_before_them() -> None:
    (record, _) = explained(call(IDS), call(IDS, k=2.0))
    assert (record.outcome, record.reason) == ("miss", "element") and "'k', which all entries cover" in record.text
    (record, _) = explained(call(IDS), call(IDS.astype(np.int32)))
    assert record.reason == "type"


def test_masks_that_the_proof_does_not_cover_are_named() -> None:
    mask = np.ones_like(IDS)
    mask[1, 0] = 0
    (record,) = explained(call(IDS), call(IDS, mask))
    assert record.outcome == "bypassed" and "'mask' is not a mask of 0 and 1 that begins with 1" in record.text
    mask[1, 0] = 2
    assert explained(call(IDS, mask), call(IDS))[0].outcome == "miss"


def test_masks_that_have_to_be_open_are_named() -> None:
    cut = replace(CUT, binary=(), ones=(1,))
    mask = np.ones_like(IDS)
    assert explained(call(IDS, mask), call(IDS, mask), cut)[0].outcome == "hit"
    mask[1, -1] = 0
    (record,) = explained(call(IDS), call(IDS, mask), cut)
    assert record.outcome == "bypassed" and "'mask' is not 1 everywhere" in record.text


@pytest.mark.parametrize("mask", [[[1, 0, 1]], [[1, 1, 1]], np.zeros((2, 0))])
def test_masks_of_zero_and_one_are_taken(mask: Array) -> None:
    assert CUT.closed_mask([None, np.asarray(mask)]) is None


def test_the_operators_are_told_of_masks() -> None:
    attributes = {a.name: a for a in (*CUT.attributes(), *CUT.lookup_attributes())}
    assert list(attributes["binary_inputs"].ints) == [1]
    values = {name: a.s if a.s else list(a.ints) if a.ints else a.i for name, a in attributes.items()}
    assert read_cut(values) == CUT


def test_the_operators_are_told_which_masks_have_to_be_open_by_negative_numbers() -> None:
    """A library that does not know of them refuses the model: it would not check what the proof believes."""
    cut = replace(CUT, ones=(0,))
    attributes = {a.name: a for a in (*cut.attributes(), *cut.lookup_attributes())}
    assert list(attributes["binary_inputs"].ints) == [1, -1]
    values = {name: a.s if a.s else list(a.ints) if a.ints else a.i for name, a in attributes.items()}
    assert read_cut(values) == cut
