"""Models with ``past_key_values``: first calls know beginnings; later ones are computed as they are, and not stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from sequences import Array, Counts, Feed, next_tokens, sequences

import actcache
from actcache.inspection.regions import inspect_model
from actcache.passes.graph.nodes import all_nodes
from benchmarks.decoders import Decoder

#: The past alone tells its later calls from first ones.
GPT2 = Decoder(layers=1, past=True, mask="slice")
LLAMA = Decoder(past=True, padding=True, position_ids=True, rotary=True, groups=2)
NOTHING = Counts(0, 0)


def stored_bytes() -> int:
    """What the store holds."""
    found: int = actcache.stats()["store"]["bytes"]
    return found


class Pair:
    """A session of each model; every call is made by both."""

    def __init__(self, sizes: Decoder, **asked: Any) -> None:
        self.model = sequences(sizes, **asked)
        self.plain, self.session = self.model.plain(), self.model.session()

    def call(self, feed: Feed) -> tuple[list[Array], Counts]:
        """Make a call; hold all outputs to the original's."""
        expected = self.plain.run(None, feed)
        given, counts = self.model.outputs(self.session, feed)
        for mine, other in zip(given, expected, strict=True):
            assert mine.shape == other.shape
            np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)
        return expected, counts

    def first(self, ids: Array) -> tuple[list[Array], Counts]:
        """Make the first call of a sequence."""
        return self.call(self.model.feed(ids))

    def decode(self, ids: Array, steps: int) -> Array:
        """Make a first call and the calls behind it, a token each; return the tokens."""
        results, _ = self.first(ids)
        for _ in range(steps):
            token = next_tokens(results[0])
            ids = np.concatenate([ids, token], 1)
            results, counts = self.call(self.model.feed(token, results[1:]))
            assert counts == NOTHING
            assert results[1].shape[2] == ids.shape[1]
        return ids


#: Operators that take the past themselves; the lengths of their rows are counted in the mask.
GROUPED = Decoder(layers=2, past=True, padding=True, attention="GroupQueryAttention", groups=2, rotary=True, heads=2)
HEADS = Decoder(layers=1, past=True, padding=True, attention="MultiHeadAttention")


@pytest.fixture(params=[GPT2, LLAMA, GROUPED, HEADS], ids=["gpt2", "llama", "grouped", "heads"])
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def test_a_prompt_is_found_again_and_a_longer_one_goes_on_from_it(pair: Pair) -> None:
    ids = pair.model.ids(2, 12)
    assert pair.first(ids)[1] == Counts(0, 24)
    assert pair.first(ids)[1] == Counts(24, 0)
    longer = np.concatenate([ids, pair.model.ids(2, 5, seed=1)], 1)
    assert pair.first(longer)[1] == Counts(24, 10)
    assert pair.first(longer[:, :7])[1] == Counts(14, 0)
    assert pair.first(longer[:1, :1])[1] == Counts(1, 0)


def test_later_calls_between_first_ones_are_right_and_store_nothing(pair: Pair) -> None:
    prompt = pair.model.ids(1, 9, seed=2)
    stored = stored_bytes()
    pair.first(prompt)
    first = stored_bytes()
    assert first > stored
    for end in (3, 4):
        ids = np.concatenate([prompt, pair.model.ids(1, 3, seed=end)], 1)
        pair.first(ids)
        before = stored_bytes()
        pair.decode(ids, 6)
        assert stored_bytes() == before
    assert pair.first(prompt)[1] == Counts(9, 0)


def test_several_tokens_at_once_behind_a_past(pair: Pair) -> None:
    rows = 1 if pair.model.sizes.attention == "GroupQueryAttention" else 2  # onnxruntime refuses more
    ids = pair.model.ids(rows, 11, seed=5)
    results, _ = pair.first(ids[:, :4])
    assert pair.call(pair.model.feed(ids[:, 4:], results[1:]))[1] == NOTHING
    assert pair.call(pair.model.feed(ids[:, :4], results[1:]))[1] == NOTHING, "known tokens, but behind others"


def test_the_rows_of_a_batch_have_beginnings_of_their_own(pair: Pair) -> None:
    ids = pair.model.ids(2, 10, seed=6)
    pair.first(ids[:1])
    pair.first(ids[1:, :6])
    assert pair.first(ids[::-1].copy())[1] == Counts(12, 8)


def test_lengths_that_a_mask_shortens_are_not_known_in_advance() -> None:
    pair = Pair(GROUPED)
    ids = pair.model.ids(2, 8, seed=11)
    feed = pair.model.feed(ids)
    assert pair.call(feed)[1] == Counts(0, 16)
    shorter = feed["attention_mask"].copy()
    shorter[0, 5:] = 0
    for _ in range(2):
        results, plain = pair.model.outputs(pair.session, feed | {"attention_mask": shorter})
        assert plain == NOTHING
        expected = pair.plain.run(None, feed | {"attention_mask": shorter})
        np.testing.assert_allclose(results[0][1], expected[0][1], rtol=0, atol=1e-5)
        np.testing.assert_allclose(results[0][0, :5], expected[0][0, :5], rtol=0, atol=1e-5)
    assert pair.call(feed)[1] == Counts(16, 0)


