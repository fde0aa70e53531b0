"""``--profile`` and ``--outputs``: the same regions again, and entries that hold what callers read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import model, view

import actcache
from actcache.errors import InvalidOption
from actcache.passes.choice.candidate import Candidate
from actcache.passes.choice.choose import choose
from actcache.passes.costs.cost import Costs, least_costs

BODY = """
encoder (float[N, 64] x) => (float[N, 64] tokens, float[N, 4] pooled)
{
    a = MatMul(x, w0)
    b = Relu(a)
    c = MatMul(b, w0)
    tokens = Tanh(c)
    d = MatMul(tokens, w0)
    e = Relu(d)
    pooled = MatMul(e, w1)
    unread = Sigmoid(e)
}
"""


def encoder(path: Path) -> Path:
    proto = model(BODY)
    generator = np.random.default_rng(0)
    for name, shape in (("w0", (64, 64)), ("w1", (64, 4))):
        weight = generator.standard_normal(shape).astype(np.float32) / 8
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(proto, path)
    return path


def compile_apart(path: Path, output: Path, profile: Path, seed: str) -> str:
    """Compile in a process of its own, whose sets have an order of their own; returns what it prints."""
    command = [
        sys.executable,
        "-m",
        "actcache",
        "compile",
        path,
        "-o",
        output,
        "--profile",
        profile,
        "--min-saving",
        "0",
    ]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=True).stdout


def test_one_profile_gives_the_same_bytes(tmp_path: Path) -> None:
    source, profile = encoder(tmp_path / "encoder.onnx"), tmp_path / "costs.json"
    written = []
    for number, seed in enumerate(("1", "2")):
        output = tmp_path / str(number) / "encoder.cached.onnx"
        output.parent.mkdir()
        said = compile_apart(source, output, profile, seed)
        assert ("costs were measured and saved to" if number == 0 else "costs were taken from") in said
        written.append({path.name: path.read_bytes() for path in output.parent.iterdir()})
    assert written[0] == written[1]
    assert json.loads(profile.read_text())["entries"]


def test_a_profile_of_a_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    source, profile = encoder(tmp_path / "encoder.onnx"), tmp_path / "costs.json"
    calls = tmp_path / "calls"
    calls.mkdir()
    for number in range(8):
        x = np.random.default_rng(number % 3).standard_normal((4, 64)).astype(np.float32)
        np.savez(calls / f"{number}.npz", x=x)
    written = []
    for number in range(2):
        output = tmp_path / f"{number}.onnx"
        actcache.compile_model(source, output, trace=[calls], profile=profile, min_saving=0)
        written.append(output.read_bytes())
    assert written[0] == written[1]


def test_a_changed_model_is_measured_anew(tmp_path: Path) -> None:
    source, profile = encoder(tmp_path / "encoder.onnx"), tmp_path / "costs.json"
    actcache.compile_model(source, tmp_path / "a.onnx", profile=profile, min_saving=0)
    proto = onnx.load(source)
    proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.eye(64, dtype=np.float32), "w0"))
    onnx.save(proto, source)
    result = actcache.compile_model(source, tmp_path / "b.onnx", profile=profile, min_saving=0)
    assert any("measured and saved" in note for note in result.notes)
    assert len(json.loads(profile.read_text())["entries"]) == 2


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 99, "entries": {}}', '{"schema": 1, "entries": 3}'])
def test_what_is_no_profile_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    source, profile = encoder(tmp_path / "encoder.onnx"), tmp_path / "costs.json"
    profile.write_text(content)
    with pytest.raises(InvalidOption, match=r"costs\.json"):
        actcache.compile_model(source, tmp_path / "out.onnx", profile=profile)
    assert profile.read_text() == content
    assert not (tmp_path / "out.onnx").exists()


def test_only_the_wanted_outputs_are_there_and_kept(tmp_path: Path) -> None:
    source = encoder(tmp_path / "encoder.onnx")
    everything = actcache.compile_model(source, tmp_path / "all.onnx", min_saving=0)
    one = actcache.compile_model(source, tmp_path / "one.onnx", outputs=["pooled"], min_saving=0)
    assert any("--outputs pooled" in note for note in everything.notes)
    assert not any("--outputs" in note for note in one.notes)
    assert set(everything.regions[0].candidate.kept_bytes) == {"tokens", "pooled"}
    assert one.regions[0].candidate.kept_bytes == {"pooled": 16.0}
    session = actcache.InferenceSession(tmp_path / "one.onnx")
    assert [value.name for value in session.get_outputs()] == ["pooled"]
    x = np.random.default_rng(3).standard_normal((5, 64)).astype(np.float32)
    plain = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    for _ in range(2):
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], plain.run(["pooled"], {"x": x})[0])
    assert not any(node.op_type == "Sigmoid" for node in onnx.load(tmp_path / "one.onnx").graph.node)


@pytest.mark.parametrize(("outputs", "says"), [(["typo"], "no output 'typo'"), (["pooled", "pooled"], "named twice")])
def test_wrong_outputs_are_refused(tmp_path: Path, outputs: list[str], says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        actcache.compile_model(encoder(tmp_path / "encoder.onnx"), tmp_path / "out.onnx", outputs=outputs)


def test_a_choice_near_its_limit_is_told() -> None:
    graph = view("m (float[N, 64] x) => (float[N, 64] y) { a = Relu(x)  y = Tanh(a) }")
    shapes = {"x": (4, 64), "a": (4, 64), "y": (4, 64)}
    clear = choose(graph, Costs((1e-2, 1e-2), 2e-2, shapes, measured=True))
    assert clear.plans and not clear.close
    region: Candidate = clear.plans[0][0]
    just = 3.0 * region.overhead * region.rows * 1.05
    close = choose(graph, Costs((just / 2, just / 2), just, shapes, measured=True))
    assert [line.split(":")[0] for line in close.close] == ["region 'model' is a close choice"]
    below = choose(graph, Costs((just / 2.3, just / 2.3), just / 1.15, shapes, measured=True))
    assert not below.plans and below.close


def test_several_measurements_count_by_their_least_times() -> None:
    runs = [Costs((1.0, 9.0), 10.0, {}, True, 0.1), Costs((2.0, 2.0), 4.0, {}, True), Costs((3.0, 1.0), 4.0, {}, True)]
    assert least_costs(runs) == Costs((2.0, 2.0), 4.0, {}, True, 0.1)  # 1.0 and 1.0, which add up to the least total
