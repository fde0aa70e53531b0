"""Language models of Scan layers: a call goes on where an earlier one ended, or from anywhere. It answers rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recurrent_models import (
    BEGINNINGS,
    SPACE,
    TWO_SCANS,
    WIDTH,
    Checked,
    Recurrent,
    compiled,
    random_calls,
    recurrent_model,
    words,
)
from sequences import Counts

from actcache.inspection.regions import inspect_model

_STEP = f"body = step (float[B, {WIDTH}] was, float[B, {WIDTH}] new) => (float[B, {WIDTH}] is, float[B, {WIDTH}] out)"
LARGEST = f"""{BEGINNINGS} l_n, last = Scan(zeros, x) <num_scan_inputs = 1,
    {_STEP} {{ is = Max(was, new) out = Identity(is) }}>"""
#: What one row of the batch carries depends on the others.
TOGETHER = f"""{BEGINNINGS} l_n, last = Scan(zeros, x) <num_scan_inputs = 1,
    {_STEP} {{ mean = ReduceMean<axes = [0]>(new) less = Sub(new, mean) is = Add(was, less) out = Tanh(is) }}>"""
STATE = f"float[B, {WIDTH}, {SPACE}] b_n"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    return compiled(recurrent_model(TWO_SCANS), tmp_path_factory.mktemp("two"))


@pytest.fixture
def model(two: Recurrent) -> Recurrent:
    """With a namespace of its own."""
    return Recurrent(two.original, two.result)


def test_what_is_carried_is_kept_once_in_a_call(two: Recurrent) -> None:
    (region,) = inspect_model(two.result.output)["regions"]
    ends = {end["name"]: end for end in region["ends"]}
    assert sorted(ends) == ["a.output1", "a.state0", "last.output1", "last.state0"]
    assert ends["a.state0"]["shape"][2:] == [WIDTH, SPACE] and ends["a.state0"]["row_axis"] == 1
    assert ends["a.output1"]["row_axis"] == 1 and all(end["position_axis"] == 0 for end in ends.values())
    assert any("where an earlier call ended" in line for line in two.result.explain), two.result.explain


@pytest.mark.parametrize("more", [1, 2, 17])
def test_appended_positions_cost_their_own_length_and_one_more(model: Recurrent, more: int) -> None:
    call, ids = Checked(model), words(2, 20 + more)
    assert call(ids[:, :20]) == Counts(0, 40)
    assert call(ids) == Counts(2 * 19, 2 * (more + 1))
    assert call(ids) == Counts(2 * (20 + more), 0)


def test_a_loop_that_decodes_computes_two_positions_a_step(model: Recurrent) -> None:
    call, ids = Checked(model), words(1, 5)
    call(ids)
    for length in range(6, 20):
        ids = np.concatenate([ids, words(1, 1, length)], 1)
        assert call(ids) == Counts(length - 2, 2)


def test_requests_share_a_beginning_from_the_third_on(model: Recurrent) -> None:
    call, prompt = Checked(model), words(2, 20)
    found = [call(np.concatenate([prompt, words(2, 5, seed)], 1)) for seed in range(1, 5)]
    assert found == [Counts(0, 50), Counts(0, 50), Counts(38, 12), Counts(38, 12)]


def test_random_calls_are_the_originals(model: Recurrent) -> None:
    assert random_calls(Checked(model), 60) > 100


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 2)])
def test_small_calls_are_the_originals(model: Recurrent, shape: tuple[int, int]) -> None:
    call, ids = Checked(model), words(shape[0], 4)
    for _ in range(2):
        call(ids[:, : shape[1]])
    call(ids)


def test_what_is_carried_last_may_be_an_output(tmp_path: Path) -> None:
    call, ids = Checked(compiled(recurrent_model(TWO_SCANS, outputs=STATE), tmp_path, verify=False)), words(2, 12)
    call(ids[:, :7])
    assert call(ids) == Counts(2 * 6, 2 * 6)
    assert call(ids) == Counts(2 * 12, 0)
    assert call(ids[:, :9]) == Counts(2 * 6, 2 * 3), "nine are known, but not what is carried there"
    assert random_calls(call, 30) > 30


def test_what_is_handed_out_at_each_position_goes_on_from_anywhere(tmp_path: Path) -> None:
    model = compiled(recurrent_model(LARGEST, outputs=f"float[B, {WIDTH}] l_n"), tmp_path)
    (region,) = inspect_model(model.result.output)["regions"]
    assert not region["ends"] and [state["name"] for state in (*region["states"], *region["live_outs"])]
    call, ids = Checked(model), words(2, 12)
    call(ids)
    assert call(ids[:, :5]) == Counts(10, 0)
    assert call(np.concatenate([ids[:, :7], words(2, 3, seed=1)], 1)) == Counts(14, 6)


def test_where_the_body_mixes_rows_a_batch_is_one(tmp_path: Path) -> None:
    call, ids = Checked(compiled(recurrent_model(TOGETHER), tmp_path, verify=False)), words(3, 12)
    call(ids[:, :8])
    assert call(ids) == Counts(7, 5)
    assert call(ids[:1]) == Counts(0, 12)


def test_what_stands_before_a_loop_is_cached(tmp_path: Path) -> None:
    """The loop goes over the positions backwards."""
    layers = f"""{BEGINNINGS} a_n, a = Scan(zeros, x) <num_scan_inputs = 1,
        {_STEP} {{ is = Max(was, new) out = Identity(is) }}>
        one1 = Constant<value_int = 1>() length0 = Gather(sizes, one1) yes = Constant<value_ints = [1]>()
        go0 = Cast<to = 9>(yes) go = Squeeze(go0)
        c_n, last = Loop(length0, go, zeros) <body = back (int64 i, bool on, float[B, {WIDTH}] was) =>
            (bool still, float[B, {WIDTH}] is, float[B, {WIDTH}] out)
            {{ still = Identity(on) at1 = Sub(length0, i) at = Sub(at1, one1) v = Gather(a, at) is = Add(was, v)
               out = Tanh(is) }}>"""
    model = compiled(recurrent_model(layers), tmp_path, verify=False)
    (region,) = inspect_model(model.result.output)["regions"]
    assert [out["name"] for out in region["live_outs"]] == ["a"]
    assert any("write it as a Scan" in line for line in model.result.explain), model.result.explain
    call, ids = Checked(model), words(2, 12)
    call(ids[:, :8])
    assert call(ids) == Counts(16, 8)
