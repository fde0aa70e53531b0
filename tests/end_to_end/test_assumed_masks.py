"""Masks, and weights that keep scores small, are what prefixes rest on. A session may replace them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from hand_written import Control

import actcache

Array = np.ndarray[Any, Any]
_MODELS = itertools.count()

LONGEST, WIDTH = 64, 32
ATTENTION = f"""<ir_version: 8, opset_import: ["" : 17]> g (int64[N, S] x) => (float[N, S, {WIDTH}] y) {{
    e = Gather(table, x) n = LayerNormalization(e, scale, shift) q = MatMul(n, wq) k = MatMul(n, wk)
    kt = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, kt) length = Shape<start = 1, end = 2>(x)
    rows = Slice(mask, zero, length, first) m = Slice(rows, zero, length, second) a = Add(s, m)
    p = Softmax<axis = -1>(a) c = MatMul(p, n) z = Add(e, c) h = MatMul(z, w1) r = Relu(h) y = MatMul(r, w2) }}"""


def weights(mask: float) -> dict[str, Array]:
    random = np.random.default_rng(0)
    shapes = {"table": (500, WIDTH), "wq": (WIDTH, WIDTH), "wk": (WIDTH, WIDTH)}
    shapes |= {"w1": (WIDTH, 8 * WIDTH), "w2": (8 * WIDTH, WIDTH)}
    found: dict[str, Array] = {n: (random.standard_normal(s) / 8).astype(np.float32) for n, s in shapes.items()}
    found["scale"], found["shift"] = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    found["mask"] = np.triu(np.full((LONGEST, LONGEST), mask, np.float32), 1)
    return found | {"zero": np.array([0]), "first": np.array([0]), "second": np.array([1])}


class Model:
    """A model and what was compiled of it."""

    def __init__(self, folder: Path, mask: float) -> None:
        self.weights = weights(mask)
        proto = onnx.parser.parse_model(ATTENTION)
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in self.weights.items())
        self.original = folder / f"model{next(_MODELS)}.onnx"  # regions are named after it
        onnx.save(proto, self.original)
        result = actcache.compile_model(self.original, min_saving=0)
        self.compiled = result.output
        (self.region,) = (found.candidate.region for found in result.regions)

    def session(self, path: Path, replaced: dict[str, Array]) -> tuple[ort.InferenceSession, object]:
        """Return a session, and what has to live as long."""
        options = ort.SessionOptions()
        options.log_severity_level = 3  # the warning that nothing is reused
        options.register_custom_ops_library(actcache.library_path())
        values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in replaced.items()}
        for name, value in values.items():
            options.add_initializer(name, value)
        return ort.InferenceSession(path, options), values

    def compare(self, replaced: dict[str, Array], calls: list[Array]) -> None:
        """Make calls of the original and of the compiled model, and compare their outputs."""
        (original, _first), (compiled, _second) = (self.session(p, replaced) for p in (self.original, self.compiled))
        for x in calls:
            expected, found = original.run(None, {"x": x})[0], compiled.run(None, {"x": x})[0]
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def growing() -> list[Array]:
    ids = np.random.default_rng(1).integers(0, 500, (2, LONGEST))
    return [ids[:, :length] for length in (16, 32, 33, 64, 48)]


@pytest.mark.parametrize(
    ("mask", "name", "change", "reused"),
    [
        (-np.inf, "mask", np.zeros_like, False),
        (-np.inf, "mask", np.copy, True),
        (-np.inf, "wq", lambda w: w * 2, True),
        (-np.inf, "w1", lambda w: w * 2, True),
        (-1e9, "wq", lambda w: w * 1e9, False),
        (-1e9, "scale", lambda w: w * 1e9, False),
        (-1e9, "w1", lambda w: w * 2, True),
    ],
)
def test_prefixes_are_reused_if_what_closes_later_positions_is_there(
    control: Control, tmp_path: Path, mask: float, name: str, change: Any, reused: bool
) -> None:
    model = Model(tmp_path, mask)
    assert model.region.granularity == "prefix"
    model.compare({}, growing())
    before = control.stats(model.region)
    assert before["hits"] > 0 and before["bypassed"] == 0
    model.compare({name: change(model.weights[name])}, growing())
    after = control.stats(model.region)
    assert (after["hits"] > before["hits"], after["bypassed"] == 0) == (reused, reused)
