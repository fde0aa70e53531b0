"""Weights that onnxruntime computes with when it loads a model, and that a session replaces after that.

``SessionOptions.add_initializer`` takes effect after constants are folded. The compiled model then gives what the
original gives, or the session is refused with a message that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from hand_written import Control

import actcache
from actcache.passes.graph.nodes import all_nodes
from actcache.passes.rewrite.weight_samples import Sample

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]
LEVELS = ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"]
REFUSED = 'this session replaces the weight "w" with SessionOptions.add_initializer'

CONV = """<ir_version: 8, opset_import: ["" : {opset}]> g ({type}[N, {sizes}] x) => ({type}[N, K] y) {{
    c = Conv(x, w) r = Relu(c) f = Flatten(r) y = MatMul(f, v) }}"""
QDQ = """<ir_version: 8, opset_import: ["" : {opset}]> g (float[N, 64] x) => (float[N, 128] y) {{
    d = DequantizeLinear<axis = 1>(w, s, z) m = MatMul(x, d) y = Tanh(m) }}"""


class Case:
    """A model with a weight `w` that the compiled model brings into a branch, and input for it."""

    def __init__(self, text: str, x: Array, weights: Weights) -> None:
        self.text, self.x, self.weights = text, x, weights

    @property
    def tolerance(self) -> float:
        """Of bytes, the original computes with inputs of a byte, too, from ORT_ENABLE_EXTENDED on."""
        exact = self.x.dtype == np.float32 and self.weights["w"].dtype.itemsize > 1
        return 2e-5 if exact else 0.08

    def other(self) -> Array:
        """Values for `w` that change the outputs."""
        return np.ascontiguousarray(np.flip(self.weights["w"]))


def _conv(shape: tuple[int, ...], sizes: tuple[int, ...], dtype: Any, opset: int = 17) -> Case:
    rng = np.random.default_rng(0)
    flat = shape[0] * int(np.prod([a - b + 1 for a, b in zip(sizes[1:], shape[2:], strict=True)]))
    weights = {"w": rng.standard_normal(shape) * 0.1, "v": rng.standard_normal((flat, 256)) * 0.1}
    kind = {np.float32: "float", np.float16: "float16"}[dtype]
    return Case(
        CONV.format(opset=opset, type=kind, sizes=", ".join(map(str, sizes))),
        rng.standard_normal((3, *sizes)).astype(dtype),
        {name: value.astype(dtype) for name, value in weights.items()},
    )


def _dequantized(dtype: Any, opset: int) -> Case:
    rng = np.random.default_rng(0)
    least = 0 if np.dtype(dtype).kind == "u" else -100
    weights = {"w": rng.integers(least, 100, (64, 128)), "z": np.zeros(128)}
    return Case(
        QDQ.format(opset=opset),
        rng.standard_normal((3, 64)).astype(np.float32),
        {**{name: value.astype(dtype) for name, value in weights.items()}, "s": np.full(128, 0.01, np.float32)},
    )


CASES = {
    "conv2d": _conv((64, 8, 3, 3), (8, 8, 8), np.float32),
    "conv2d of opset 8": _conv((64, 8, 3, 3), (8, 8, 8), np.float32, 8),
    "conv2d of opset 11": _conv((64, 8, 3, 3), (8, 8, 8), np.float32, 11),
    "conv1d": _conv((64, 8, 9), (8, 32), np.float32),
    "conv of float16": _conv((64, 8, 3, 3), (8, 8, 8), np.float16),
    "int8": _dequantized(np.int8, 17),
    "uint8": _dequantized(np.uint8, 17),
    "uint16": _dequantized(np.uint16, 21),
}


def _save(case: Case, path: Path, external: bool = False) -> None:
    proto = onnx.parser.parse_model(case.text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in case.weights.items())
    onnx.save(proto, path, save_as_external_data=external, location="m.data", size_threshold=0)


def _run(path: Path, case: Case, level: str, change: Callable[[ort.SessionOptions], object]) -> Array:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.register_custom_ops_library(actcache.library_path())
    kept = change(options)
    session = ort.InferenceSession(str(path), options)
    result: Array = session.run(None, {"x": case.x})[0]
    _agree(case, result, session.run(None, {"x": case.x})[0])
    del kept
    return result


def _late(values: Array) -> Callable[[ort.SessionOptions], object]:
    def change(options: ort.SessionOptions) -> object:
        kept = ort.OrtValue.ortvalue_from_numpy(values)
        options.add_initializer("w", kept)
        return kept

    return change


def _early(values: Array) -> Callable[[ort.SessionOptions], object]:
    def change(options: ort.SessionOptions) -> object:
        kept = [ort.OrtValue.ortvalue_from_numpy(values)]
        options.add_external_initializers(["w"], kept)
        return kept

    return change


def _agree(case: Case, left: Array, right: Array) -> None:
    np.testing.assert_allclose(left.astype(np.float32), right.astype(np.float32), rtol=0, atol=case.tolerance)


@pytest.mark.parametrize("name", CASES)
def test_what_comes_too_late_is_refused(name: str, control: Control, tmp_path: Path) -> None:
    case = CASES[name]
    original = tmp_path / "m.onnx"
    _save(case, original)
    compiled = actcache.compile_model(original, min_saving=0).output
    for level in LEVELS:
        control.invalidate()
        plain = _run(original, case, level, lambda _: None)
        _agree(case, _run(compiled, case, level, lambda _: None), plain)
        _agree(case, _run(compiled, case, level, _late(case.weights["w"].copy())), plain)  # the same values
        replaced = _run(original, case, level, _late(case.other()))
        if level == "ORT_DISABLE_ALL":
            assert not np.allclose(plain, replaced, atol=0.5)
            _agree(case, _run(compiled, case, level, _late(case.other())), replaced)
            continue
        with pytest.raises(Exception, match=REFUSED):
            _run(compiled, case, level, _late(case.other()))
        _agree(case, _run(compiled, case, level, lambda _: None), plain)


@pytest.mark.parametrize("how", ["add_external_initializers", "add_external_initializers_from_files_in_memory"])
@pytest.mark.parametrize("name", ["conv2d", "conv1d"])
def test_what_comes_in_time_is_computed_with(name: str, how: str, control: Control, tmp_path: Path) -> None:
    case = CASES[name]
    original = tmp_path / "m.onnx"
    _save(case, original, external=True)
    compiled = actcache.compile_model(original, min_saving=0).output
    for level in LEVELS:
        control.invalidate()
        plain = _run(original, case, level, lambda _: None)
        replaced = _run(original, case, level, _early(case.other()))
        assert not np.allclose(plain, replaced, atol=0.5)
        early = _early(case.other()) if how == "add_external_initializers" else _file(compiled, case.other())
        for _ in range(2):
            _agree(case, _run(compiled, case, level, lambda _: None), plain)
            _agree(case, _run(compiled, case, level, early), replaced)


@pytest.mark.parametrize("opset", [8, 17])
def test_what_differs_in_a_few_values_is_refused_or_computed_with(opset: int, control: Control, tmp_path: Path) -> None:
    """The sample has few of the values: where it does not show who replaced what, the session is refused."""
    case = _conv((64, 8, 3, 3), (8, 8, 8), np.float32, opset)
    original = tmp_path / "m.onnx"
    _save(case, original, external=True)
    compiled = actcache.compile_model(original, min_saving=0).output
    plain = _run(original, case, "ORT_ENABLE_ALL", lambda _: None)
    sampled = Sample.of(case.weights["w"].shape).elements(case.weights["w"].shape)
    for index in (0, sampled.start, sampled.stop - 1):
        values = case.weights["w"].copy()
        values.reshape(-1)[index] += 50
        for level in ("ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"):
            control.invalidate()
            with pytest.raises(Exception, match=REFUSED if index else "cannot be told whether"):
                _run(compiled, case, level, _late(values))
            if index:
                replaced = _run(original, case, level, _early(values))
                assert not np.allclose(plain, replaced, atol=0.5)
                _agree(case, _run(compiled, case, level, _early(values)), replaced)
            else:
                with pytest.raises(Exception, match="cannot be told whether"):
                    _run(compiled, case, level, _early(values))
            _agree(case, _run(compiled, case, level, lambda _: None), plain)


@pytest.mark.parametrize(
    ("name", "operator"), [("conv2d", ("com.microsoft.nchwc", "Conv")), ("int8", ("com.microsoft", "MatMulNBits"))]
)
def test_samples_leave_the_blocked_and_the_packed_layout(name: str, operator: tuple[str, str], tmp_path: Path) -> None:
    case = CASES[name]
    original = tmp_path / "m.onnx"
    _save(case, original)
    compiled = actcache.compile_model(original, min_saving=0).output
    counts = []
    for path in (original, compiled):
        written = path.with_suffix(".optimised.onnx")

        def write(options: ort.SessionOptions, written: Path = written) -> None:
            options.optimized_model_filepath = str(written)

        _run(path, case, "ORT_ENABLE_ALL", write)
        nodes = list(all_nodes(onnx.load(written, load_external_data=False).graph.node))
        counts.append([(n.domain, n.op_type) for n in nodes].count(operator))
        assert not any(n.op_type == "Slice" for n in nodes)  # samples are taken when the model is loaded
    assert counts[0] == counts[1]
    if name == "conv2d" or ort.__version__ >= "1.32":
        assert counts == [1, 1]


def test_a_small_weight_that_was_outside_can_be_replaced(control: Control, tmp_path: Path) -> None:
    """However little there is in its file."""
    rng = np.random.default_rng(0)
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 8] x) => (float[N, 8] y) {
        m = MatMul(x, w) y = Tanh(m) }"""
    x, weights = rng.standard_normal((3, 8)).astype(np.float32), {"w": rng.standard_normal((8, 8)).astype(np.float32)}
    case = Case(text, x, weights)
    original = tmp_path / "m.onnx"
    _save(case, original, external=True)
    result = actcache.compile_model(original, min_saving=0)
    assert len(result.files) == 2
    control.invalidate()
    plain = _run(original, case, "ORT_ENABLE_ALL", lambda _: None)
    replaced = _run(original, case, "ORT_ENABLE_ALL", _early(case.other()))
    assert not np.allclose(plain, replaced, atol=0.1)
    for _ in range(2):
        _agree(case, _run(result.output, case, "ORT_ENABLE_ALL", lambda _: None), plain)
        _agree(case, _run(result.output, case, "ORT_ENABLE_ALL", _early(case.other())), replaced)


def _file(model: Path, values: Array) -> Callable[[ort.SessionOptions], object]:
    """The weight file of `model` with other values for `w`, in memory."""
    proto = onnx.load(model, load_external_data=False)
    where = {e.key: e.value for t in proto.graph.initializer if t.name == "w" for e in t.external_data}
    data = bytearray((model.parent / where["location"]).read_bytes())
    start = int(where.get("offset", 0))
    data[start : start + values.nbytes] = values.tobytes()
    content = bytes(data)

    def change(options: ort.SessionOptions) -> object:
        options.add_external_initializers_from_files_in_memory([where["location"]], [content], [len(content)])
        return content

    return change
