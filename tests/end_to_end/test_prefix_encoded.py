"""A decoder that reads an encoder's states: their keys and values are one region, by rows, and its tokens another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

import actcache
from benchmarks.decoders import Decoder

Array = np.ndarray[Any, Any]
SIZES = Decoder(encoded=True, width=64)  # so large that weights stay in the main graph
TOLD = replace(SIZES, told=True)
RANDOM = np.random.default_rng(0)


def states(rows: int, length: int = 40) -> Array:
    return RANDOM.standard_normal((rows, length, SIZES.width), np.float32)


@pytest.fixture(scope="module", params=[SIZES, TOLD], ids=["constant sizes", "the batch of the tokens"])
def compiled(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> actcache.CompileResult:
    name = "told" if request.param.told else "decoder"  # counts are kept by the names of regions
    source = tmp_path_factory.mktemp("encoded") / f"{name}.onnx"
    onnx.save(request.param.model(), source)
    sample = {"input_ids": RANDOM.integers(0, SIZES.vocabulary, (1, 24)), "encoder_hidden_states": states(1, 400)}
    return actcache.compile_model(source, samples=[sample], min_saving=0.0)  # however long it takes here


def session(path: Path, **replaced: ort.OrtValue) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.register_custom_ops_library(actcache.library_path())
    for name, value in replaced.items():
        options.add_initializer(name, value)
    options.add_session_config_entry("actcache.namespace", "encoded")
    options.log_severity_level = 4  # some calls fail, as they should
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def test_keys_and_values_of_the_states_are_a_region_that_the_tokens_region_reads(
    compiled: actcache.CompileResult,
) -> None:
    kept, tokens = (plan.candidate.region for plan in compiled.regions)
    assert (kept.granularity, tokens.granularity) == ("row", "prefix")
    assert kept.frontier[:1] == ("encoder_hidden_states",) and len(kept.live_outs) == 2 * SIZES.layers
    assert set(kept.frontier[1:]) <= {"input_ids.0.sizes"}, "of the tokens, not more than how many rows they have"
    made_by = {node.output[0]: node.op_type for node in onnx.load(compiled.model).graph.node}
    assert {made_by[name] for name in kept.live_outs} == {"Transpose"}, "no call has to split them into heads again"
    assert tokens.frontier == ("input_ids", "encoder_hidden_states"), "keys and values are larger, and made of these"
    assert tokens.behind and len(tokens.behind - kept.nodes) == len(kept.frontier[1:]), "and what reads these sizes"
    assert kept.nodes.isdisjoint(tokens.moved)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_decoding_loop_computes_the_states_once(compiled: actcache.CompileResult, rows: int) -> None:
    plain, cached = session(compiled.model), session(compiled.output)
    feed = {"input_ids": RANDOM.integers(0, SIZES.vocabulary, (rows, 4)), "encoder_hidden_states": states(rows)}
    before = actcache.stats()["regions"]
    for _ in range(8):
        (expected,), (given,) = plain.run(None, feed), cached.run(None, feed)
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)
        feed["input_ids"] = np.concatenate([feed["input_ids"], np.argmax(expected[:, -1:], -1)], 1)
    kept, tokens = (_counts(plan.candidate.region.id, before) for plan in compiled.regions)
    assert kept == (7 * rows, rows)
    assert tokens[1] == rows * (4 + 7 * 2), "two positions a step"


def test_other_states_have_other_entries(compiled: actcache.CompileResult) -> None:
    plain, cached = session(compiled.model), session(compiled.output)
    ids = RANDOM.integers(0, SIZES.vocabulary, (1, 12))
    for encoded in (states(1), states(1), states(1, 7)):
        for _ in range(2):
            feed = {"input_ids": ids, "encoder_hidden_states": encoded}
            np.testing.assert_allclose(cached.run(None, feed)[0], plain.run(None, feed)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("rows", "of_states"), [(3, 1), (1, 3), (2, 4), (0, 1), (0, 0)])
def test_other_numbers_of_rows_than_the_states_give_the_same_or_fail_as_before(
    compiled: actcache.CompileResult, rows: int, of_states: int
) -> None:
    plain, cached = session(compiled.model), session(compiled.output)
    known = {"input_ids": RANDOM.integers(0, SIZES.vocabulary, (1, 6)), "encoder_hidden_states": states(1)}
    for feed in (known, {"input_ids": known["input_ids"].repeat(rows, 0), "encoder_hidden_states": states(of_states)}):
        for _ in range(2):
            expected, given = _result(plain, feed), _result(cached, feed)
            assert (expected is None) == (given is None)
            if expected is not None and given is not None:
                np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


def test_compiling_again_keeps_the_states_apart_again(compiled: actcache.CompileResult, tmp_path: Path) -> None:
    sample = {"input_ids": RANDOM.integers(0, SIZES.vocabulary, (1, 24)), "encoder_hidden_states": states(1, 400)}
    again = actcache.compile_model(compiled.output, tmp_path / "again.onnx", samples=[sample], min_saving=0.0)
    kept, tokens = (plan.candidate.region for plan in again.regions)
    assert (kept.granularity, tokens.granularity) == ("row", "prefix")
    assert "encoder_hidden_states" in kept.frontier and "input_ids" not in kept.frontier
    assert tokens.live_outs == compiled.regions[1].candidate.region.live_outs
    plain, cached = session(compiled.model), session(again.output)
    for _ in range(2):
        np.testing.assert_allclose(cached.run(None, sample)[0], plain.run(None, sample)[0], rtol=0, atol=1e-5)


def test_keys_cover_the_weights_of_what_is_behind(compiled: actcache.CompileResult) -> None:
    stored = onnx.load(compiled.model).graph.initializer
    weight = next(onnx.numpy_helper.to_array(tensor) for tensor in stored if tensor.name == "h0.cross.v.weight")
    feed = {"input_ids": RANDOM.integers(0, SIZES.vocabulary, (1, 12)), "encoder_hidden_states": states(1)}
    (original,) = session(compiled.output).run(None, feed)
    changed = {"h0.cross.v.weight": ort.OrtValue.ortvalue_from_numpy(weight * 2)}  # has to outlive its sessions
    (expected,) = session(compiled.model, **changed).run(None, feed)
    assert np.abs(expected - original).max() > 1e-3
    for _ in range(2):
        (given,) = session(compiled.output, **changed).run(None, feed)
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


def _counts(region: str, before: dict[str, Any]) -> tuple[int, int]:
    earlier, now = before.get(region, {"hits": 0, "misses": 0}), actcache.stats()["regions"][region]
    return now["hits"] - earlier["hits"], now["misses"] - earlier["misses"]


def _result(of: ort.InferenceSession, feed: dict[str, Array]) -> Array | None:
    """What a session gives; None: it fails."""
    try:
        return np.asarray(of.run(None, feed)[0])
    except (Fail, InvalidArgument, RuntimeException):
        return None
