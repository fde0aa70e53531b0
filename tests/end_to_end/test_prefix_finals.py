"""What recurrences remember behind the last position, h and c, as outputs of a model: each call has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recurrent_models import GIVEN_INPUTS, WIDTH, Checked, Recurrent, compiled, random_calls, recurrent_model, words
from sequences import Counts

from actcache.inspection.regions import inspect_model

STATES = f"float[N, B, {WIDTH}] h_n, float[N, B, {WIDTH}] c_n"
STATE = f"float[1, B, {WIDTH}] h_n"
LSTM = f"LSTM<hidden_size = {WIDTH}>"
#: As PyTorch exports two layers.
TWO_LSTM = f"""
    a0, a1, a2 = {LSTM}(x, lstm_w, lstm_r, lstm_b)  a = Squeeze(a0, one)
    b0, b1, b2 = {LSTM}(a, lstm_r, lstm_w, lstm_b)  last = Squeeze(b0, one)
    h_n = Concat<axis = 0>(a1, b1)  c_n = Concat<axis = 0>(a2, b2)
"""
#: A stream: a call begins with what the one before ended with.
STREAM = f"a0, h_n, c_n = {LSTM}(x, lstm_w, lstm_r, , , h0, c0)  last = Squeeze(a0, one)"
GRU = f"g0, h_n = GRU<hidden_size = {WIDTH}>(x, gru, gru)  last = Squeeze(g0, one)"
LSTM_AND_GRU = f"""
    a0, a1, c_n = {LSTM}(x, lstm_w, lstm_r)  a = Squeeze(a0, one)
    g0, h_n = GRU<hidden_size = {WIDTH}>(a, gru, gru)  last = Squeeze(g0, one)
"""
ONLY_STATES = f"a0, h_n, c_n = {LSTM}(x, lstm_w, lstm_r)"


def made(folder: Path, layers: str, outputs: str = STATES, **more: Any) -> Checked:
    return Checked(compiled(recurrent_model(layers, outputs=outputs, **more), folder, verify=False))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Recurrent:
    return compiled(recurrent_model(TWO_LSTM, outputs=STATES), tmp_path_factory.mktemp("two"))


@pytest.fixture
def call(two: Recurrent) -> Checked:
    """With a namespace of its own."""
    return Checked(Recurrent(two.original, two.result))


def test_they_are_those_of_the_end_of_each_call(call: Checked) -> None:
    ids = words(2, 20)
    assert call(ids[:, :9]) == Counts(0, 18)
    assert call(ids[:, :9]) == Counts(18, 0)
    assert call(ids) == Counts(16, 24)
    assert call(ids[:, :9]) == Counts(18, 0), "entries of the end keep what they have"
    assert call(ids) == Counts(40, 0)


def test_a_call_that_ends_where_none_did_is_computed_from_an_earlier_end(call: Checked) -> None:
    ids = words(2, 20)
    call(ids[:, :7])
    call(ids)
    assert call(ids[:, :12]) == Counts(12, 12), "twelve are known, but not what is remembered there"
    assert call(ids[:, :12]) == Counts(24, 0)
    assert call(ids[:, :1]) == Counts(0, 2)
    assert call(ids[:, :1]) == Counts(2, 0)


def test_a_loop_that_decodes_computes_two_positions_a_step(call: Checked) -> None:
    ids = words(1, 4)
    call(ids)
    for length in range(5, 15):
        ids = np.concatenate([ids, words(1, 1, length)], 1)
        assert call(ids) == Counts(length - 2, 2)


@pytest.mark.parametrize("layers", [GRU, LSTM_AND_GRU], ids=["gru", "lstm and gru"])
def test_random_calls_of_other_layers(layers: str, tmp_path: Path) -> None:
    assert random_calls(made(tmp_path, layers, STATE if layers is GRU else STATES), 40) > 60


def test_random_calls(call: Checked) -> None:
    assert random_calls(call, 80) > 150


def test_a_gru_goes_on_from_any_position(tmp_path: Path) -> None:
    call, ids = made(tmp_path, GRU, STATE), words(2, 12)
    call(ids)
    assert call(ids[:, :5]) == Counts(10, 0)
    assert call(np.concatenate([ids[:, :7], words(2, 3, seed=1)], 1)) == Counts(14, 6)


def test_they_may_be_all_that_callers_read(tmp_path: Path) -> None:
    call = made(tmp_path, ONLY_STATES, head="")
    assert random_calls(call, 30) > 30


@pytest.mark.parametrize("rows", [1, 3])
def test_a_stream_hands_them_on_from_call_to_call(tmp_path: Path, rows: int) -> None:
    call, ids = made(tmp_path, STREAM, inputs=GIVEN_INPUTS), words(rows, 12)

    def streamed(first: float) -> list[Counts]:
        state = {name: np.full((1, rows, WIDTH), first, np.float32) for name in ("h0", "c0")}
        found = []
        for start in range(0, 12, 4):
            chunk = ids[:, start : start + 4]
            found.append(call(chunk, **state))
            _, h, c = call.plain.run(None, {"ids": chunk, **state})
            state = {"h0": h, "c0": c}
        return found

    new, known = [Counts(0, 4 * rows)] * 3, [Counts(4 * rows, 0)] * 3
    assert streamed(0) == new
    assert streamed(0) == known
    assert streamed(0.5) == new, "it began in another way"
    assert streamed(0.5) == known


def test_tokens_may_come_with_their_positions_first(tmp_path: Path) -> None:
    layers = f"a0, h_n, c_n = {LSTM}(e, lstm_w, lstm_r, , , h0, c0)  last = Squeeze(a0, one)"
    model = recurrent_model(layers, GIVEN_INPUTS, STATES, head="logits = MatMul(last, head)")
    for value, sizes in ((model.graph.input[0], ("S", "B")), (model.graph.output[0], ("S", "B"))):
        for size, dim in zip(sizes, value.type.tensor_type.shape.dim, strict=False):
            dim.dim_param = size
    ids, state = words(12, 2), {name: np.ones((1, 2, WIDTH), np.float32) for name in ("h0", "c0")}
    call = Checked(compiled(model, tmp_path, samples=[{"ids": ids, **state}]))
    assert call.model.result.regions[0].candidate.region.positions == {"ids": 0}
    assert call(ids[:8], **state) == Counts(0, 16)
    assert call(ids, **state) == Counts(14, 10)
    assert call(ids, **state) == Counts(24, 0)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2)])
def test_small_calls_are_the_originals(call: Checked, shape: tuple[int, int]) -> None:
    """Of no position at all, onnxruntime hands out memory as it was: there is nothing to agree with."""
    ids = words(shape[0], 4)
    for _ in range(2):
        call(ids[:, : shape[1]])
    call(ids)


def test_what_is_kept_is_counted_once_in_a_call(two: Recurrent) -> None:
    (region,) = two.result.regions
    found = inspect_model(two.result.output)["regions"][0]
    ends = {end["name"] for end in found["ends"]}
    assert ends == {"a0.h", "a0.c", "b0.h", "b0.c"}
    kept = region.candidate.kept_bytes
    assert all(kept[end] == pytest.approx(4 * WIDTH / 14) for end in ends), "the sample has 14 positions"
    assert region.candidate.entry_bytes == pytest.approx(sum(kept.values()))
    assert {final["name"] for final in found["finals"]} == {"a1", "b1", "a2", "b2"}
    assert all(final["type"] == "float" for final in found["finals"])
    assert set(region.to_json()["live_outs"]) == {"logits", "a1", "b1", "a2", "b2"}
