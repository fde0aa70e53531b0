"""What the compiler does not touch survives, field by field, and comes back when the regions are taken out again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from described import described_model
from google.protobuf.message import Message

import actcache
from actcache.passes.rewrite.inline_regions import inline_regions


def feed(rows: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {
        "x": generator.standard_normal((rows, 5, 64)).astype(np.float32),
        "state": generator.standard_normal((rows, 64)).astype(np.float32),
        "names": np.array([f"name {i}" for i in range(rows)], dtype=object),
    }


def compiled(proto: onnx.ModelProto, folder: Path, **options: object) -> onnx.ModelProto:
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, folder / "m.onnx")
    result = actcache.compile_model(folder / "m.onnx", min_saving=0, samples=[feed()], **options)  # type: ignore[arg-type]
    written = onnx.load(result.output)
    onnx.checker.check_model(written, full_check=True)
    return written


def by_name(messages: object, attribute: str = "name") -> dict[str, bytes]:
    return {getattr(m, attribute): m.SerializeToString(deterministic=True) for m in messages}  # type: ignore[attr-defined]


def set_fields(message: Message, *leave_out: str) -> dict[str, object]:
    return {d.name: v for d, v in message.ListFields() if d.name not in leave_out}


def bodies(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [graph, *(body for g in inner for body in bodies(g))]


@pytest.mark.parametrize("granularity", ["auto", "tensor"])
def test_what_is_not_touched_survives(granularity: str, tmp_path: Path) -> None:
    proto = described_model()
    written = compiled(proto, tmp_path, granularity=granularity)
    assert set_fields(written, "graph", "opset_import", "metadata_props") == set_fields(
        proto, "graph", "opset_import", "metadata_props"
    )
    assert list(written.opset_import)[:-1] == list(proto.opset_import)
    assert list(written.metadata_props)[:-1] == list(proto.metadata_props)
    assert (written.opset_import[-1].domain, written.metadata_props[-1].key) == ("ai.actcache", "actcache.manifest")
    changed = ("node", "initializer", "value_info", "quantization_annotation")
    assert set_fields(written.graph, *changed) == set_fields(proto.graph, *changed)

    graphs = bodies(written.graph)
    assert len(graphs) > 1
    nodes = {node.name: node for graph in graphs for node in graph.node}
    for node in proto.graph.node:
        mine = nodes[node.name]
        assert set_fields(mine, "input", "output") == set_fields(node, "input", "output")
        assert [n.split("@")[0] for n in [*mine.input, *mine.output]] == [*node.input, *node.output]
    tensors = {name: data for graph in graphs for name, data in by_name(graph.initializer).items()}
    assert by_name(proto.graph.initializer).items() <= tensors.items()
    order = [t.name for t in proto.graph.initializer]
    for graph in graphs:
        assert [t.name for t in graph.initializer if "@" not in t.name] == [
            n for n in order if n in {t.name for t in graph.initializer}
        ]
    values = {value.name: value for graph in graphs for value in graph.value_info}
    for value in proto.graph.value_info:
        assert values[value.name].doc_string == value.doc_string
        assert values[value.name].metadata_props[0] == value.metadata_props[0]
    annotated = {a.tensor_name.split("@")[0] for graph in graphs for a in graph.quantization_annotation}
    assert annotated == {"b", "y"}


@pytest.mark.parametrize("granularity", ["auto", "tensor"])
def test_taken_out_again_the_regions_leave_nothing(granularity: str, tmp_path: Path) -> None:
    """But for the order of lists without one: what stood in a region comes back together."""
    proto = described_model()
    back = compiled(proto, tmp_path, granularity=granularity)
    assert inline_regions(back)
    assert set_fields(back, "graph") == set_fields(proto, "graph")
    onnx.checker.check_model(back, full_check=True)
    unordered = {"node": "name", "initializer": "name", "value_info": "name", "quantization_annotation": "tensor_name"}
    assert set_fields(back.graph, *unordered) == set_fields(proto.graph, *unordered)
    for field, key in unordered.items():
        assert by_name(getattr(back.graph, field), key) == by_name(getattr(proto.graph, field), key)


def test_the_compiled_model_gives_what_the_model_gave(tmp_path: Path) -> None:
    proto = described_model()
    written = compiled(proto, tmp_path)
    options = ort.SessionOptions()
    actcache.register(options)
    original = ort.InferenceSession(proto.SerializeToString())
    session = ort.InferenceSession(written.SerializeToString(), options)
    for mine, theirs in (
        (session.get_inputs(), original.get_inputs()),
        (session.get_outputs(), original.get_outputs()),
    ):
        assert [(v.name, v.type, v.shape) for v in mine] == [(v.name, v.type, v.shape) for v in theirs]
    for given in (feed(), {**feed(), "default": np.array([-3.0], np.float32)}):
        for _ in range(2):
            for mine, theirs in zip(session.run(None, given), original.run(None, given), strict=True):
                if theirs.dtype == object:
                    assert mine.tolist() == theirs.tolist()
                else:
                    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threshold", [0, 1024])
def test_external_data_in_several_files_and_folders(threshold: int, tmp_path: Path) -> None:
    proto = described_model()
    plain = compiled(proto, tmp_path)
    source = tmp_path / "with spaces and ünïcode"
    (source / "weights").mkdir(parents=True)
    for tensor in proto.graph.initializer:
        data = b"" if tensor.data_type == onnx.TensorProto.STRING else onnx.numpy_helper.to_array(tensor).tobytes()
        if len(data) <= threshold:
            continue
        place = source / "weights" / f"{tensor.name}.bin"
        place.write_bytes(bytes(16) + data)
        for field in ("raw_data", "float_data"):
            tensor.ClearField(field)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        where = {"location": f"weights/{place.name}", "offset": "16", "length": str(len(data)), "checksum": "0" * 40}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=value)
    onnx.save(proto, source / "mödel.onnx")
    result = actcache.compile_model(source / "mödel.onnx", tmp_path / "out.onnx", min_saving=0, samples=[feed()])
    written = onnx.load(result.output)
    onnx.checker.check_model(str(result.output), full_check=True)
    mine, theirs = ({t.name: t for g in bodies(p.graph) for t in g.initializer} for p in (written, plain))
    assert mine.keys() == theirs.keys()
    for name in mine:  # external ones stand in the main graph, where a session can replace them
        values = ("raw_data", "float_data", "data_location")
        assert set_fields(mine[name], *values) == set_fields(theirs[name], *values)
        assert onnx.numpy_helper.to_array(mine[name]).tolist() == onnx.numpy_helper.to_array(theirs[name]).tolist()
    (told,) = (prop.value for prop in plain.metadata_props if prop.key == "actcache.manifest")
    regions = json.loads(told)["regions"]
    assert regions and [r.fingerprint for r in result.regions] == [region["fingerprint"] for region in regions]


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("data_type", ["INT4", "UINT4", "FLOAT8E4M3FN", "INT8", "BFLOAT16", "FLOAT16"])
def test_weights_of_narrow_types(data_type: str, external: bool, tmp_path: Path) -> None:
    number = onnx.TensorProto.DataType.Value(data_type)
    head = '<ir_version: 10, opset_import: ["" : 21]> g (float[N, 128] x) => (float[N, 128] y)'
    if data_type in ("BFLOAT16", "FLOAT16"):
        body = "{ f = Cast<to = 1>(w) h = MatMul(x, f) y = Tanh(h) }"
    else:
        body = "<float scale = {0.5}> { f = DequantizeLinear(w, scale) h = MatMul(x, f) y = Tanh(h) }"
    proto = onnx.parser.parse_model(f"{head} {body}")
    values = np.random.default_rng(0).integers(0, 4, 128 * 128)
    proto.graph.initializer.append(onnx.helper.make_tensor("w", number, [128, 128], values.tolist()))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=external, location="m.data", size_threshold=0)
    result = actcache.compile_model(tmp_path / "m.onnx", min_saving=0)
    assert result.regions[-1].candidate.region.granularity == "row"
    written = onnx.load(result.output)
    onnx.checker.check_model(written, full_check=True)
    tensor = next(t for graph in bodies(written.graph) for t in graph.initializer if t.name == "w")
    assert tensor.data_type == number
    assert np.array_equal(onnx.numpy_helper.to_array(tensor).astype(np.float32).reshape(-1), values)
