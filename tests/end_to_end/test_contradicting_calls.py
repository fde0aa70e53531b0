"""Calls that contradict what a model declares, and pass all the same: the compiled model does as the original."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache
from actcache.base.region_spec import RegionSpec

Array: TypeAlias = "npt.NDArray[np.generic]"
Feed: TypeAlias = dict[str, Array]

RANDOM = np.random.default_rng(7)


def floats(*shape: int) -> Array:
    return np.asarray(RANDOM.normal(0.1, 1.3, shape), np.float32)


def ints(values: object) -> Array:
    return np.asarray(values, np.int64)


class Pair:
    """A model, and what was compiled of it with every region that is safe."""

    def __init__(
        self, folder: Path, text: str, sample: Feed, unshaped: Sequence[str] = (), region: RegionSpec | None = None
    ) -> None:
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {text}')
        for value in [*model.graph.input, *model.graph.output]:
            if value.name in (*unshaped, "y"):
                value.type.tensor_type.ClearField("shape")
        source = folder / "model.onnx"
        onnx.save(model, source)
        regions = () if region is None else (region,)
        self.result = actcache.compile_model(source, samples=[sample], min_saving=0, regions=regions)
        options = [ort.SessionOptions(), ort.SessionOptions()]
        for one in options:
            one.log_severity_level = 4
        self.original = ort.InferenceSession(str(source), options[0], providers=["CPUExecutionProvider"])
        self.session = actcache.InferenceSession(str(self.result.output), options[1])

    def by_rows(self) -> list[tuple[str, ...]]:
        """The frontiers of its regions of rows."""
        regions = [chosen.candidate.region for chosen in self.result.regions]
        return [region.frontier for region in regions if region.granularity == "row"]

    def agree(self, feed: Feed) -> bool:
        """Compare two calls with the original; whether that runs. Where it fails, anything may happen but a crash."""
        try:
            wanted = self.original.run(None, feed)
        except Exception:
            wanted = None
        for _ in range(2):
            if wanted is not None:
                for mine, theirs in zip(self.session.run(None, feed), wanted, strict=True):
                    assert mine.shape == theirs.shape
                    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
        return wanted is not None


#: What is fed to an input declared as a scalar, beside rows x of shape [4, ...].
SHAPES = [(), (1,), (4,), (4, 1), (5, 3), (4, 1, 1), (2, 4, 1), (1, 1, 1, 1)]

SCALED = {
    "product": "t = Mul(x, s) y = Exp(t)",
    "reduced": "t = Mul(x, s) u = Exp(t) y = ReduceSum<keepdims = 0>(u, one)",
    "normalised": "h = Exp(x) t = Mul(h, s) u = Unsqueeze(t, behind) y = Softmax<axis = -1>(u)",
    "mixed before": "q = Softmax<axis = 0>(x) t = Mul(q, s) u = Exp(t) y = ReduceSum<keepdims = 0>(u, one)",
    "expanded": "h = Exp(x) e = Expand(s, wide) y = Mul(h, e)",
}


@pytest.mark.parametrize("nodes", SCALED.values(), ids=SCALED)
def test_a_scalar_that_is_none(nodes: str, tmp_path: Path) -> None:
    constants = "<int64[1] one = {1}, int64[1] behind = {-2}, int64[2] wide = {1, 3}>"
    sample = {"x": floats(4, 3), "s": floats()}
    pair = Pair(tmp_path, f"(float[N, 3] x, float s) => (float y) {constants} {{ {nodes} }}", sample)
    assert pair.by_rows() or "axis = 0" in nodes
    for rows in (4, 1):
        x = floats(rows, 3)
        calls = [{"x": part, "s": floats(*shape)} for shape in SHAPES for part in (x, x[::-1].copy())]
        assert sum(map(pair.agree, calls)) >= 4, "some of these calls should run"


INDEXED = {
    "TopK": ("k = Reshape(i, one) y, other = TopK<axis = 1>(h, k)", [2, [2], [[2]]]),
    "Gather": ("y = Gather<axis = 1>(h, i)", [2, [2], [[2]], [0, 1, 2, 3], [[1, 0], [2, 3]]]),
    "Slice": ("k = Reshape(i, one) y = Slice(h, k, many, one)", [2, [2], [[2]]]),
    "Expand": ("k = Reshape(i, one) e = Expand(c, k) y = Mul(h, e)", [6, [6]]),
    "Reshape": ("k = Reshape(i, one) t = Concat<axis = 0>(whole, k, minus) y = Reshape(h, t)", [2, [2], [[3]]]),
    "Pad": ("k = Reshape(i, one) p = Concat<axis = 0>(nil, k, nil, k) y = Pad(h, p)", [1, [1]]),
    "Range": ("r = Range(nought, i, step) f = Cast<to = 1>(r) y = Mul(h, f)", [6, [6]]),
    "Clip": ("f = Cast<to = 1>(i) y = Clip(h, f)", [1, [1]]),
    "trip count": (
        "y = Loop(i, , h) <body = b (int64 n, bool c, float[A, B] v) => (bool d, float[A, B] w) "
        "{ d = Identity(c) w = Tanh(v) }>",
        [2, [2], [2, 3]],
    ),
    "condition": (
        "flag = Cast<to = 9>(i) y = If(flag) <then_branch = t () => (float[A, B] a) { a = Neg(h) }, "
        "else_branch = e () => (float[A, B] b) { b = Abs(h) }>",
        [0, [1], [[0]], [0, 1]],
    ),
}


@pytest.mark.parametrize(("nodes", "values"), INDEXED.values(), ids=INDEXED)
def test_a_number_that_is_a_tensor(nodes: str, values: Sequence[object], tmp_path: Path) -> None:
    constants = (
        "<int64[1] one = {1}, int64[1] many = {99}, float[1] c = {3}, int64[1] whole = {0}, int64[1] minus = {-1}, "
        "int64[1] nil = {0}, int64 nought = {0}, int64 step = {1}>"
    )
    sample = {"x": floats(4, 6), "i": ints(values[0])}
    pair = Pair(tmp_path, f"(float[N, 6] x, int64 i) => (float y) {constants} {{ h = Exp(x) {nodes} }}", sample)
    assert pair.by_rows()
    for rows in (4, 6, 1, 2):
        x = floats(rows, 6)
        ran = [pair.agree({"x": part, "i": ints(value)}) for value in values for part in (x, x[::-1].copy())]
        assert any(ran)


def test_a_region_that_begins_behind_a_scalar(tmp_path: Path) -> None:
    nodes = "t = Mul(x, s) y = ReduceSum<keepdims = 0>(t, one)"
    text = f"(float[N, 3] x, float s) => (float y) <int64[1] one = {{1}}> {{ {nodes} }}"
    sample = {"x": floats(4, 3), "s": floats()}
    pair = Pair(tmp_path, text, sample, region=RegionSpec("behind", ("t",), ("y",)))
    assert pair.by_rows() == [("t",)]
    x = floats(4, 3)
    assert sum(pair.agree({"x": part, "s": floats(*shape)}) for shape in SHAPES for part in (x, x[::-1].copy())) >= 8


def test_an_input_without_a_shape_has_any_rank(tmp_path: Path) -> None:
    text = "(float[N, 3] x, float s) => (float y) { h = Exp(x) t = Mul(h, s) y = Softmax<axis = -1>(t) }"
    pair = Pair(tmp_path, text, {"x": floats(4, 3), "s": floats()}, unshaped=["s"])
    x = floats(4, 3)
    assert sum(pair.agree({"x": part, "s": floats(*shape)}) for shape in SHAPES for part in (x, x[::-1].copy())) >= 8


@pytest.mark.parametrize(("names", "first"), [("NM", "x"), ("NM", "z"), ("NN", "x"), ("??", "z")])
def test_batches_of_different_sizes(names: str, first: str, tmp_path: Path) -> None:
    """Neither does a plan of buffers take them for equal where the model does not."""
    a, b = ("a", "b") if first == "x" else ("b", "a")
    nodes = f"a = Exp(x) b = Exp(z) c = Add({a}, {b}) d = Add(c, {b}) y = Tanh(d)"
    text = f"(float[{names[0]}, 3] x, float[{names[1]}, 3] z) => (float y) {{ {nodes} }}"
    pair = Pair(tmp_path, text, {"x": floats(4, 3), "z": floats(4, 3)}, region=RegionSpec("r", ("x", "z"), ("y",)))
    assert [set(frontier) for frontier in pair.by_rows()] == [{"x", "z"}]
    ran = [pair.agree({"x": floats(n, 3), "z": floats(m, 3)}) for n, m in ((4, 4), (4, 1), (1, 4), (3, 3), (1, 1))]
    assert all(ran) or names == "NN"


@pytest.mark.parametrize("rows", range(1, 10))
def test_batches_as_large_as_another_axis(rows: int, square: Pair) -> None:
    for width in (rows, 3):
        assert square.agree({"x": floats(rows, width), "s": floats()})
        assert square.agree({"x": floats(rows, width), "s": floats(rows, 1)})
        square.agree({"x": floats(rows, width), "s": floats(width)})
        square.agree({"x": floats(rows, width), "s": floats(rows, rows, 1)})


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    text = "(float[N, N] x, float s) => (float y) { h = Exp(x) t = Mul(h, s) p = Softmax<axis = -1>(t) y = Add(p, h) }"
    pair = Pair(tmp_path_factory.mktemp("square"), text, {"x": floats(4, 4), "s": floats()})
    assert pair.by_rows()
    return pair
