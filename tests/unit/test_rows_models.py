"""Rows of real models: proven where they are independent, refused with the reason where they are not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from actcache.passes.graph.view import GraphView
from actcache.passes.purity import impure_nodes
from actcache.passes.rows import prove_rows, row_hypotheses

#: Model → the natural hypothesis, and the axis of the rows of each output.
PROVEN = {
    "paraphrase_minilm_l3": ({"input_ids": 0, "attention_mask": 0}, {"461": 0, "onnx::Shape_422": 0}),
    "minilm_l6_int8": (
        {"input_ids": 0, "attention_mask": 0, "token_type_ids": 0},
        {"last_hidden_state": 0},
    ),
    "rapidocr_det_v6s": ({"x": 0}, {"fetch_name_0": 0}),
    "rapidocr_rec_v6s": ({"x": 0}, {"fetch_name_0": 0}),
    "rapidocr_cls_v2": ({"x": 0}, {"save_infer_model/scale_0.tmp_1": 0}),
    "open_nsfw_resnet": ({"input:0": 0}, {"outputs": 0}),
    "vit_s_focus": ({"input_image": 0}, {"output_importance": 0}),
    "magika_v3_3": ({"bytes": 0}, {"target_label": 0}),
    "silero_vad": ({"input": 0, "state": 1}, {"output": 0, "stateN": 1}),
}
REFUSED = {"flan_t5_small_enc_int8": "last_hidden_state", "flan_t5_small_dec_int8": "logits"}


def _view(find: Callable[[str], Path], name: str) -> GraphView:
    return GraphView(onnx.load(find(name), load_external_data=False))


@pytest.mark.parametrize("name", PROVEN)
def test_rows_are_proven(name: str, model_path: Callable[[str], Path]) -> None:
    view = _view(model_path, name)
    hypothesis, axes = PROVEN[name]
    assert row_hypotheses(view, view.inputs)[0] == hypothesis
    proof = prove_rows(view, hypothesis)
    assert {output: proof.row_axis(output) for output in axes} == axes, [proof.refusal(o) for o in axes]


@pytest.mark.parametrize("level", ["ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("name", ["minilm_l6_int8", "rapidocr_cls_v2", "open_nsfw_resnet", "vit_s_focus", "silero_vad"])
def test_rows_are_proven_of_what_onnxruntime_optimised(
    name: str, level: str, model_path: Callable[[str], Path], tmp_path: Path
) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(str(model_path(name)), options, providers=["CPUExecutionProvider"])
    view = GraphView(onnx.load(tmp_path / "optimised.onnx"))
    hypothesis, axes = PROVEN[name]
    proof = prove_rows(view, hypothesis)
    assert {output: proof.row_axis(output) for output in axes} == axes, [proof.refusal(o) for o in axes]
    assert not impure_nodes(view)


@pytest.mark.parametrize("name", REFUSED)
def test_dynamic_quantisation_is_refused(name: str, model_path: Callable[[str], Path]) -> None:
    view = _view(model_path, name)
    started = time.process_time()
    refusal = prove_rows(view, row_hypotheses(view, view.inputs)[0]).refusal(REFUSED[name])
    assert refusal is not None and refusal.rule == "dynamic-quantisation"
    assert "DynamicQuantizeLinear" in refusal.node and "whole batch" in refusal.reason
    assert time.process_time() - started < 3


@pytest.mark.parametrize("name", [*PROVEN, *REFUSED])
def test_no_rule_fails_on_a_real_model(name: str, model_path: Callable[[str], Path]) -> None:
    view = _view(model_path, name)
    hypotheses = row_hypotheses(view, view.inputs)
    assert hypotheses
    for hypothesis in hypotheses:
        proof = prove_rows(view, hypothesis)
        refusals = [proof.refusal(tensor) for tensor in view.producer]
        assert refusals
        assert not [r for r in refusals if r is not None and r.rule in ("rule-error", "unknown-tensor")]
