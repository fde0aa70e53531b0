"""Keys of positions in a trace: equal exactly where everything up to there is equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from actcache.passes.choice.trace_keys import Place, TraceKeys
from actcache.passes.cuts import PrefixCut, TensorShape
from actcache.passes.cuts.prefix import MaskOpen, mask_open
from actcache.runs.hash_trace import hash_units
from actcache.runs.trace_key_file import load_keys, save_keys

IDS, MASK, STATES = Place("ids", 0, 1), Place("mask", 0, 1), Place("states", 0)
Calls = list[list[list[int]]]


def recorded(*calls: dict[str, np.ndarray]) -> TraceKeys:
    hashes = {place: [hash_units(call[place.tensor], place) for call in calls] for place in (IDS, MASK, STATES)}
    shapes = {place.tensor: [TensorShape.of(call[place.tensor]) for call in calls] for place in (IDS, MASK, STATES)}
    masks = {place: [mask_open(call[place.tensor], 1) for call in calls] for place in (IDS, MASK)}
    return TraceKeys(np.ones(len(calls)), hashes, shapes, masks)


def call(ids: list[list[int]], states: float = 0.0) -> dict[str, np.ndarray]:
    tokens = np.array(ids)
    return {"ids": tokens, "mask": np.ones_like(tokens), "states": np.full((len(ids), 2, 3), states, np.float32)}


CUT = PrefixCut(
    (0, 0, 0), (0,), frontier_positions=(1, 1, None), live_out_positions=(1,), live_out_ranks=(3,), binary=(1,)
)


def keys(*calls: dict[str, np.ndarray]) -> list[np.ndarray]:
    return recorded(*calls).keys([IDS, MASK, STATES], CUT)


def test_a_key_covers_all_before_it_in_its_row_and_nothing_else() -> None:
    first, longer, other, shifted = keys(call([[5, 6, 7]]), call([[5, 6, 7, 8]]), call([[5, 9, 7]]), call([[6, 7, 5]]))
    assert first.shape == (1, 3) and longer.shape == (1, 4)
    assert (first == longer[:, :3]).all()
    assert (first == other).tolist() == [[True, False, False]]
    assert not np.isin(shifted, first).any()
    (batch,) = keys(call([[1, 2, 3], [5, 6, 7]]))
    assert (batch[1] == first[0]).all() and not np.isin(batch[0], first).any()


def test_equal_tokens_at_other_positions_have_other_keys() -> None:
    (row,) = keys(call([[4, 4, 4, 4]]))
    assert len(np.unique(row)) == 4


def test_what_has_no_positions_is_in_every_key() -> None:
    plain, same, other = keys(call([[5, 6]]), call([[5, 6]]), call([[5, 6]], states=1.0))
    assert (plain == same).all() and not np.isin(other, plain).any()


def test_masks_that_have_to_be_open_decide_as_well() -> None:
    ended = call([[5, 6, 7]])
    ended["mask"][0, 2] = 0
    cut = replace(CUT, binary=(), ones=(1,))
    open_, closed = recorded(call([[5, 6, 7]]), ended).keys([IDS, MASK, STATES], cut)
    assert (open_.shape, closed.size) == ((1, 3), 0)
    assert keys(ended)[0].shape == (1, 3)


def test_calls_that_the_operators_do_not_look_up_have_no_keys() -> None:
    padded = call([[0, 5, 6]])
    padded["mask"][:, 0] = 0
    uneven = call([[1, 2]]) | {"mask": np.ones((1, 3), np.int64)}
    empty = call([[], []])
    assert [found.size for found in keys(padded, uneven, empty, call([[1, 2]]))] == [0, 0, 0, 2]


def test_the_file_between_the_processes_keeps_all_of_it(tmp_path: Path) -> None:
    made = recorded(call([[5, 6, 7]]), call([[1, 2], [3, 4]], states=1.0))
    save_keys(tmp_path / "keys.npz", made)
    read = load_keys(tmp_path / "keys.npz", [IDS, MASK, STATES])
    for one, other in zip(made.keys([IDS, MASK, STATES], CUT), read.keys([IDS, MASK, STATES], CUT), strict=True):
        assert one.size and (one == other).all()
    assert read.masks == {IDS: [MaskOpen.NO] * 2, MASK: [MaskOpen.ALL] * 2}
