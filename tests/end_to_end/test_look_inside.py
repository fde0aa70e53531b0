"""``inspect``, ``diff`` and ``explain-miss`` on real models: they say what the compiler did and what then happens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import composed
import numpy as np
import onnx
import pytest
from two_texts import CANDIDATE, QUERY, texts

import actcache
from actcache.inspection.explain_miss import explain_inputs
from actcache.inspection.model_diff import Digests, diff_models
from actcache.inspection.regions import inspect_model
from actcache.model.compiled_model import read_compiled
from actcache.passes.identity.fingerprint import fingerprint
from models import feed
from models.fetch import fetch

SIZES = {"paraphrase_minilm_l3": {"size": 24}, "flan_t5_small_enc_int8": {"size": 24}, "silero_vad": {}}


def compiled(source: Path, folder: Path, name: str, **options: object) -> actcache.CompileResult:
    return actcache.compile_model(source, folder / f"{name}.onnx", verify=False, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SIZES)
def test_a_compiled_model_is_read_back_as_it_was_compiled(name: str, tmp_path: Path) -> None:
    result = compiled(fetch(name), tmp_path, name, samples=[feed(name, 3, seed=0, **SIZES[name])])
    model = read_compiled(result.output)
    answer = inspect_model(result.output)
    for lookup, shown, region in zip(model.lookups, answer["regions"], result.regions, strict=True):
        assert fingerprint(model.view, model.nodes(lookup), lookup.live_outs, Digests(model)) == region.fingerprint
        mine = region.candidate
        assert (shown["id"], shown["granularity"]) == (mine.region.id, mine.region.granularity)
        assert [tensor["name"] for tensor in shown["frontier"]] == list(mine.region.frontier)
        assert [tensor["name"] for tensor in shown["live_outs"]] == list(mine.region.live_outs)
        assert shown["nodes"] == len(mine.region.nodes) == sum(shown["operators"].values())
        assert shown["cone"] == list(mine.cone)
        assert (shown["time_share"], shown["rows"]) == (pytest.approx(mine.time_share, abs=1e-4), mine.rows)
    assert answer["verify"] is None and answer["notes"] == []


# -- two towers of which one is trained again ----------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("towers")


@pytest.fixture(scope="module")
def towers(folder: Path) -> Path:
    proto = composed.two_towers(fetch("paraphrase_minilm_l3"), fetch("minilm_l6_int8"))
    onnx.save(proto, folder / "towers.onnx")
    return compiled(folder / "towers.onnx", folder, "first", samples=[texts(0, 0)]).output


def region_ids(path: Path) -> dict[frozenset[str], str]:
    return {frozenset(region["cone"]): region["id"] for region in inspect_model(path)["regions"]}


def test_a_tower_that_was_not_trained_again_shares_its_entries(towers: Path, folder: Path) -> None:
    proto = onnx.load(folder / "towers.onnx")
    weight = max((t for t in proto.graph.initializer if t.name.startswith("q_")), key=lambda t: len(t.raw_data))
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0, :4] += np.float32(0.125)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save(proto, folder / "retrained.onnx")
    again = compiled(folder / "retrained.onnx", folder, "second", samples=[texts(0, 0)]).output
    answer = diff_models(towers, again)
    ids = region_ids(towers)
    shared = {pair["first"]: pair["shared"] for pair in answer["regions"]}
    assert shared[ids[CANDIDATE]] and not shared[ids[QUERY]] and not answer["shared"]
    (pair,) = (pair for pair in answer["regions"] if pair["first"] == ids[QUERY])
    (change,) = pair["changes"]
    assert change["ingredient"] == "weights" and weight.name in change["text"]
    assert (change["elements"], change["changed"], change["largest"]) == (array.size, 4, pytest.approx(0.125, abs=1e-6))


def test_what_misses_is_what_was_told(towers: Path, tmp_path: Path) -> None:
    one, two = texts(1, 1), texts(1, 1)
    two["q_input_ids"] = two["q_input_ids"][[2, 1, 1]]
    two["q_attention_mask"] = two["q_attention_mask"][[2, 1, 1]]
    two["q_input_ids"][1, 3] += 1
    for name, given in (("one", one), ("two", two)):
        np.savez(tmp_path / f"{name}.npz", **given)  # type: ignore[arg-type]
    records = explain_inputs(towers, tmp_path / "one.npz", tmp_path / "two.npz")
    ids = region_ids(towers)
    query = [record for record in records if record.region == ids[QUERY]]
    assert [record.outcome for record in query] == ["hit", "miss", "hit"]
    assert (query[1].details["tensor"], query[1].details["index"]) == ("q_input_ids", [1, 3])
    assert (query[1].details["nearest_row"], query[1].details["differing"]) == (1, 1)

    session = actcache.InferenceSession(str(towers), providers=["CPUExecutionProvider"])
    session.run(None, one)
    before = actcache.stats()["regions"]
    session.run(None, two)
    after = actcache.stats()["regions"]
    for region in ids.values():
        told = Counter(record.outcome for record in records if record.region == region)
        hits, duplicates, misses = (after[region][k] - before[region][k] for k in ("hits", "duplicates", "misses"))
        assert (hits - duplicates, duplicates, misses) == (told["hit"], told["duplicate"], told["miss"])
