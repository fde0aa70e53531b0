"""What the compiler says of sequence models, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from sequences import options, sequences

import actcache
from actcache.errors import InvalidOption, NothingToCache
from actcache.inspection.regions import inspect_model
from actcache.model.compiled_model import read_compiled
from actcache.model.manifest import read_manifest
from actcache.passes.rewrite.inline_regions import inline_regions
from benchmarks.decoders import Decoder

SMALL = Decoder()


def written(sizes: Decoder, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save_model(sizes.model(), path)
    return path


def sample(length: int = 12) -> dict[str, np.ndarray]:
    return {"input_ids": np.random.default_rng(0).integers(0, SMALL.vocabulary, (2, length))}


def test_a_decoder_is_cached_by_prefixes_without_being_asked(tmp_path: Path) -> None:
    result = actcache.compile_model(written(SMALL, tmp_path), samples=[sample(48)], min_saving=0)
    (region,) = result.regions
    assert region.candidate.region.granularity == "prefix"
    assert any(
        "is causal along axis 1 of 'input_ids', each row of the batch by itself" in line for line in result.explain
    )


def test_a_model_that_looks_ahead_is_cached_by_rows_and_says_where(tmp_path: Path) -> None:
    path = written(Decoder(mask="none"), tmp_path)
    result = actcache.compile_model(path, samples=[sample()], min_saving=0)
    assert {c.candidate.region.granularity for c in result.regions} == {"row"}
    asked = actcache.compile_model(path, samples=[sample()], min_saving=0, granularity="prefix", verify=False)
    (region,) = asked.regions
    assert region.candidate.region.states == (), "only what lies before the attention"
    says = "does not close later positions"
    assert any("Softmax" in line and says in line for line in asked.explain), asked.explain


def test_a_model_without_a_sequence_says_so(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 20]> g (float[N, 4] x) => (float[N, 4] y) { y = Tanh(x) }'
    )
    onnx.save_model(model, tmp_path / "plain.onnx")
    with pytest.raises(NothingToCache) as caught:
        actcache.compile_model(tmp_path / "plain.onnx", min_saving=0, granularity="prefix")
    assert [refusal.rule for refusal in caught.value.refusals] == ["prefix-no-sequence"]


def test_inspection_and_manifest_tell_of_positions_and_states() -> None:
    model = sequences(SMALL, reads=("logits:last",))
    answer = inspect_model(model.compiled)
    (region,) = answer["regions"]
    assert (region["granularity"], region["block"]) == ("prefix", 1)
    assert [(t["name"], t["row_axis"], t["position_axis"]) for t in region["frontier"]] == [("input_ids", 0, 1)]
    assert len(region["states"]) == 4, "keys and values of two layers"
    assert {(t["row_axis"], t["position_axis"]) for t in region["states"]} == {(0, 1)}
    assert region["live_outs"] and all(t["position_axis"] is not None for t in region["live_outs"])
    assert answer["policy"]["reads"] == {"logits": 1}
    assert answer["policy"]["granularity"] == "prefix"
    manifest = read_manifest(onnx.load(model.compiled), model.compiled)
    assert manifest is not None and json.loads(json.dumps(manifest["policy"]))["reads"] == {"logits": 1}
    assert any("only the last position is computed" in note for note in model.result.notes)


def test_the_region_can_be_taken_out_again(tmp_path: Path) -> None:
    model = sequences(SMALL)
    proto = onnx.load(model.compiled)
    assert inline_regions(proto)
    original = onnx.load(model.original)
    assert sorted(node.op_type for node in proto.graph.node) == sorted(node.op_type for node in original.graph.node)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save_model(proto, tmp_path / "again.onnx")
    feed = model.feed(model.ids(2, 7))
    again = ort.InferenceSession(str(tmp_path / "again.onnx"), options())
    assert again.run(None, feed)[0].tobytes() == model.plain().run(None, feed)[0].tobytes()
    compiled = read_compiled(model.compiled)
    (lookup,) = compiled.lookups
    assert len(compiled.nodes(lookup)) == len(original.graph.node)


def test_a_compiled_model_compiles_again(tmp_path: Path) -> None:
    model = sequences(SMALL)
    result = actcache.compile_model(
        model.compiled, tmp_path / "again.onnx", samples=[sample()], min_saving=0, granularity="prefix"
    )
    assert [c.fingerprint for c in result.regions] == [c.fingerprint for c in model.result.regions]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"reads": ["logits"]}, "--reads OUTPUT:last"),
        ({"reads": ["scores:last"]}, "the model has no output 'scores'"),
        ({"regions": [object()], "granularity": "prefix"}, "cannot be named"),
    ],
)
def test_wrong_options_are_refused(asked: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption) as caught:
        actcache.compile_model(written(SMALL, tmp_path), samples=[sample()], **asked)  # type: ignore[arg-type]
    assert says in str(caught.value)
