"""The operators on prefixes, in a causal model that plain onnxruntime runs: nothing differs but what is computed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest
from audit_lines import Line, agrees_with_statistics, of, outcomes
from hand_written import Array, Control, session
from prefix_regions import LONGEST, WIDTH, WORDS, CausalModel, run, sequence

BLOCKS = pytest.mark.parametrize("block", [1, 4, 16])


class Checked:
    """Runs a model with a cache, and holds each answer to that of the original."""

    def __init__(self, model: CausalModel, control: Control, **entries: str) -> None:
        self.model, self.control, self.session = model, control, model.session(**entries)

    def __call__(self, ids: Array, own: Array | None = None) -> tuple[int, int]:
        """Make a call; return how many blocks were reused, and how many computed."""
        before = self.control.counts(self.model, "hits", "misses") if self.known else (0, 0)
        answer, expected = run(self.session, ids, own), self.model.expected(ids, own)
        assert answer.shape == expected.shape
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
        self.answer = answer
        hits, misses = self.control.counts(self.model, "hits", "misses")
        return hits - before[0], misses - before[1]

    @property
    def known(self) -> bool:
        return hasattr(self, "answer")


def words(count: int, seed: int = 0) -> list[int]:
    return [int(word) for word in np.random.default_rng(seed).integers(WORDS, size=count)]


@BLOCKS
def test_what_is_known_as_a_whole_is_not_computed(control: Control, block: int) -> None:
    call = Checked(CausalModel(block), control)
    ids = sequence(*words(32))
    assert call(ids) == (0, 32 // block)
    cold = call.answer
    assert call(ids) == (32 // block, 0)
    assert np.array_equal(call.answer, cold)


@pytest.mark.parametrize("more", [1, 2, 3, 4, 5])
@BLOCKS
def test_a_longer_sequence_computes_what_is_new(control: Control, block: int, more: int) -> None:
    call = Checked(CausalModel(block), control)
    ids = words(32 + more)
    call(sequence(*ids[:32]))
    cold = call.answer
    reused = (32 + more - max(more, 2)) // block
    assert call(sequence(*ids)) == (reused, (32 + more) // block - reused)
    assert np.array_equal(call.answer[:, : reused * block], cold[:, : reused * block])


@BLOCKS
def test_another_ending_shares_the_beginning(control: Control, block: int) -> None:
    call = Checked(CausalModel(block), control)
    shared = words(20)
    call(sequence(*shared, *words(12, 1)))
    assert call(sequence(*shared, *words(12, 2))) == (20 // block, 32 // block - 20 // block)
    # The same words at other places, or behind another beginning, are other units.
    assert call(sequence(1, *shared))[0] == 0
    assert call(sequence(*shared[1:]))[0] == 0


@BLOCKS
def test_a_loop_that_decodes(control: Control, block: int) -> None:
    call = Checked(CausalModel(block), control)
    ids = words(LONGEST)
    for length in range(8, LONGEST + 1):
        hits, _ = call(sequence(*ids[:length]))
        if length > 8:
            assert hits == (length - 2) // block if block == 1 else hits >= (length - 1) // block - 1


def test_rows_of_a_batch_share_what_the_shortest_knows(control: Control) -> None:
    call = Checked(CausalModel(4), control)
    first, second = words(16, 1), words(16, 2)
    call(sequence(*first))
    call(sequence(*second[:8], *words(8, 3)))
    batch = np.array([first, second, first])
    assert call(batch) == (3 * 2, 3 * 2)
    assert call(batch) == (3 * 4, 0)
    assert call(batch[::-1].copy()) == (3 * 4, 0)
    longer = np.concatenate([batch, np.array([words(3, 4), words(3, 5), words(3, 6)])], axis=1)
    assert call(longer) == (3 * 4, 0)  # what is left over at the end of a row is no block
    assert call(sequence(*second)) == (4, 0)


def test_what_a_row_has_for_itself_belongs_to_its_chain(control: Control) -> None:
    call = Checked(CausalModel(), control)
    ids = np.array([words(6), words(6)])
    own = np.arange(2 * WIDTH, dtype=np.float32).reshape(2, WIDTH) / 8
    assert call(ids, own) == (0, 12)
    assert call(ids, own) == (12, 0)
    assert call(ids[:1], own[:1]) == (6, 0)
    assert call(ids[:1], own[:1] + 3) == (0, 6)


@pytest.mark.parametrize("shape", [(1, 0), (2, 0), (0, 5), (1, 1), (3, 1)])
@BLOCKS
def test_small_calls_are_the_originals(control: Control, block: int, shape: tuple[int, int]) -> None:
    call = Checked(CausalModel(block), control)
    ids = np.ones(shape, np.int64)
    for _ in range(2):
        call(ids)


@pytest.mark.parametrize("least", [1, 2, 5])
def test_so_many_positions_are_computed_at_least(control: Control, least: int) -> None:
    call = Checked(CausalModel(min_suffix=least), control)
    ids = words(10)
    call(sequence(*ids[:9]))
    assert call(sequence(*ids)) == (10 - max(least, 1), max(least, 1))
    assert call(sequence(*ids[:3])) == (3, 0)
    if least > 2:
        assert call(sequence(*ids[:2], 7)) == (0, 3)


def test_a_call_that_the_proof_does_not_cover_is_computed(control: Control) -> None:
    model = CausalModel()
    call = Checked(model, control)
    ids = sequence(*words(6))
    call(ids)
    own = np.zeros((1, 1, WIDTH), np.float32)
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument, match="own"):
        call.session.run(None, {"ids": ids, "own": own})
    assert call(ids) == (6, 0)
    # A row of its own for each, or one for all: the original broadcasts, and so no two rows are told apart.
    assert call(np.repeat(ids, 3, 0), own[0]) == (0, 0)


def test_a_chain_ends_where_a_unit_is_gone(control: Control) -> None:
    model = CausalModel()
    call = Checked(model, control)
    ids = words(40)
    control.invalidate()
    call(sequence(*ids))
    room = control.store()["bytes"]
    control.configure("budget_bytes", str(room // 2))
    hits, misses = call(sequence(*ids))
    assert hits < 40 and hits + misses == 40
    for length in (20, 30, 40, 41):
        hits, misses = call(sequence(*[*ids, 1][:length]))
        assert hits + misses == length


def test_what_is_invalidated_or_too_old_is_not_used(control: Control) -> None:
    model = CausalModel()
    call = Checked(model, control, ttl_seconds="1")
    ids = words(8)
    call(sequence(*ids))
    assert call(sequence(*ids)) == (8, 0)
    control.invalidate()
    assert call(sequence(*ids)) == (0, 8)
    limit = time.monotonic() + 30
    while call(sequence(*ids))[0] == 8:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert control.counts(model, "expired")[0] >= 1


def test_namespaces_keep_apart(control: Control) -> None:
    model = CausalModel()
    one, other = Checked(model, control, namespace="one"), Checked(model, control, namespace="other")
    ids = sequence(*words(8))
    assert one(ids) == (0, 8)
    assert other.control.counts(model, "hits") == (0,)
    run(other.session, ids)
    assert control.counts(model, "hits", "misses") == (0, 16)


def test_verified_chains_are_computed_and_compared(control: Control) -> None:
    model = CausalModel(4)
    call = Checked(model, control)
    ids = sequence(*words(18))
    call(ids)
    control.configure("verify_fraction", "1")
    assert call(ids) == (0, 4)
    assert control.counts(model, "verified", "mismatches") == (4, 0)
    control.configure("verify_fraction", "0")
    assert call(ids) == (4, 0)


def test_the_audit_log_says_what_became_of_each_block(control: Control, audited: Callable[[], list[Line]]) -> None:
    model = CausalModel()
    call = Checked(model, control)
    ids = words(6)
    call(sequence(*ids[:4]))
    call(sequence(*ids[:5]))
    call(np.array([ids, [*ids[:3], 1, 2, 3]]))
    lines = audited()
    assert {line["granularity"] for line in of(lines, "region", model)} == {"prefix"}
    assert outcomes(of(lines, "lookup", model)) == ["mmmm", "hhham", "hhhaam" + "hhhmmm"]
    assert outcomes(of(lines, "store", model)) == ["ssss", "ps", "pps" + "sss"]
    zeros = dict.fromkeys(control.stats(model), 0)
    agrees_with_statistics(lines, model, control.stats(model), zeros)


def test_two_threads_decode(control: Control) -> None:
    model = CausalModel(2)
    session = model.session()
    shared = words(12)

    def decode(seed: int) -> None:
        ids = [*shared, *words(30, seed)]
        for length in range(10, len(ids)):
            answer = run(session, sequence(*ids[:length]))
            np.testing.assert_allclose(answer, model.expected(sequence(*ids[:length])), rtol=1e-5, atol=1e-5)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(decode, seed) for seed in (1, 1, 2, 3)]:
            done.result()
    assert control.counts(model, "hits")[0] > 1000


def test_a_model_says_which_attribute_makes_no_sense() -> None:
    def refused(**changes: list[int] | int) -> str:
        proto = model.cached()
        lookup = next(node for node in proto.graph.node if node.op_type == "CacheLookup")
        for name, value in changes.items():
            attribute = next(a for a in lookup.attribute if a.name == name)
            if isinstance(value, int):
                attribute.i = value
            else:
                del attribute.ints[:]
                attribute.ints.extend(value)
        with pytest.raises(Exception, match=model.id) as caught:
            session(proto)
        return str(caught.value)

    model = CausalModel()

    assert "block is 0, but has to be 1 or more" in refused(block=0)
    assert "states leaves no live-out" in refused(states=3)
    assert "input 0 has rows and positions on one axis" in refused(input_position_axes=[0, -1])
    assert "some input needs a position axis" in refused(input_position_axes=[-1, -1])
    assert "every live-out and state needs a position axis" in refused(output_position_axes=[1, -1, 2])
    assert "some live-outs and states have a row axis" in refused(output_row_axes=[0, -1, 0])
    assert "live-outs have a row axis if and only if some input has one" in refused(input_row_axes=[-1, -1])
    assert "output_ranks and output_types have different lengths" in refused(output_ranks=[3, 4], output_sizes=[-1] * 7)
    assert "output_sizes has not as many sizes as output_ranks has axes" in refused(output_sizes=[-1] * 10)
    assert "one of its axes lies behind them" in refused(output_ranks=[3, 4, 2], output_sizes=[-1] * 9)
