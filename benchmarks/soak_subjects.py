"""What a soak runs: compiled models, each with a population of inputs and the original's outputs for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import onnxruntime as ort

import actcache
from benchmarks.sessions import folder
from models import Feed, feed
from models.fetch import fetch

Array = np.ndarray[Any, Any]


class Subject:
    """A compiled model whose rows are reused one by one (or, with `whole`, whose calls are).

    Attributes:
        name: How reports name it.
        population: How many different rows (calls) there are.
        most_rows: The most that one call takes.
        outputs: Names of its outputs.
        tolerance: How much its outputs may be off, relative to the largest magnitude: four times what the original's
            rows differ by between batches of other sizes.
        session: The compiled model, loaded. Replaced now and then; take it once per call.
    """

    session: ort.InferenceSession

    def __init__(
        self, name: str, original: Path, rows_of: Callable[[int, int], Feed], population: int, *, whole: bool = False
    ) -> None:
        """Compile `original` and run it on its population. ``rows_of(count, seed)`` makes inputs."""
        self.name = name
        self.population = population
        self.most_rows = 1 if whole else 8
        self._compiled = folder() / f"{name}.soak.onnx"
        sample = rows_of(3, 0)
        result = actcache.compile_model(original, self._compiled, samples=[sample], verify=False)
        regions = [region.candidate.region for region in result.regions]
        if whole != all(region.granularity == "tensor" for region in regions):
            raise RuntimeError(f"{name} is compiled otherwise than a soak expects: {regions}")
        self._feeds = [rows_of(3 if whole else 1, seed) for seed in range(1, population + 1)]
        plain = ort.InferenceSession(str(original), _options(), providers=["CPUExecutionProvider"])
        self._expected = [plain.run(None, row) for row in self._feeds]
        self.tolerance = self._rounding(plain) * 4 + 1e-6
        self.outputs = [output.name for output in plain.get_outputs()]
        self.open_session()

    def open_session(self) -> None:
        """Load the compiled model; calls that run meanwhile end in the session they began in."""
        options = _options()
        options.register_custom_ops_library(actcache.library_path())
        self.session = ort.InferenceSession(str(self._compiled), options, providers=["CPUExecutionProvider"])

    def _rounding(self, plain: ort.InferenceSession) -> float:
        worst = 0.0
        for rows in ([*range(first, first + self.most_rows)] for first in range(0, self.population // 8 * 8, 8)):
            for got, expected in zip(plain.run(None, self.take(rows)), self.expected(rows), strict=True):
                worst = max(worst, difference(got, expected))
        return worst

    def take(self, rows: list[int]) -> Feed:
        """Return the inputs of a call on these rows."""
        return {name: np.concatenate([self._feeds[row][name] for row in rows]) for name in self._feeds[0]}

    def expected(self, rows: list[int]) -> list[Array]:
        """Return what the original gives for them."""
        return [np.concatenate(parts) for parts in zip(*(self._expected[row] for row in rows), strict=True)]


def difference(got: Array, expected: Array) -> float:
    """Return the largest difference, relative to the largest magnitude; infinite if it cannot be told."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf")
    if got.tobytes() == expected.tobytes() or got.size == 0:
        return 0.0
    scale = max(1.0, float(np.abs(expected).max()))
    off = float(np.abs(got.astype(np.float64) - expected).max()) / scale
    return off if off == off else float("inf")


def subjects() -> list[Subject]:
    """Return small entries and large ones, cheap regions and dear ones, and one that is reused whole."""
    made_up = folder() / "wide.onnx"
    onnx.save(_wide_model(), made_up)
    return [
        Subject("wide", made_up, _wide_rows, 2000),
        Subject("magika", fetch("magika_v3_3"), lambda rows, seed: feed("magika_v3_3", rows, seed=seed), 400),
        Subject("texts", fetch("paraphrase_minilm_l3"), _texts, 400),
        Subject("coupled", fetch("flan_t5_small_enc_int8"), _coupled, 100, whole=True),
    ]


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # the soak has threads of its own
    options.log_severity_level = 3
    return options


def _texts(rows: int, seed: int) -> Feed:
    return feed("paraphrase_minilm_l3", rows, seed=seed, size=24)


def _coupled(rows: int, seed: int) -> Feed:
    return feed("flan_t5_small_enc_int8", rows, seed=seed, size=16)


def _wide_model() -> onnx.ModelProto:
    """``y = tanh(tanh(x · a) · b)``: rows of 64 numbers to rows of 8192, 32 KiB each."""
    random = np.random.default_rng(5)
    weights = [
        onnx.numpy_helper.from_array(random.standard_normal(shape, np.float32) / 8, name)
        for name, shape in (("a", (64, 512)), ("b", (512, 8192)))
    ]
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    wide (float[N, 64] x) => (float[N, 8192] y) {
        xa = MatMul(x, a)
        h = Tanh(xa)
        hb = MatMul(h, b)
        y = Tanh(hb)
    }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(weights)
    return model


def _wide_rows(rows: int, seed: int) -> Feed:
    return {"x": np.random.default_rng(seed).standard_normal((rows, 64), np.float32)}
