"""``actcache-compile --trace``: what it prints, what it refuses, and that what does not pay is not written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import refused, run
from graphs import encoder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.onnx"
    onnx.save(encoder(width=768), path)
    return path


def record(folder: Path, distinct: int, calls: int = 24) -> Path:
    """Calls of 32 rows, `distinct` of them different."""
    folder.mkdir()
    generator = np.random.default_rng(1)
    batches = [generator.standard_normal((32, 768)).astype(np.float32) for _ in range(distinct)]
    for number in range(calls):
        np.savez(folder / f"{number}.npz", x=batches[number % distinct])
    return folder


def test_a_trace_that_repeats_is_predicted_measured_and_explained(saved: Path, tmp_path: Path) -> None:
    calls = record(tmp_path / "calls", distinct=2)
    output = tmp_path / "out.onnx"
    done = run("compile", saved, "-o", output, "--trace", calls, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["trace"]["calls"] == answer["trace"]["played"] == 12
    (reuse,) = answer["trace"]["reuse"].values()
    assert reuse == pytest.approx(10 / 12)
    assert answer["trace"]["predicted"] < 0.5
    (chosen,) = (c for c in answer["candidates"] if c["verdict"] == "chosen")
    assert chosen["reuse"] == pytest.approx(10 / 12, abs=1e-3) and chosen["reuse_within_calls"] == 0
    shown = run("compile", saved, "-o", output, "--trace", calls, "--explain").stdout
    for text in ("Candidates", "predicted ratio", "83.3%", "measured on 12 other calls"):
        assert text in shown


def test_nothing_is_written_for_a_trace_in_which_nothing_repeats(saved: Path, tmp_path: Path) -> None:
    calls = record(tmp_path / "calls", distinct=24)
    output = tmp_path / "out.onnx"
    done = run("compile", saved, "-o", output, "--trace", calls)
    assert done.returncode == 3 and not output.exists()
    assert "nothing repeats at x: every one of its rows is different" in done.stderr


def test_a_trace_that_does_not_fit_is_refused(saved: Path, tmp_path: Path) -> None:
    calls = record(tmp_path / "calls", distinct=2)
    np.savez(calls / "7.npz", z=np.zeros(3))
    refused(run("compile", saved, "--trace", calls), str(calls / "7.npz"), "the model has no such input")
    refused(run("compile", saved, "--trace", tmp_path / "missing"), "no such file or folder")
    refused(run("compile", saved, "--trace", calls, "--budget", "much"), "'much' is not a number of bytes")
    refused(run("compile", saved, "--trace", calls, "--budget", "0"), "the budget cannot be 0 bytes")