def test_padding_is_right_and_masks_that_are_none_pass() -> None:
    pair = Pair(LLAMA)
    ids = pair.model.ids(2, 8, seed=7)
    feed = pair.model.feed(ids)
    pair.call(feed)
    mask = feed["attention_mask"]
    right, left, others = mask.copy(), mask.copy(), np.full_like(mask, 2)
    right[0, 5:], left[0, :3] = 0, 0
    assert pair.call(feed | {"attention_mask": right})[1] == Counts(10, 6)
    assert pair.call(feed | {"attention_mask": right})[1] == Counts(16, 0)
    for other in (left, others):
        assert pair.call(feed | {"attention_mask": other})[1] == NOTHING
        assert pair.call(feed | {"attention_mask": other})[1] == NOTHING


def test_other_numbers_of_positions_have_entries_of_their_own() -> None:
    pair = Pair(LLAMA)
    ids = pair.model.ids(1, 8, seed=8)
    feed = pair.model.feed(ids)
    pair.call(feed)
    moved = feed["position_ids"].copy()
    moved[0, 5:] += 7
    assert pair.call(feed | {"position_ids": moved})[1] == Counts(5, 3)
    assert pair.call(feed | {"position_ids": moved + 1})[1] == Counts(0, 8)


@pytest.mark.parametrize("name", ["attention_mask", "position_ids", "past_key_values.0.key", "past_key_values.1.value"])
def test_inputs_that_do_not_fit_together_give_what_the_original_gives(name: str) -> None:
    pair = Pair(LLAMA)
    ids = pair.model.ids(2, 6, seed=9)
    feed = pair.model.feed(ids)
    pair.call(feed)
    axis = 2 if "past" in name else 1
    one = [size if a != axis else 1 for a, size in enumerate(feed[name].shape)]
    longer = np.concatenate([feed[name], np.ones(one, feed[name].dtype)], axis)
    wrong = feed | {name: longer}
    expected = answer(pair.plain, wrong)
    before = stored_bytes()
    given = answer(pair.session, wrong)
    assert (given is None) == (expected is None)
    for mine, other in zip(given or (), expected or (), strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)
    assert stored_bytes() == before


def answer(session: ort.InferenceSession, feed: Feed) -> list[Array] | None:
    """What a session gives; None: it refuses the call."""
    try:
        results: list[Array] = session.run(None, feed)
    except Exception:  # whatever onnxruntime raises
        return None
    return results


def test_calls_without_positions_or_rows_are_the_originals(pair: Pair) -> None:
    checked = 0
    ends = pair.model.sizes.attention == "GroupQueryAttention"  # the process, if there are no rows
    for shape in ((1, 0), *([] if ends else [(0, 3)]), (1, 1), (2, 1)):
        feed = pair.model.feed(np.zeros(shape, np.int64))
        if answer(pair.plain, feed) is None:
            continue
        for _ in range(2):
            pair.call(feed)
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize(("sizes", "maker"), [(LLAMA, "Concat"), (GROUPED, "If")], ids=["llama", "grouped"])
def test_keys_and_values_leave_the_branch_without_a_copy(sizes: Decoder, maker: str) -> None:
    model = sequences(sizes)
    proto = onnx.load_model(model.compiled)
    (store,) = (node for node in all_nodes(proto.graph.node) if node.op_type == "CacheStore")
    (branching,) = (node for node in proto.graph.node if node.op_type == "If")
    assert len(branching.output) == 5
    then = next(attribute.g for attribute in branching.attribute if attribute.name == "then_branch")
    made = {name: node for node in then.node for name in node.output}
    kinds = [made[value.name].op_type for value in then.output]
    assert kinds == ["CacheStore"] + [maker] * 4 and len(store.output) == 1
    (region,) = inspect_model(model.compiled)["regions"]
    assert [t["position_axis"] for t in region["live_outs"]] == [1, 2, 2, 2, 2]


def test_the_compiler_takes_prefixes_by_itself_and_says_which_calls_are_cached() -> None:
    pair = Pair(GPT2, granularity="auto", reads=("logits:last",))
    (line,) = (line for line in pair.model.result.explain if "is causal along" in line)
    assert "calls that go on from others (axis 2 of 'past_key_values.0.key' is not empty) are not cached" in line
    ids = pair.model.ids(1, 7)
    feed = pair.model.feed(ids)
    expected = pair.plain.run(None, feed)
    later = pair.model.feed(ids[:, :3], expected[1:])
    for call in (feed, feed, later):
        expected, given = (session.run(None, call) for session in (pair.plain, pair.session))
        assert given[0].shape == expected[0].shape and np.isnan(given[0][:, :-1]).all()
        np.testing.assert_allclose(given[0][:, -1], expected[0][:, -1], rtol=0, atol=1e-5)
        np.testing.assert_allclose(given[1], expected[1], rtol=0, atol=1e-5)


def test_the_next_turn_of_a_conversation_keeps_the_answer_of_the_one_before(pair: Pair) -> None:
    """Its first call has all the tokens that the calls before it wrote."""
    told = pair.decode(pair.model.ids(1, 8, seed=8), 5)
    second = np.concatenate([told, pair.model.ids(1, 4, seed=9)], 1)
    assert pair.first(second)[1] == Counts(8, 9)
    third = np.concatenate([second, pair.model.ids(1, 3, seed=10)], 1)
    assert pair.first(third)[1] == Counts(17, 3)
