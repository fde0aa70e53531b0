"""Language models of LSTM layers: a call goes on where an earlier one ended, and answers as the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hand_written import Control
from recurrent_models import (
    GIVEN_INPUTS,
    GIVEN_STATE,
    LSTM_AND_GRU,
    WIDTH,
    WORDS,
    Checked,
    Recurrent,
    compiled,
    recurrent_model,
    words,
)
from sequences import Counts

import actcache
from actcache.inspection.regions import inspect_model


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    return compiled(recurrent_model(), tmp_path_factory.mktemp("two"))


@pytest.fixture
def model(two: Recurrent) -> Recurrent:
    """With a namespace of its own."""
    return Recurrent(two.original, two.result)


def test_a_loop_that_decodes_computes_two_positions_a_step(model: Recurrent) -> None:
    call, ids = Checked(model), words(1, 5)
    assert call(ids) == Counts(0, 5)
    for length in range(6, 30):
        ids = np.concatenate([ids, words(1, 1, length)], 1)
        assert call(ids) == Counts(length - 2, 2)
    assert call(ids) == Counts(29, 0)


@pytest.mark.parametrize("more", [1, 2, 3, 17])
def test_appended_positions_cost_their_own_length_and_one_more(model: Recurrent, more: int) -> None:
    call, ids = Checked(model), words(2, 20 + more)
    call(ids[:, :20])
    assert call(ids) == Counts(2 * 19, 2 * (more + 1))


def test_a_call_goes_on_from_the_last_end_that_it_knows(model: Recurrent) -> None:
    call, ids = Checked(model), words(1, 24)
    call(ids[:, :8])
    call(ids)
    other = np.concatenate([ids[:, :16], words(1, 5, seed=1)], 1)
    assert call(other) == Counts(7, 14), "16 positions are known; the state is, behind the eighth"
    assert call(ids[:, :16]) == Counts(16, 0)
    assert call(np.concatenate([other, words(1, 3, seed=2)], 1)) == Counts(20, 4)
    assert call(np.concatenate([ids[:, :16], words(1, 4, seed=3)], 1)) == Counts(15, 5), "two calls went on from there"
    changed = ids.copy()
    changed[0, 3] = (changed[0, 3] + 1) % WORDS
    assert call(changed) == Counts(0, 24)


def test_requests_share_a_beginning_from_the_third_on(model: Recurrent) -> None:
    call, prompt = Checked(model), words(2, 20)
    found = [call(np.concatenate([prompt, words(2, 5, seed)], 1)) for seed in range(1, 5)]
    assert found == [Counts(0, 50), Counts(0, 50), Counts(38, 12), Counts(38, 12)]


def test_rows_go_on_together_where_all_of_them_can(model: Recurrent) -> None:
    call, ids = Checked(model), words(3, 18)
    call(ids[:2, :9])
    call(ids[2:, :9])
    assert call(ids[::-1, :12]) == Counts(3 * 8, 3 * 4)
    call(ids[:1])
    assert call(ids) == Counts(3 * 11, 3 * 7), "the first row is known to its end, the others to the twelfth"
    longer = np.concatenate([ids, words(3, 2, seed=1)], 1)
    assert call(longer) == Counts(3 * 17, 3 * 3)


def test_an_entry_inside_a_longer_call_gets_an_end_once_a_call_ends_there(model: Recurrent) -> None:
    call, ids = Checked(model), words(2, 14)
    call(ids[:1])
    call(ids[:, :9])  # the second row is new; the first is computed with it, and ends here for the first time
    assert call(np.concatenate([ids[:1, :9], words(1, 4, seed=1)], 1)) == Counts(8, 5)


def test_random_calls_are_the_originals(model: Recurrent) -> None:
    call, random = Checked(model), np.random.default_rng(14)
    known, found = [words(2, 6)], 0
    for _ in range(60):
        ids = known[int(random.integers(len(known)))]
        match int(random.integers(5)):
            case 0:
                ids = np.concatenate([ids, random.integers(0, WORDS, (len(ids), int(random.integers(1, 6))))], 1)
            case 1:
                ids = ids[:, : int(random.integers(1, ids.shape[1] + 1))]
            case 2:
                ids = ids.copy()
                ids[int(random.integers(len(ids))), int(random.integers(ids.shape[1])) :] = 1
            case 3:
                rows = random.integers(len(ids), size=int(random.integers(1, 4)))
                ids = ids[rows]
            case _:
                cut = int(random.integers(1, ids.shape[1] + 1))
                ids = np.concatenate([ids[:, :cut], random.integers(0, WORDS, (len(ids), 3))], 1)
        known.append(ids)
        found += call(ids).hits
    assert found > 300


@pytest.mark.parametrize("shape", [(1, 0), (1, 1), (3, 1), (1, 2)])
def test_small_calls_are_the_originals(model: Recurrent, shape: tuple[int, int]) -> None:
    call, ids = Checked(model), words(shape[0], 4)
    for _ in range(2):
        call(ids[:, : shape[1]])
    call(ids)


def test_what_the_caller_says_is_remembered_belongs_to_the_beginning(tmp_path: Path) -> None:
    call, random = (
        Checked(compiled(recurrent_model(GIVEN_STATE, GIVEN_INPUTS), tmp_path, verify=False)),
        np.random.default_rng(1),
    )
    ids, states = words(1, 9), [{n: random.standard_normal((1, 1, WIDTH), np.float32) for n in ("h0", "c0")}]
    states += [{**states[0], "c0": states[0]["c0"] + 1}, {n: np.zeros_like(a) for n, a in states[0].items()}]
    for given in states:
        assert call(ids[:, :6], **given) == Counts(0, 6)
        assert call(ids, **given) == Counts(5, 4)
    assert call(ids, **states[0]) == Counts(9, 0)


def test_an_lstm_beside_a_layer_that_tells_all_it_remembers(tmp_path: Path) -> None:
    model = compiled(recurrent_model(LSTM_AND_GRU), tmp_path, verify=False)
    call, ids = Checked(model), words(2, 15)
    call(ids[:, :8])
    assert call(ids) == Counts(2 * 7, 2 * 8)
    assert any("where an earlier call ended" in line for line in model.result.explain), model.result.explain
    (region,) = inspect_model(model.result.output)["regions"]
    assert len(region["states"]) == 1 and len(region["ends"]) == 2


def test_hits_that_are_computed_again_agree(model: Recurrent, control: Control) -> None:
    call, ids = Checked(model), words(2, 12)
    call(ids[:, :7])
    call(ids)
    control.configure("verify_fraction", "1")
    name = model.result.regions[0].candidate.region.id
    before = actcache.stats()["regions"][name]
    for length in (7, 12, 9, 12):
        assert call(ids[:, :length]) == Counts(0, 2 * length)
    after = actcache.stats()["regions"][name]
    assert after["verified"] - before["verified"] == 2 * (7 + 12 + 9 + 12)
    assert after["mismatches"] == before["mismatches"] == 0


def test_a_budget_that_holds_little_changes_no_answer(model: Recurrent) -> None:
    call, ids = Checked(model), words(1, 40)
    budget = actcache.configuration()["budget_bytes"]
    actcache.configure(budget_bytes=12_000)
    try:
        for length in range(4, 40):
            call(ids[:, :length])
    finally:
        actcache.configure(budget_bytes=budget)


def test_what_it_ends_with_comes_back_from_a_disk(model: Recurrent, control: Control, tmp_path: Path) -> None:
    control.configure("disk_path", str(tmp_path / "store"))
    try:
        call, ids = Checked(model), words(1, 20)
        call(ids[:, :12])
        assert actcache.flush(60)
        control.invalidate()
        assert call(ids) == Counts(11, 9)
    finally:
        control.configure("disk_path", "")
