"""A compiled model that another tool reads and writes again: it loads and is right, or is refused with a clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx.version_converter
import onnx_graphsurgeon as gs
import onnxruntime as ort
import pytest

import actcache
from actcache.passes.graph.nodes import all_nodes, subgraphs

Tool = Callable[[onnx.ModelProto, Path], None]

#: Regions inside one another, a weight that two of them share, sizes that belong together (``s``), a body (``t``).
MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 64] x, float[M, 64] z, bool flag) => (float[N, 64] y, float[M, N] s, float[N, 64] t) {
    a = MatMul(x, w)
    b = Relu(a)
    c = MatMul(b, v)
    y = Tanh(c)
    turned = Transpose<perm = [1, 0]>(y)
    e = MatMul(z, w)
    f = MatMul(e, v)
    s = MatMul(f, turned)
    t = If(flag) <
        then_branch = yes () => (float[N, 64] one) { one = Neg(y) },
        else_branch = no () => (float[N, 64] two) { two = MatMul(b, v) }
    >
}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, actcache.CompileResult]:
    folder = tmp_path_factory.mktemp("tools")
    proto = onnx.parser.parse_model(MODEL)
    generator = np.random.default_rng(0)
    for name, shape in (("w", (64, 256)), ("v", (256, 64))):
        weights = generator.standard_normal(shape).astype(np.float32) / 8
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    onnx.save(proto, folder / "written_again.onnx")
    return folder / "written_again.onnx", actcache.compile_model(folder / "written_again.onnx", min_saving=0)


def through_graphsurgeon(model: onnx.ModelProto, path: Path) -> None:
    graph = gs.import_onnx(model)
    onnx.save(gs.export_onnx(graph), path)


def cleaned_by_graphsurgeon(model: onnx.ModelProto, path: Path) -> None:
    graph = gs.import_onnx(model)
    graph.fold_constants().cleanup().toposort()
    onnx.save(gs.export_onnx(graph), path)


def for_the_next_opset(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(onnx.version_converter.convert_version(model, 18), path)


def with_external_data(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=0)


def with_shapes_inferred(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=False), path)


def slimmed(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(pytest.importorskip("onnxslim").slim(model), path)


TOOLS = [
    through_graphsurgeon,
    cleaned_by_graphsurgeon,
    for_the_next_opset,
    with_external_data,
    with_shapes_inferred,
    slimmed,
]


@pytest.mark.parametrize("tool", TOOLS)
def test_what_a_tool_writes_again_works(
    tool: Tool, models: tuple[Path, actcache.CompileResult], tmp_path: Path
) -> None:
    source, result = models
    tool(onnx.load(result.output), tmp_path / "model.onnx")
    reference = ort.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    session = actcache.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    actcache.invalidate()
    ids = [region.candidate.region.id for region in result.regions]
    hits = sum(actcache.stats()["regions"][name]["hits"] for name in ids)
    for flag in (True, False, True):
        generator = np.random.default_rng(1)
        feed = {name: generator.standard_normal((5, 64)).astype(np.float32) for name in ("x", "z")}
        feed["flag"] = np.array(flag)
        for mine, wanted in zip(session.run(None, feed), reference.run(None, feed), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-4)
    assert ids and sum(actcache.stats()["regions"][name]["hits"] for name in ids) >= hits + 10


def test_a_model_whose_types_were_changed_is_refused(
    models: tuple[Path, actcache.CompileResult], tmp_path: Path
) -> None:
    """As onnxruntime's converter to float16 does, which declares other types and leaves attributes as they are."""
    _, result = models
    proto = onnx.load(result.output)
    graphs = [proto.graph, *(body for node in all_nodes(proto.graph.node) for body in subgraphs(node))]
    values = [v for graph in graphs for v in [*graph.input, *graph.output, *graph.value_info]]
    floats = [v.type.tensor_type for v in values if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    assert floats
    for described in floats:
        described.elem_type = onnx.TensorProto.FLOAT16
    for tensor in (tensor for graph in graphs for tensor in graph.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT:
            half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(Exception, match=r"element type 10 in the model.* changed after it was compiled"):
        actcache.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
