"""The manifest of a compiled model: what it records, and what is read of manifests by others."""

# mypy: no-warn-return-any
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import encoder

import actcache
from actcache.errors import InvalidModel
from actcache.model.manifest import SCHEMA, read_manifest
from actcache.passes.rewrite.inline_regions import MANIFEST_KEY


def recorded(path: Path) -> dict[str, Any]:
    proto = onnx.load_model(path, load_external_data=False)
    return json.loads(next(entry.value for entry in proto.metadata_props if entry.key == MANIFEST_KEY))


def with_manifest(text: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    proto.metadata_props.add(key=MANIFEST_KEY, value=text)
    return proto


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.onnx"
    onnx.save_model(encoder(), path)
    return path


def test_what_a_compilation_records(saved: Path, tmp_path: Path) -> None:
    sample = {"x": np.random.default_rng(1).standard_normal((8, 256)).astype(np.float32)}
    result = actcache.compile_model(
        saved, tmp_path / "out.onnx", samples=[sample], min_saving=0, pure_ops=["b:Op", "a:Op"], account_output="acc"
    )
    misspelt = [note for note in result.notes if "--pure-op" in note]
    assert misspelt == [
        f"the model has no operator '{name}' (--pure-op); it has none of its own" for name in ("b:Op", "a:Op")
    ]
    found = recorded(result.output)
    assert (found["schema"], found["actcache"], found["onnxruntime"]) == (SCHEMA, actcache.__version__, ort.__version__)
    assert found["original"]["file"] == "encoder.onnx"
    assert found["original"]["sha256"] == hashlib.sha256(saved.read_bytes()).hexdigest()
    assert len(found["original"]["weights_sha256"]) == 64
    assert found["policy"] == {
        **{
            "chosen_by": "costs",
            "granularity": "auto",
            "min_saving_ms": 0,
            "budget_bytes": None,
            "tolerance": None,
            "exact": None,
        },
        **{"dynamic_batch": False, "pure_ops": ["a:Op", "b:Op"], "outputs": None, "reads": None},
    }
    assert found["verify"]["failure"] is None and found["verify"]["cases"] > 0
    assert found["trace"] is None and found["measured"] is True
    assert found["per_call"] == {"account_output": "acc"}
    (region,) = found["regions"]
    assert region["rows"] == 8
    assert (region["read_bytes"], region["entry_bytes"]) == (256 * 4, 256 * 4)
    assert 0 < region["milliseconds"] <= found["milliseconds"]
    assert region["milliseconds"] == pytest.approx(region["saving_ms"] * 8, abs=1e-3)  # a hit saves one row of eight
    assert region["predicted_reuse"] is None and region["measured_reuse"] is None


def test_what_was_not_done_is_null(saved: Path, tmp_path: Path) -> None:
    found = recorded(actcache.compile_model(saved, tmp_path / "out.onnx", min_saving=0, verify=False).output)
    assert found["verify"] is None
    assert "per_call" not in found


@pytest.mark.parametrize("given", [{"min_saving": 0.0}, {}])
def test_a_trace_leaves_what_it_predicted_and_measured(given: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "wide.onnx"
    onnx.save_model(encoder(width=768), path)
    generator = np.random.default_rng(2)
    batches = [generator.standard_normal((32, 768)).astype(np.float32) for _ in range(2)]
    (tmp_path / "calls").mkdir()
    for number in range(24):
        np.savez(tmp_path / "calls" / f"{number}.npz", x=batches[number % 2])
    result = actcache.compile_model(
        path, tmp_path / "out.onnx", trace=[tmp_path / "calls"], budget_bytes=1 << 24, **given
    )
    found = recorded(result.output)
    assert found["policy"]["chosen_by"] == ("costs" if given else "trace")
    assert found["policy"]["budget_bytes"] == 1 << 24
    assert found["trace"]["calls"] == found["trace"]["played"] == 12
    (region,) = found["regions"]
    assert region["predicted_reuse"] == pytest.approx(10 / 12, abs=1e-4)
    assert region["measured_reuse"] == pytest.approx(10 / 12, abs=1e-4)


def test_without_one_there_is_nothing_to_read() -> None:
    assert read_manifest(onnx.ModelProto(), Path("m.onnx")) is None


def test_a_manifest_of_the_first_schema() -> None:
    text = '{"version": 1, "tool": "actcache 0.0.9", "onnxruntime": "1.18.0", "regions": [{"id": "r", "nodes": 3}]}'
    found = read_manifest(with_manifest(text), Path("m.onnx"))
    assert found is not None
    assert (found["schema"], found["actcache"], found["onnxruntime"]) == (1, "0.0.9", "1.18.0")
    assert found["regions"] == {"r": {"id": "r", "nodes": 3}}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"schema": 2}', '{"schema": "x", "regions": []}'])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(InvalidModel, match=r"m\.onnx: its manifest is damaged"):
        read_manifest(with_manifest(text), Path("m.onnx"))


def test_a_later_schema_is_refused() -> None:
    text = json.dumps({"schema": SCHEMA + 1, "regions": []})
    with pytest.raises(
        InvalidModel, match=rf"m\.onnx: its manifest has schema {SCHEMA + 1}, .* up to {SCHEMA}; use the"
    ):
        read_manifest(with_manifest(text), Path("m.onnx"))
