"""Real models frozen to one batch size, as deployment tools do: compiled by rows, and for any batch, again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from region_counts import counts_of

import actcache
from actcache.verification.verify import in_batches
from models import Feed, feed
from models.fetch import fetch

BATCH = 4
MODELS: dict[str, dict[str, int]] = {
    "paraphrase_minilm_l3": {"size": 24},
    "open_nsfw_resnet": {},
    "minilm_l6_int8": {"size": 24},
}


def frozen(name: str, path: Path) -> Path:
    """Fix all sizes of the inputs and fold constants, so that the batch size is baked in wherever it was computed."""
    proto = onnx.load(fetch(name))
    sample = feed(name, BATCH, **MODELS[name])
    for value in proto.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, sample[value.name].shape, strict=True):
            dim.Clear()
            dim.dim_value = size
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    del proto.graph.value_info[:]
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    ort.InferenceSession(proto.SerializeToString(), options)
    return path


def rows_of(name: str, count: int, seed: int) -> Feed:
    return feed(name, count, seed=seed, **MODELS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_frozen_model_is_compiled_by_rows(name: str, tmp_path: Path) -> None:
    source = frozen(name, tmp_path / "frozen.onnx")
    fixed = ort.InferenceSession(str(source))
    assert [i.shape[0] for i in fixed.get_inputs()] == [BATCH] * len(fixed.get_inputs())

    sample = rows_of(name, BATCH, 0)
    result = actcache.compile_model(source, samples=[sample], dynamic_batch=True)
    region = result.regions[-1].candidate
    assert region.region.granularity == "row" and region.time_share > 0.8
    assert result.verify is not None and not result.verify.skipped

    options = ort.SessionOptions()
    actcache.register(options)
    session = ort.InferenceSession(str(result.output), options)
    axes = {value.name: 0 for value in session.get_inputs()}
    run = in_batches(lambda given: list(fixed.run(None, given)), BATCH, axes, [0] * len(session.get_outputs()))
    full = rows_of(name, 7, 1)
    actcache.invalidate()
    for rows in ([0, 1], [1, 2, 3, 4, 5, 6], [6], [0, 3, 3, 5]):
        batch = {key: value[rows] for key, value in full.items()}
        for mine, original in zip(session.run(None, batch), run(batch), strict=True):
            scale = max(1.0, float(np.abs(original).max()))
            assert mine.shape == original.shape and float(np.abs(mine - original).max()) <= 1e-4 * scale
    found = counts_of(result.regions[-1])
    assert (found["hits"], found["misses"]) == (6, 7)

    refused = actcache.compile_model(source, tmp_path / "fixed.onnx", samples=[sample])
    assert {r.candidate.region.granularity for r in refused.regions} == {"tensor"}
    assert "fixed-batch" in {r.rule for r in refused.refusals}
