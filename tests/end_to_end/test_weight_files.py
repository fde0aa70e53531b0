"""Weights beside a compiled model load wherever onnxruntime loads those of the original: through links, too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import actcache

ROOT = Path(__file__).resolve().parents[2]
OLDEST = ROOT / ".venv-oldest" / "bin" / "python"

#: A convolution whose weights onnxruntime repacks, and matrices; over 1 MiB, so that a weight file is written.
MODEL = """<ir_version: 8, opset_import: ["" : 17]> g (float[N, 8, 8, 8] x) => (float[N, 64] y) {
    c = Conv<pads = [1, 1, 1, 1]>(x, w, b) r = Relu(c) f = Flatten(r)
    m = MatMul(f, v) a = Add(m, p) y = Tanh(a) }"""
SHAPES = {"w": (64, 8, 3, 3), "b": (64,), "v": (4096, 64), "p": (64,)}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compiled")
    rng = np.random.default_rng(0)
    proto = onnx.parser.parse_model(MODEL)
    for name, shape in SHAPES.items():
        values = rng.standard_normal(shape).astype(np.float32) * 0.05
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(proto, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    result = actcache.compile_model(folder / "m.onnx", min_saving=0)
    assert len(result.files) == 2
    return result.files[0], result.files[1]


def _copied(source: Path, target: Path) -> None:
    shutil.copy(source, target)


def _linked(source: Path, target: Path) -> None:
    target.symlink_to(source)


def _linked_relatively(source: Path, target: Path) -> None:
    target.symlink_to(os.path.relpath(source, target.parent))


def _shared(source: Path, target: Path) -> None:
    """A second hard link; the first is a file of the test's own, so that other tests have files of one link."""
    own = target.with_name(f"own-{target.name}")
    shutil.copy(source, own)
    os.link(own, target)


Place = Callable[[Path, Path], None]
PLACES: list[tuple[Place, Place]] = [
    (_linked, _linked),
    (_linked_relatively, _linked_relatively),
    (_linked, _copied),
    (_shared, _shared),
    (_copied, _shared),
    (_linked, _shared),
]


@pytest.mark.parametrize(("model", "data"), PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("how", ["absolute", "relative", "bytes"])
def test_links_load(
    model: Place, data: Place, how: str, compiled: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, path in zip((model, data), compiled, strict=True):
        place(path, tmp_path / path.name)
    options = ort.SessionOptions()
    options.register_custom_ops_library(actcache.library_path())
    path = tmp_path / compiled[0].name
    if how == "bytes":
        if data is not _copied and data is not _shared:
            pytest.skip("onnxruntime refuses links out of the folder that it is given, for the original too")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(tmp_path))
        session = ort.InferenceSession(path.read_bytes(), options)
    else:
        monkeypatch.chdir(tmp_path)
        session = ort.InferenceSession(path.name if how == "relative" else str(path), options)
    original = ort.InferenceSession(str(compiled[0].with_name("m.onnx")))
    x = np.random.default_rng(1).standard_normal((3, 8, 8, 8)).astype(np.float32)
    for _ in range(2):
        np.testing.assert_allclose(session.run(None, {"x": x})[0], original.run(None, {"x": x})[0], atol=1e-6)


@pytest.mark.skipif(not OLDEST.exists(), reason="no .venv-oldest; `make test` prepares it")
@pytest.mark.parametrize(("model", "data"), PLACES, ids=lambda place: place.__name__)
def test_links_load_in_the_oldest_onnxruntime(
    model: Place, data: Place, compiled: tuple[Path, Path], tmp_path: Path
) -> None:
    for place, path in zip((model, data), compiled, strict=True):
        place(path, tmp_path / path.name)
    script = """
import sys
import numpy as np
import onnxruntime as ort
options = ort.SessionOptions()
options.register_custom_ops_library(sys.argv[1])
session = ort.InferenceSession(sys.argv[2], options)
print(session.run(None, {"x": np.ones((2, 8, 8, 8), np.float32)})[0].shape)
"""
    command = [str(OLDEST), "-c", script, actcache.library_path(), str(tmp_path / compiled[0].name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "(2, 64)", done.stderr


def test_convolutions_keep_their_blocked_layout(compiled: tuple[Path, Path], tmp_path: Path) -> None:
    """The weights stand in the main graph; the optimised branch has the operators of the flat model."""

    def optimised(path: Path) -> list[str]:
        options = ort.SessionOptions()
        options.register_custom_ops_library(actcache.library_path())
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        ort.InferenceSession(str(path), options)
        graph = onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph
        own = ("CacheLookup", "CacheStore", "CacheFetch", "If", "Identity")
        return sorted(node.op_type for node in _nodes(graph) if node.op_type not in own)

    proto = onnx.load(compiled[0], load_external_data=False)
    assert {t.name for t in proto.graph.initializer} >= {"w", "v"}
    operators = optimised(compiled[0].with_name("m.onnx"))
    assert "Conv" in operators
    assert optimised(compiled[0]) == operators


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    found = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found += _nodes(attribute.g)
    return found
