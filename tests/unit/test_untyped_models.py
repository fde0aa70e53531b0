"""Models whose types onnx cannot infer, or dies of, are compiled by what onnxruntime says of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from command_line import refused, run
from graphs import encoder
from onnx import helper

import actcache
from actcache.inspection.regions import inspect_model

#: Takes the place of onnx: all the same, but whatever infers types with it dies.
DEADLY = """
import os, sys
from pathlib import Path
_inits = (Path(folder) / "onnx" / "__init__.py" for folder in sys.path if folder)
_real = next(path for path in _inits if path.exists() and not path.samefile(__file__))
__path__ = [str(_real.parent)]
exec(compile(_real.read_text(), str(_real), "exec"))
from onnx import shape_inference
shape_inference.infer_shapes = lambda *_, **__: os.abort()
"""


def labelled() -> onnx.ModelProto:
    """The encoder, and a name for the largest number in each row."""
    model = encoder()
    model.graph.node.extend(
        [
            helper.make_node("ArgMax", ["y"], ["largest"], axis=1, keepdims=0),
            helper.make_node("ExpandDims", ["largest", "axis"], ["column"], domain="com.microsoft"),
            helper.make_node(
                "LabelEncoder",
                ["column"],
                ["label"],
                domain="ai.onnx.ml",
                classes_strings=[f"class {i}" for i in range(256)],
            ),
        ]
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.int32), "axis"))
    model.graph.output.append(helper.make_tensor_value_info("label", onnx.TensorProto.STRING, ["N", 1]))
    for domain in ("com.microsoft", "ai.onnx.ml"):
        model.opset_import.add(domain=domain, version=1)
    return model


def hits() -> int:
    """How many rows were found so far."""
    return sum(region["hits"] for region in actcache.stats()["regions"].values())


def same(source: Path, compiled: Path, entries: int = 4) -> None:
    """Asserts that both give the same, also of a call seen before: it is so many `entries`."""
    original, session = ort.InferenceSession(source), actcache.InferenceSession(compiled)
    x = np.random.default_rng(1).standard_normal((4, 256)).astype(np.float32)
    wanted = original.run(None, {"x": x})
    for new in (0, entries):
        known = hits()
        found = session.run(None, {"x": x})
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-5)
        assert [each.tolist() for each in found[1:]] == [each.tolist() for each in wanted[1:]]
        assert hits() - known == new


def test_an_operator_that_onnx_dies_of_is_told_its_type(tmp_path: Path) -> None:
    source = tmp_path / "labelled.onnx"
    onnx.save_model(labelled(), source)
    result = actcache.compile_model(source, tmp_path / "out.onnx", min_saving=0)
    assert result.regions and not any("crashes" in note for note in result.notes)
    same(source, tmp_path / "out.onnx")
    assert [each["type"] for each in inspect_model(tmp_path / "out.onnx")["outputs"]] == ["float", "string"]


@pytest.fixture
def deadly(tmp_path: Path) -> str:
    """A PYTHONPATH on which types are not inferred and survived."""
    package = tmp_path / "deadly" / "onnx"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(DEADLY)
    return os.pathsep.join(filter(None, [str(package.parent), os.environ.get("PYTHONPATH")]))


@pytest.mark.parametrize(("options", "entries"), [([], 4), (["--granularity", "tensor"], 1), (["--dynamic-batch"], 4)])
def test_where_onnx_always_dies_onnxruntime_is_enough(
    tmp_path: Path, deadly: str, options: Sequence[str], entries: int
) -> None:
    source, target = tmp_path / "encoder.onnx", tmp_path / "out.onnx"
    onnx.save_model(encoder(), source)
    done = run("compile", source, "-o", target, "--min-saving", "0", *options, PYTHONPATH=deadly)
    assert done.returncode == 0, done.stderr
    assert "onnx crashes while it infers types" in done.stdout
    same(source, target, entries)


def test_a_compiled_model_that_onnx_dies_of_is_looked_at(tmp_path: Path, deadly: str) -> None:
    """What it states itself is known of it, such as its inputs; the rest is not."""
    source, target, page = (tmp_path / name for name in ("encoder.onnx", "out.onnx", "page.html"))
    onnx.save_model(encoder(), source)
    actcache.compile_model(source, target, min_saving=0)
    described = json.loads(run("inspect", target, "--json", PYTHONPATH=deadly).stdout)
    whole = inspect_model(target)
    assert described["inputs"] == whole["inputs"] and described["regions"][0]["nodes"] == whole["regions"][0]["nodes"]
    for name, array in zip(("first", "second"), np.eye(2, 256, dtype=np.float32), strict=True):
        np.savez(tmp_path / f"{name}.npz", x=array[None])
    session = actcache.InferenceSession(target)
    actcache.configure(audit_path=tmp_path / "log.jsonl")
    session.run(None, {"x": np.ones((2, 256), np.float32)})
    actcache.configure(audit_path="")
    for command in (
        ["diff", target, target],
        ["explain-miss", target, tmp_path / "first.npz", tmp_path / "second.npz"],
        ["replay", tmp_path / "log.jsonl", "--model", target, "--trace", tmp_path / "call.npz"],
        ["report", tmp_path / "log.jsonl", "--model", target, "-o", page],
    ):
        np.savez(tmp_path / "call.npz", x=np.ones((2, 256), np.float32))
        done = run(*command, PYTHONPATH=deadly)
        assert done.returncode == 0, done.stderr


def test_what_onnxruntime_dies_of_as_well_is_refused(tmp_path: Path, deadly: str) -> None:
    """A module that aborts stands in for onnxruntime, which only the other process loads."""
    (tmp_path / "deadly" / "onnxruntime.py").write_text("import os\nos.abort()\n")
    source = tmp_path / "encoder.onnx"
    onnx.save_model(encoder(), source)
    refused(run("compile", source, PYTHONPATH=deadly), "encoder.onnx: onnxruntime crashed while loading it")
    assert not (tmp_path / "encoder.cached.onnx").exists()
