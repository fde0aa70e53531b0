"""Programs that go on from what a language model has read: the tokens are the original's, and little is computed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from sequences import Array, Counts, Sequences, next_tokens, sequences

import actcache
from benchmarks.decoders import Decoder

MASKS = ("slice", "trilu", "compare")


@pytest.fixture
def model() -> Sequences:
    return sequences(Decoder())


def decoded(model: Sequences, session: ort.InferenceSession, ids: Array, count: int) -> Array:
    for _ in range(count):
        ids = np.concatenate([ids, next_tokens(session.run(None, model.feed(ids))[0])], 1)
    return ids


@pytest.mark.parametrize("mask", MASKS)
def test_a_decoding_loop_writes_the_same_and_computes_two_positions_a_step(mask: Any) -> None:
    model = sequences(Decoder(mask=mask))
    plain, compiled = model.plain(), model.session()
    ids = model.ids(1, 5)
    _, first = model.counted(compiled, ids)
    assert first == Counts(0, 5)
    for _ in range(24):
        expected = plain.run(None, model.feed(ids))[0]
        given, counts = model.counted(compiled, ids)
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)
        assert counts.misses <= 2 and counts.hits + counts.misses == ids.shape[1]
        ids = np.concatenate([ids, next_tokens(expected)], 1)
        assert np.array_equal(next_tokens(given), next_tokens(expected))


def test_a_call_that_was_made_before_is_found_as_a_whole(model: Sequences) -> None:
    session, ids = model.session(), model.ids(2, 9)
    first, cold = model.counted(session, ids)
    again, warm = model.counted(session, ids)
    assert (cold, warm) == (Counts(0, 18), Counts(18, 0))
    assert first.tobytes() == again.tobytes()


def test_requests_share_the_beginning_that_they_have_in_common(model: Sequences) -> None:
    plain, session = model.plain(), model.session()
    prompt = model.ids(1, 20, seed=1)
    session.run(None, model.feed(prompt))
    for seed, length in ((2, 7), (3, 2), (4, 12)):
        ids = np.concatenate([prompt, model.ids(1, length, seed)], 1)
        given, counts = model.counted(session, ids)
        np.testing.assert_allclose(given, plain.run(None, model.feed(ids))[0], rtol=0, atol=1e-5)
        assert counts == Counts(20, length)
    beginning, counts = model.counted(session, prompt[:, :11])
    assert counts == Counts(11, 0)
    np.testing.assert_allclose(beginning, plain.run(None, model.feed(prompt[:, :11]))[0], rtol=0, atol=1e-5)


def test_what_differs_at_the_first_position_shares_nothing(model: Sequences) -> None:
    session, ids = model.session(), model.ids(1, 12)
    session.run(None, model.feed(ids))
    ids[0, 0] = (ids[0, 0] + 1) % model.sizes.vocabulary
    given, counts = model.counted(session, ids)
    assert counts == Counts(0, 12)
    np.testing.assert_allclose(given, model.plain().run(None, model.feed(ids))[0], rtol=0, atol=1e-5)


def test_the_rows_of_a_batch_have_beginnings_of_their_own(model: Sequences) -> None:
    plain, session = model.plain(), model.session()
    ids = model.ids(3, 16)
    session.run(None, model.feed(ids[:1]))
    session.run(None, model.feed(ids[1:2, :10]))
    session.run(None, model.feed(ids[2:, :12]))
    ids = ids[::-1].copy()
    given, counts = model.counted(session, ids)
    np.testing.assert_allclose(given, plain.run(None, model.feed(ids))[0], rtol=0, atol=1e-5)
    assert counts == Counts(30, 18), "the shortest beginning decides: ten positions of three rows"
    assert model.counted(session, ids)[1] == Counts(48, 0)


def test_positions_that_padding_closes_need_no_cache_to_be_right() -> None:
    model = sequences(Decoder(padding=True))
    plain, session = model.plain(), model.session()
    ids = model.ids(2, 10)
    feed = model.feed(ids)
    session.run(None, feed)
    feed["attention_mask"][0, :4] = 0  # to the left: its first positions see nothing, and then everything
    for mask in (feed["attention_mask"], 1 - np.tri(10, dtype=np.int64)[[2, 5]], np.full_like(ids, 2)):
        given = {"input_ids": ids, "attention_mask": mask}
        expected = plain.run(None, given)[0]
        for _ in range(2):
            np.testing.assert_allclose(session.run(None, given)[0], expected, rtol=0, atol=1e-5)


def test_a_graph_that_takes_the_last_position_itself() -> None:
    model = sequences(Decoder(last=True))
    plain, session = model.plain(), model.session()
    ids = model.ids(1, 6)
    session.run(None, model.feed(ids))
    for _ in range(10):
        given, counts = model.counted(session, ids)
        expected = plain.run(None, model.feed(ids))[0]
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)
        assert counts.misses <= 2
        ids = np.concatenate([ids, next_tokens(expected)], 1)


def test_a_caller_that_reads_the_last_position_gets_nan_for_the_others() -> None:
    model = sequences(Decoder(), reads=("logits:last",))
    plain, session = model.plain(), model.session()
    ids = model.ids(2, 7)
    for length in (7, 2, 1):
        expected = plain.run(None, model.feed(ids[:, :length]))[0]
        given = session.run(None, model.feed(ids[:, :length]))[0]
        assert given.shape == expected.shape and np.isnan(given[:, :-1]).all()
        np.testing.assert_allclose(given[:, -1], expected[:, -1], rtol=0, atol=1e-5)
    assert np.array_equal(decoded(model, session, ids, 20), decoded(model, plain, ids, 20))


def test_namespaces_share_no_beginnings(model: Sequences) -> None:
    ids = model.ids(1, 8)
    one, two = model.session("one"), model.session("two")
    one.run(None, model.feed(ids))
    assert model.counted(two, ids)[1] == Counts(0, 8)


def test_threads_that_decode_at_once_write_what_each_writes_alone(model: Sequences) -> None:
    plain, session = model.plain(), model.session()
    prompt = model.ids(1, 6, seed=5)
    starts = [np.concatenate([prompt, model.ids(1, 2, seed)], 1) for seed in range(6)]
    expected = [decoded(model, plain, ids, 12) for ids in starts]
    found: dict[int, Array] = {}

    def write(number: int) -> None:
        found[number] = decoded(model, session, starts[number], 12)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(starts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(len(starts)))
    assert all(np.array_equal(found[number], ids) for number, ids in enumerate(expected))


def test_a_budget_that_holds_little_changes_no_token(model: Sequences) -> None:
    plain, session = model.plain(), model.session()
    ids = model.ids(1, 4, seed=6)
    budget = actcache.configuration()["budget_bytes"]
    actcache.configure(budget_bytes=20_000)
    try:
        assert np.array_equal(decoded(model, session, ids, 30), decoded(model, plain, ids, 30))
    finally:
        actcache.configure(budget_bytes=budget)


def test_calls_without_positions_or_rows_are_the_originals(model: Sequences) -> None:
    plain, session = model.plain(), model.session()
    checked = 0
    for shape in ((1, 0), (0, 3), (1, 1), (2, 1)):
        ids = np.zeros(shape, np.int64)
        try:
            expected = plain.run(None, model.feed(ids))[0]
        except Exception:  # whatever onnxruntime raises: then the compiled model need not run it
            continue
        for _ in range(2):
            given = session.run(None, model.feed(ids))[0]
            assert given.shape == expected.shape
            np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)
        checked += 1
    assert checked >= 2
