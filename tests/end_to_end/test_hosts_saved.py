"""A compiled model that onnxruntime has optimised and saved, as ONNX and in its own format, and models from bytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
from hosts import WIDTH, Hosted, drawn, options, stack, towers

import actcache

LEVELS = {name: level for name, level in vars(ort.GraphOptimizationLevel).items() if name.startswith("ORT_")}


def compare(one: Hosted, compiled: ort.InferenceSession) -> None:
    original = one.plain()
    names = [value.name for value in original.get_inputs()]
    feed = {name: drawn(6, WIDTH, seed=number) for number, name in enumerate(names)}
    one.check(original, compiled, feed, 1e-6)


@pytest.mark.parametrize("suffix", ["onnx", "ort"])
@pytest.mark.parametrize("level", LEVELS)
def test_saved_by_a_session(tmp_path: Path, level: str, suffix: str) -> None:
    for one in (stack(), stack("tensor"), towers()):
        saved = tmp_path / f"{one.namespace}.{suffix}"
        made = options()
        made.graph_optimization_level = LEVELS[level]
        made.optimized_model_filepath = str(saved)
        if suffix == "ort":
            made.add_session_config_entry("session.save_model_format", "ORT")
        compare(one, one.session(made))
        again = one.again()
        compare(again, again.open(saved))
        if suffix == "onnx":
            assert sum(node.op_type == "CacheLookup" for node in onnx.load(saved).graph.node) == len(one.fingerprints)


def test_weights_saved_beside(tmp_path: Path) -> None:
    one = stack()
    saved = tmp_path / "saved.onnx"
    made = options(
        session__optimized_model_external_initializers_file_name="saved.data",
        session__optimized_model_external_initializers_min_size_in_bytes="16",
    )
    made.optimized_model_filepath = str(saved)
    one.session(made)
    assert (tmp_path / "saved.data").stat().st_size > 0
    compare(one, one.open(saved))


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_from_bytes(granularity: str) -> None:
    one = stack(granularity)
    compare(one, one.open(one.compiled.read_bytes()))


def test_saved_with_optimisations_for_later(tmp_path: Path) -> None:
    """onnxruntime's own format can keep what it would optimise where the model is loaded."""
    one = stack()
    later = "optimization__minimal_build_optimizations"
    save: dict[str, Any] = {later: "save"}
    made = options(session__save_model_format="ORT", **save)
    made.optimized_model_filepath = str(tmp_path / "saved.ort")
    one.session(made)
    again = one.again()
    compare(again, again.open(tmp_path / "saved.ort", options(**{**save, later: "apply"})))


def test_ort_format_from_bytes(tmp_path: Path) -> None:
    one = stack()
    made = options(session__save_model_format="ORT")
    made.optimized_model_filepath = str(tmp_path / "saved.ort")
    one.session(made)
    for direct in "01":
        again = one.again()
        kept = (tmp_path / "saved.ort").read_bytes()
        loading = options(
            session__load_model_format="ORT",
            session__use_ort_model_bytes_directly=direct,
            session__use_ort_model_bytes_for_initializers=direct,
        )
        compare(again, again.open(kept, loading))


def test_converted_by_onnxruntime(tmp_path: Path) -> None:
    one = stack()
    shutil.copy(one.compiled, tmp_path / "model.onnx")
    tool = [sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", "--optimization_style", "Fixed"]
    done = subprocess.run(
        [*tool, "--custom_op_library", actcache.library_path(), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("*.ort")
    compare(one, one.open(made))
