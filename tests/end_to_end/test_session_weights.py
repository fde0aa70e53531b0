"""Keys cover the weights that a session really has, whoever replaced those of the model, and when.

Each test runs the original with the same change, and sessions with other weights before and after in one process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
Weights = dict[str, Array]

CONV = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 8, 8, 8] x) => (float[N, 64] y) {
    c = Conv<pads = [1, 1, 1, 1]>(x, w, b) r = Relu(c) f = Flatten(r) m = MatMul(f, v) a = Add(m, p) y = Tanh(a) }"""
MLP = """<ir_version: 8, opset_import: ["" : 17]> g (int64[N, 4] x) => (float[N, 64] y, float[N, 64] z) {
    e = Gather(table, x) s = ReduceMean<axes = [1], keepdims = 0>(e) h = MatMul(s, w) i = Add(h, b) t = Tanh(i)
    k = Gemm(t, v, c) l = LayerNormalization(k, scale, shift) q = Mul(l, factor) y = Tanh(q) z = Add(s, b) }"""
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    CONV: {"w": (64, 8, 3, 3), "b": (64,), "v": (4096, 64), "p": (64,)},
    MLP: {
        **{"table": (5000, 64), "w": (64, 64), "b": (64,), "v": (64, 64), "c": (64,)},
        **{"scale": (64,), "shift": (64,), "factor": (1,)},
    },
}


def weights_of(text: str, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    return {name: (rng.standard_normal(shape) * 0.3).astype(np.float32) for name, shape in SHAPES[text].items()}


def changed(weights: Weights, name: str) -> Weights:
    """Other values for one weight; of the table, for one row."""
    values = weights[name].copy()
    if name == "table":
        values[7] += 1
    else:
        values = np.ascontiguousarray(values * 1.5 + 0.25)
    return {name: values}


def feed(text: str) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    if text == CONV:
        return {"x": rng.standard_normal((3, 8, 8, 8)).astype(np.float32)}
    ids = rng.integers(10, 5000, (4, 4))
    ids[1] = [1, 7, 3, 7]
    return {"x": ids}


class Model:
    """An original and what was compiled of it, in one folder."""

    def __init__(self, folder: Path, text: str, external: bool) -> None:
        self.text, self.weights = text, weights_of(text)
        proto = onnx.parser.parse_model(text)
        proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in self.weights.items())
        self.original = folder / "m.onnx"
        folder.mkdir()
        onnx.save(proto, self.original, save_as_external_data=external, location="m.data", size_threshold=0)
        result = actcache.compile_model(self.original, min_saving=0)
        self.files = result.files
        self.path = result.output
        assert [region.candidate.region.granularity for region in result.regions] == ["row"]

    def run(self, path: Path, change: Callable[[ort.SessionOptions], object] = lambda _: None) -> list[Array]:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        if path == self.path:
            options.register_custom_ops_library(actcache.library_path())
        kept = change(options)
        session = ort.InferenceSession(str(path), options)
        results: list[Array] = session.run(None, feed(self.text))
        if path == self.path:  # the second call is served
            again = session.run(None, feed(self.text))
            assert all(np.array_equal(a, b) for a, b in zip(results, again, strict=True))
        del kept
        return results

    def hits(self) -> int:
        return sum(region["hits"] for region in actcache.stats()["regions"].values())


@pytest.fixture
def model(control: Control, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Model]:
    control.invalidate()
    return lambda text, external: Model(tmp_path_factory.mktemp("models") / "m", text, external)


def agree(left: Sequence[Array], right: Sequence[Array]) -> None:
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6)


def by_initializers(values: Weights) -> Callable[[ort.SessionOptions], object]:
    def change(options: ort.SessionOptions) -> object:
        kept = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in values.items()}
        for name, value in kept.items():
            options.add_initializer(name, value)
        return kept

    return change


def by_external_initializers(values: Weights) -> Callable[[ort.SessionOptions], object]:
    def change(options: ort.SessionOptions) -> object:
        kept = [ort.OrtValue.ortvalue_from_numpy(value) for value in values.values()]
        options.add_external_initializers(list(values), kept)
        return kept

    return change


