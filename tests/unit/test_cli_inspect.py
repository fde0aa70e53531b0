"""``actcache inspect``: what it shows, and what it says of files that are no compiled models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import refused, run
from graphs import TOWERS, encoder, model
from outlining import ALL, CHAIN, outlined

import actcache
from actcache.inspection.regions import inspect_model
from actcache.passes.rewrite.inline_regions import MANIFEST_KEY
from actcache.passes.rewrite.per_call import add_per_call

#: What programs may rely on.
KEYS = set(
    "model schema actcache onnxruntime original policy verify trace milliseconds measured per_call inputs outputs "
    "weights regions notes".split()
)
REGION_KEYS = set(
    "id granularity fingerprint cone frontier live_outs states ends finals block size_equations ranks min_rows nodes "
    "operators inside contains branch time_share milliseconds saving_ms rows read_bytes entry_bytes predicted_reuse "
    "measured_reuse".split()
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    onnx.save_model(encoder(width=768), folder / "encoder.onnx")
    sample = {"x": np.random.default_rng(0).standard_normal((4, 768)).astype(np.float32)}
    result = actcache.compile_model(
        folder / "encoder.onnx", samples=[sample], min_saving=0, namespace_input="ns", account_output="account"
    )
    return result.output


def written(proto: onnx.ModelProto, folder: Path) -> Path:
    onnx.save_model(proto, folder / "model.onnx")
    return folder / "model.onnx"


def test_json_has_the_promised_keys_and_what_the_compiler_knew(compiled: Path) -> None:
    done = run("inspect", compiled, "--json")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    answer = json.loads(done.stdout)
    assert answer.keys() == KEYS
    assert answer["actcache"] == actcache.__version__
    assert answer["per_call"] == {"namespace_input": "ns", "control_input": None, "account_output": "account"}
    assert answer["inputs"] == [{"name": "x", "type": "float", "shape": ["N", 768]}]
    assert answer["outputs"] == [{"name": "y", "type": "float", "shape": ["N", 768]}]
    (weights,) = answer["weights"]
    assert weights == {"file": weights["file"], "bytes": 3 * 768 * 768 * 4, "present": True}
    (region,) = answer["regions"]
    assert region.keys() == REGION_KEYS
    assert (region["id"], region["granularity"], region["cone"]) == ("encoder", "row", ["x"])
    assert region["frontier"] == [
        {"name": "x", "type": "float", "shape": ["N", 768], "row_axis": 0, "position_axis": None}
    ]
    assert region["live_outs"] == [
        {"name": "y", "type": "float", "shape": ["N", 768], "row_axis": 0, "position_axis": None}
    ]
    assert region["operators"] == {"MatMul": 3, "Relu": 1, "Tanh": 1}
    assert (region["nodes"], region["rows"], region["entry_bytes"]) == (5, 4, 3072)
    assert answer["verify"]["cases"] > 0 and answer["notes"] == []


def test_the_tables_say_it_to_people(compiled: Path) -> None:
    done = run("inspect", compiled)
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        f"compiled by actcache {actcache.__version__}",
        "from encoder.onnx, sha256 ",
        "verified against the original: ",
        "namespace input: ns",
        "account output: account",
        "float[N, 768]",
        "3 MatMul, 1 Relu, 1 Tanh",
        "3.0 KiB",
    ):
        assert text in done.stdout
    narrow = run("inspect", compiled, COLUMNS="40")
    assert narrow.returncode == 0


def test_help_has_examples() -> None:
    shown = run("inspect", "--help").stdout
    assert "Examples:" in shown and "--json" in shown and "Exit codes:" in shown


def test_weights_are_not_needed_but_missed(compiled: Path, tmp_path: Path) -> None:
    alone = tmp_path / compiled.name
    alone.write_bytes(compiled.read_bytes())
    answer = inspect_model(alone)
    assert [entry["present"] for entry in answer["weights"]] == [False]
    assert answer["regions"] == inspect_model(compiled)["regions"]
    assert "missing beside the model" in answer["notes"][0]
    (tmp_path / answer["weights"][0]["file"]).write_bytes(b"too short")
    assert inspect_model(alone)["notes"] == answer["notes"]


def test_regions_inside_others_and_a_lost_manifest(tmp_path: Path) -> None:
    proto = outlined(model(CHAIN), {1}, {0, 1}, {0, 1, 2})
    add_per_call(proto, ALL, ["r0", "r1", "r2"])
    path = written(proto, tmp_path)
    answer = inspect_model(path)
    assert [(r["id"], r["inside"], r["contains"]) for r in answer["regions"]] == [
        ("r2", None, ["r1"]),
        ("r1", "r2", ["r0"]),
        ("r0", "r1", []),
    ]
    assert answer["per_call"]["control_input"] == ALL.control_input
    assert answer["notes"] == ["the model has lost its manifest: what was measured, chosen and verified is not known"]
    assert answer["schema"] is None and answer["regions"][0]["time_share"] is None
    shown = run("inspect", path).stdout
    assert "inside" in shown and "note: the model has lost its manifest" in shown


def test_a_manifest_of_other_regions_is_not_believed(compiled: Path, tmp_path: Path) -> None:
    proto = onnx.load_model(compiled, load_external_data=False)
    entry = next(entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY)
    content = json.loads(entry.value)
    content["regions"][0]["fingerprint"] = "0" * 64
    entry.value = json.dumps(content)
    answer = inspect_model(written(proto, tmp_path))
    assert answer["regions"][0]["fingerprint"] != "0" * 64
    assert "shown is the graph" in answer["notes"][0]


def test_a_later_schema_is_one_sentence(compiled: Path, tmp_path: Path) -> None:
    proto = onnx.load_model(compiled, load_external_data=False)
    next(entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY).value = '{"schema": 99, "regions": []}'
    refused(run("inspect", written(proto, tmp_path)), "model.onnx: its manifest has schema 99", "use the actcache that")


def test_files_that_are_no_compiled_models(compiled: Path, tmp_path: Path) -> None:
    refused(run("inspect", tmp_path / "none.onnx"), "none.onnx: no such file")
    refused(run("inspect", tmp_path), "this is not a file")
    refused(run("inspect", written(model(TOWERS), tmp_path)), "was not compiled by actcache")
    (tmp_path / "cut.onnx").write_bytes(compiled.read_bytes()[:-100])
    refused(run("inspect", tmp_path / "cut.onnx"), "cut.onnx: this is not a complete ONNX model")
    done = run("inspect", tmp_path / "cut.onnx", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "InvalidModel"
