"""How calls are divided: what Python says of thousands of random calls is what the operators decide."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from actcache.base.library import library
from actcache.passes.cuts import CUTS, Cut, OneUnit, PrefixCut, RowCut, TensorShape, Units, WholeCut, read_cut
from actcache.passes.cuts.conditions import MOST_UNITS, SizeRule

T = onnx.TensorProto
TYPES = (T.FLOAT, T.STRING, T.INT4, T.UINT4, T.BOOL, T.FLOAT16, T.COMPLEX128, T.FLOAT8E5M2)


def numbers(values: Sequence[int] | None, kind: Any = ctypes.c_int64) -> Any:
    return None if values is None else (kind * len(values))(*values)


def units_of_library(cut: Cut, frontier: Sequence[TensorShape]) -> tuple[int, int]:
    """Ask the operators: the number of units, and the number of the reason."""
    attributes = {a.name: list(a.ints) for a in cut.lookup_attributes()}
    equations = attributes.get("size_equations", [])
    why = ctypes.c_int(-1)
    of_prefixes = isinstance(cut, PrefixCut)
    function = library().handle.actcache_prefix_units if of_prefixes else library().handle.actcache_units
    function.restype = ctypes.c_int64
    blocks = (
        [numbers(attributes["input_position_axes"]), ctypes.c_size_t(cut.block)] if isinstance(cut, PrefixCut) else []
    )
    count = function(
        ctypes.c_size_t(len(frontier)),
        numbers([tensor.dtype for tensor in frontier], ctypes.c_int32),
        numbers([len(tensor.sizes) for tensor in frontier], ctypes.c_size_t),
        numbers([size for tensor in frontier for size in tensor.sizes]),
        numbers(None if isinstance(cut, WholeCut) else attributes["input_row_axes"]),
        *blocks,
        numbers(attributes.get("input_ranks")),
        numbers(equations),
        ctypes.c_size_t(len(equations)),
        ctypes.byref(why),
    )
    return int(count), why.value


def random_cut(rng: np.random.Generator, tensors: int) -> Cut:
    def axis() -> int | None:
        return None if rng.random() < 0.3 else int(rng.integers(2))

    def place() -> tuple[int, int]:
        return int(rng.integers(tensors)), int(rng.integers(3))

    if rng.random() < 0.05:
        return WholeCut.of(tensors, 1)
    rules = [
        SizeRule(place(), int(rng.integers(-1, 2)), tuple(place() for _ in range(rng.integers(3))))
        for _ in range(rng.integers(3) * rng.integers(2))
    ]
    ranks = tuple(None if rng.random() < 0.5 else int(rng.integers(1, 4)) for _ in range(tensors))
    if rng.random() < 0.5:
        rows = [axis() if rng.random() < 0.5 else None for _ in range(tensors)]
        return PrefixCut(
            tuple(rows),
            (0,),
            frontier_positions=tuple(None if rng.random() < 0.2 else 0 if row == 1 else 1 for row in rows),
            live_out_positions=(1,),
            live_out_ranks=(2,),
            block=int(rng.integers(1, 4)),
            sizes=tuple(rules[:1]),
            ranks=ranks if rng.random() < 0.2 else (),
        )
    return RowCut(
        tuple(axis() for _ in range(tensors)),
        (0,),
        sizes=tuple(rules),
        ranks=ranks if rng.random() < 0.3 else (),
    )


def random_call(rng: np.random.Generator, tensors: int) -> list[TensorShape]:
    """Mostly one number of rows on every axis; now and then none, a broadcast batch of 1, or far too many."""
    rows = int(rng.choice([0, 1, 2, 3, MOST_UNITS, MOST_UNITS + 1], p=[0.1, 0.2, 0.2, 0.3, 0.1, 0.1]))

    def size() -> int:
        return rows if rng.random() < 0.9 else int(rng.integers(4))

    few = TYPES[:2] if rng.random() < 0.8 else TYPES
    return [
        TensorShape(
            tuple(size() for _ in range(rng.choice([0, 1, 2, 3], p=[0.05, 0.15, 0.5, 0.3]))), int(rng.choice(few))
        )
        for _ in range(tensors)
    ]


def test_python_and_the_operators_divide_calls_alike() -> None:
    rng = np.random.default_rng(11)
    seen: Counter[tuple[str, OneUnit]] = Counter()
    empty = 0
    for _ in range(6000):
        tensors = int(rng.integers(1, 4))
        cut, call = random_cut(rng, tensors), random_call(rng, tensors)
        units = cut.units(call)
        assert (units.count, units.why) == units_of_library(cut, call), (cut, call)
        assert units.divided == (units.text == "")
        seen[cut.granularity, units.why] += 1
        empty += units.count == 0 and units.divided
    assert {why for _, why in seen} == set(OneUnit) - {OneUnit.MASK} and min(seen.values()) > 50, seen  # no values here
    assert {why for granularity, why in seen if granularity == "prefix"} == set(OneUnit) - {
        OneUnit.BY_CALLS,
        OneUnit.MASK,
    }
    assert empty > 50


@pytest.mark.parametrize(
    "cut",
    [
        WholeCut.of(2, 3),
        RowCut((0, None), (1,)),
        RowCut(
            (0, 1, None), (0, 0), 2, 1, (SizeRule((0, 1), 3, ((1, 0), (2, 2))), SizeRule((2, 0), 7, ())), (2, None, 0)
        ),
        PrefixCut((None,), (None,), frontier_positions=(1,), live_out_positions=(1,), live_out_ranks=(3,)),
        PrefixCut(
            (0, 0, None),
            (0, 1),
            frontier_positions=(1, None, 0),
            live_out_positions=(1, 3),
            live_out_ranks=(3, 5),
            live_out_sizes=((None, None, 8), (2, None, 4, None, 0)),
            states=1,
            block=16,
            min_suffix=4,
            sizes=(SizeRule((0, 1), 3, ((2, 0),)),),
            ranks=(2, None, 1),
        ),
    ],
)
def test_a_cut_is_read_back_from_its_attributes(cut: Cut) -> None:
    attributes = [*cut.attributes(), *cut.lookup_attributes()]
    names = [attribute.name for attribute in attributes]
    assert len(names) == len(set(names)) and all(a.ints or a.s or a.i for a in attributes)  # none is an empty list
    assert read_cut({a.name: onnx.helper.get_attribute_value(a) for a in attributes}) == cut


def test_every_granularity_has_a_cut() -> None:
    assert [(name, cut.granularity) for name, cut in CUTS.items()] == [
        (name, name) for name in ("row", "prefix", "tensor")
    ]


def test_why_a_call_is_one_unit_is_said_in_words() -> None:
    cut = RowCut((0, 0), (0,), sizes=(SizeRule((0, 1), 1, ((1, 1),)),))
    assert cut.units([TensorShape((4, 3)), TensorShape((4, 2))], ["a", "b"]) == Units(4)
    one = cut.units([TensorShape((4, 3)), TensorShape((4, 4))], ["a", "b"])
    assert (one.why, one.text) == (OneUnit.SIZES, "a[1] = b[1] + 1 does not hold: 3 is not 5")
    one = cut.units([TensorShape((4, 3), T.INT4), TensorShape((4, 4))], ["a", "b"])
    assert (one.why, one.text) == (OneUnit.PART_BYTES, "the rows of 'a' are not whole bytes")
    one = cut.units([TensorShape((4, 3)), TensorShape((1, 2))], ["a", "b"])
    assert (one.why, one.text) == (OneUnit.UNEQUAL, "its inputs have different numbers of rows: 'a' 4, 'b' 1")


def test_blocks_of_positions_and_why_there_are_none() -> None:
    cut = PrefixCut(
        (0, 0),
        (0,),
        frontier_positions=(1, None),
        live_out_positions=(1,),
        live_out_ranks=(3,),
        block=4,
        ranks=(2, None),
    )
    assert cut.compact_axes == (1, None)
    ids, names = TensorShape((2, 11), T.INT64), ["ids", "audio"]
    assert cut.units([ids, TensorShape((2, 5))], names) == Units(4)
    assert cut.units([TensorShape((2, 3)), TensorShape((2, 5))], names) == Units(0)
    none = cut.units([ids, TensorShape((3, 5))], names)
    text = "its inputs have different numbers of rows: 'ids' 2, 'audio' 3"
    assert (none.count, none.why, none.text) == (0, OneUnit.UNEQUAL, text)
    none = cut.units([TensorShape((2, 11, 1)), TensorShape((2, 5))], names)
    assert (none.count, none.why, none.text) == (0, OneUnit.RANK, "'ids' has 3 axes, its positions are proven for 2")
    none = cut.units([TensorShape((2, MOST_UNITS)), TensorShape((2, 5))], names)
    assert (none.count, none.why) == (0, OneUnit.TOO_MANY)


def test_the_shape_of_whatever_is_fed() -> None:
    assert TensorShape.of(np.zeros((2, 3), np.int64)) == TensorShape((2, 3), T.INT64)
    assert TensorShape.of(np.array([["a"]], object)) == TensorShape((1, 1), T.STRING)
    assert TensorShape.of([np.zeros(2)]) == TensorShape.of(None) == TensorShape(())
