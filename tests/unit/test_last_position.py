"""``--reads OUTPUT:last``: only the last position is computed, and nobody can take the others for results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

from actcache.errors import InvalidOption
from actcache.passes.graph.view import GraphView
from actcache.passes.rewrite.last_position import read_last
from benchmarks.decoders import Decoder

HEAD = '<ir_version: 9, opset_import: ["" : 20]>'


def run(model: onnx.ModelProto, feed: dict[str, Any], outputs: list[str] | None = None) -> list[Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return list(ort.InferenceSession(model.SerializeToString(), options).run(outputs, feed))


def shortened(model: onnx.ModelProto, *outputs: str) -> tuple[onnx.ModelProto, dict[str, int]]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    axes = read_last(GraphView(copy), outputs)
    onnx.checker.check_model(copy, full_check=True)
    return copy, axes


@pytest.mark.parametrize("mask", ["slice", "trilu", "compare", "none"])
def test_the_last_position_is_the_originals_and_all_others_are_nan(mask: Any) -> None:
    original = Decoder(mask=mask, vocabulary=509).model()
    if mask == "none":  # it looks ahead: its positions are not followed
        with pytest.raises(InvalidOption, match="does not close later positions"):
            shortened(original, "logits")
        return
    model, axes = shortened(original, "logits")
    assert axes == {"logits": 1}
    ids = np.random.default_rng(0).integers(0, 509, (3, 8))
    for length in (8, 2, 1):
        feed = {"input_ids": ids[:, :length]}
        (expected,), (given,) = run(original, feed), run(model, feed)
        assert given.shape == expected.shape and given.dtype == expected.dtype
        assert np.isnan(given[:, :-1]).all()
        np.testing.assert_allclose(given[:, -1], expected[:, -1], rtol=0, atol=1e-5)


def test_the_head_and_the_last_feed_forward_part_see_two_positions() -> None:
    model, _ = shortened(Decoder().model(), "logits")
    watched = [node.output[0] for node in model.graph.node if node.op_type in ("MatMul", "Gelu")]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in watched)
    results = run(model, {"input_ids": np.zeros((1, 9), np.int64)}, watched)
    sizes = dict(zip(watched, (result.shape for result in results), strict=True))
    assert [shape[1] for shape in sizes.values()][-3:] == [2, 2, 2], sizes
    assert sum(2 in shape[:2] for shape in sizes.values()) < len(sizes) - 4, "only the end is shortened"


def test_what_others_read_stays_whole() -> None:
    model = parser.parse_model(f"""{HEAD} g (float[N, S, 4] x) => (float[N, S, 4] y, float[N, S, 4] z)
        {{ a = Tanh(x)  y = Exp(a)  z = Sin(y) }}""")
    short, _ = shortened(model, "z")
    x = np.random.default_rng(1).standard_normal((2, 5, 4)).astype(np.float32)
    (y, z), (whole, last) = run(model, {"x": x}), run(short, {"x": x})
    assert whole.tobytes() == y.tobytes()
    assert np.isnan(last[:, :-1]).all() and last[:, -1].tobytes() == z[:, -1].tobytes()
    both, axes = shortened(model, "y", "z")
    assert axes == {"y": 1, "z": 1}
    for given, expected in zip(run(both, {"x": x}), (y, z), strict=True):
        assert np.isnan(given[:, :-1]).all() and given[:, -1].tobytes() == expected[:, -1].tobytes()


def test_positions_that_move_are_followed_to_the_axis_that_they_have() -> None:
    model = parser.parse_model(f"""{HEAD} g (float[N, S, 4] x) => (float[N, 4, S] y)
        {{ a = Tanh(x)  b = Transpose <perm: ints = [0, 2, 1]> (a)  y = Exp(b) }}""")
    short, axes = shortened(model, "y")
    assert axes == {"y": 2}
    x = np.random.default_rng(2).standard_normal((2, 5, 4)).astype(np.float32)
    (expected,), (given,) = run(model, {"x": x}), run(short, {"x": x})
    assert np.isnan(given[..., :-1]).all() and given[..., -1].tobytes() == expected[..., -1].tobytes()


@pytest.mark.parametrize(
    ("text", "output", "says"),
    [
        ("(int64[N, S] i) => (int64[N, S] y) { y = Add(i, i) }", "y", "not of type float or double"),
        ("(float[N, 4] x) => (float[N, 4] y) { y = Tanh(x) }", "y", "no input is a sequence"),
        ("(float[N, S, 4] x) => (float[N, S, 4] y) { y = Tanh(x) }", "q", "the model has no output 'q'"),
        (
            "(float[N, S, 4] x) => (float[N, 4] y) { y = ReduceMean <keepdims = 0> (x, one) }",
            "y",
            "proven to have positions",
        ),
    ],
)
def test_what_cannot_be_read_so_is_refused_with_a_reason(text: str, output: str, says: str) -> None:
    model = parser.parse_model(f"{HEAD} g {text}".replace("{ y = Reduce", "<int64[1] one = {1}> { y = Reduce"))
    with pytest.raises(InvalidOption) as caught:
        shortened(model, output)
    assert says in str(caught.value)