@pytest.mark.parametrize("first", ["plain", "replaced"])
@pytest.mark.parametrize(("text", "name"), [(t, n) for t, names in SHAPES.items() for n in names])
@pytest.mark.parametrize("how", [by_initializers, by_external_initializers])
def test_replaced_weights(how: Any, text: str, name: str, first: str, model: Callable[..., Model]) -> None:
    if how is by_external_initializers and SHAPES[text][name] == (1,):
        pytest.skip("scalars are stored in the compiled model")
    if how is by_initializers and (text, name) == (CONV, "w"):
        pytest.skip("refused: test_late_weights.py")
    subject = model(text, how is by_external_initializers)
    replaced = how(changed(subject.weights, name))
    plain_outputs = subject.run(subject.original)
    replaced_outputs = subject.run(subject.original, replaced)
    for turn in ("plain", "replaced") * 2 if first == "plain" else ("replaced", "plain") * 2:
        if turn == "plain":
            agree(subject.run(subject.path), plain_outputs)
        else:
            agree(subject.run(subject.path, replaced), replaced_outputs)


def test_a_bias_that_is_replaced_too_late_is_refused(model: Callable[..., Model]) -> None:
    """Of an external bias the branch has a copy, made before add_initializer's value is there."""
    subject = model(CONV, True)
    replaced = by_initializers(changed(subject.weights, "b"))
    subject.run(subject.original, replaced)
    with pytest.raises(Exception, match='the constant "b@m" is in the model twice'):
        subject.run(subject.path, replaced)
    agree(subject.run(subject.path), subject.run(subject.original))


def test_sessions_of_the_same_weights_share(model: Callable[..., Model]) -> None:
    subject = model(MLP, False)
    rows = len(feed(MLP)["x"])
    before = subject.hits()
    subject.run(subject.path)
    assert subject.hits() == before + rows  # of the second call
    subject.run(subject.path)
    assert subject.hits() == before + 2 * rows  # in the first call, the entries of another session are compared
    replaced = by_initializers({name: value.copy() for name, value in subject.weights.items()})
    subject.run(subject.path, replaced)  # by the same values
    assert subject.hits() == before + 3 * rows
    subject.run(subject.path, by_initializers(changed(subject.weights, "b")))
    assert subject.hits() == before + 4 * rows


@pytest.mark.parametrize("text", [CONV, MLP])
def test_a_weight_file_that_is_replaced_under_a_process(text: str, model: Callable[..., Model]) -> None:
    """Another tool writes other weights into a file of the same name; sessions of both stand side by side."""
    subject = model(text, False)
    before = subject.run(subject.original)
    agree(subject.run(subject.path), before)
    data = subject.files[1]
    values = np.frombuffer(data.read_bytes(), np.float32)
    temporary = data.with_suffix(".new")
    temporary.write_bytes((values * np.float32(0.75)).tobytes())
    temporary.replace(data)
    # The original with the same change: large weights only, as small ones stand in the model.
    large = {name: value for name, value in subject.weights.items() if value.nbytes > 4096}
    assert 0 < len(large) < len(subject.weights)
    proto = onnx.load(subject.original)
    for tensor in proto.graph.initializer:
        if tensor.name in large:
            tensor.CopyFrom(onnx.numpy_helper.from_array(large[tensor.name] * np.float32(0.75), tensor.name))
    other = subject.original.with_name("other.onnx")
    onnx.save(proto, other)
    after = subject.run(other)
    assert not np.allclose(before[0], after[0], atol=1e-3)
    agree(subject.run(subject.path), after)


@pytest.mark.parametrize(("text", "name"), [(t, n) for t, names in SHAPES.items() for n in names])
def test_a_compiled_model_that_another_tool_edits(text: str, name: str, model: Callable[..., Model]) -> None:
    subject = model(text, False)
    agree(subject.run(subject.path), subject.run(subject.original))
    values = changed(subject.weights, name)[name]
    for path in (subject.original, subject.path):
        proto = onnx.load(path)
        edited = 0
        for tensor in _tensors(proto.graph):
            if tensor.name in (name, f"{name}@m"):
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
                edited += 1
        assert edited > 0
        onnx.save(proto, path)
    agree(subject.run(subject.path), subject.run(subject.original))


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += _tensors(attribute.g)
    return found
