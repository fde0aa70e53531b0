"""Each example runs as it is, and says what its page says. What needs a server is in test_remote_tier.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

#: What an example prints: a pattern a line.
PRINTS = {
    "02_embeddings.py": ["padded to_longest: 32 of 48 rows were known", "padded to_a_step: 42 of 48 rows were known"],
    "03_two_towers.py": ["users computed in 30 requests: 5"],
    "04_ocr_lines.py": [
        "padded to the widest crop: 28 of 48 crops were known",
        "padded to fixed widths: 38 of 48 crops were known",
    ],
    # What a trace decides is measured: on a busy machine it may not pay, and that is told.
    "05_choose_by_trace.py": [
        "recorded 24 calls",
        r"region encoder: \d+% of the rows were known; measured time [\d.]+|.*worth caching.*|.*trace.*",
    ],
    "06_tenants.py": [
        "blue, use: 0 found, 2 computed, 0 without the cache",
        "blue, use: 2 found, 0 computed, 0 without the cache",
        "green, use: 0 found, 2 computed, 0 without the cache",
        "blue, refresh: 0 found, 2 computed, 0 without the cache",
        "blue, bypass: 0 found, 0 computed, 2 without the cache",
        "forgotten: 2",
        "blue, use: 0 found, 2 computed, 0 without the cache",
    ],
    "12_decoder.py": [
        "computed 38 of 248 positions",
        "computed 32 of 248 positions",
        "computed 0 of 248 positions",
    ],
}


def run(name: str, folder: Path) -> list[str]:
    """Run an example in a folder, with warnings as errors, and return the lines that it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ACTCACHE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(PRINTS))
def test_an_example_prints_what_it_promises(name: str, tmp_path: Path) -> None:
    lines = run(name, tmp_path)
    assert len(lines) == len(PRINTS[name]), lines
    for line, pattern in zip(lines, PRINTS[name], strict=True):
        assert re.fullmatch(pattern, line), line


def test_the_first_example_is_five_lines_and_runs_on_a_model_of_the_user(tmp_path: Path) -> None:
    source = (EXAMPLES / "01_five_lines.py").read_text("utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) == 5
    assert run("small_models.py", tmp_path) == ["encoder.onnx", "sample.npz"]
    assert "['encoder']" in run("01_five_lines.py", tmp_path)[-1]
    assert (tmp_path / "encoder.cached.onnx").exists()


def test_the_second_process_finds_on_disk_what_the_first_computed(tmp_path: Path) -> None:
    for _ in range(5):  # on a busy machine a value may come too late for its call
        lines = run("07_disk_store.py", tmp_path)
        (first, none), (computed, found) = ([int(number) for number in re.findall(r"\d+", line)] for line in lines)
        assert (first, none) == (64, 0)
        assert computed + found == 64
        if found > 0:
            return
    raise AssertionError(lines)


def test_text_embedders_are_programs() -> None:
    """They need PyTorch, so they are run elsewhere: ``make examples``."""
    programs = sorted((EXAMPLES / "10_text_embedders").glob("*.py"))
    assert len(programs) == 3
    for program in programs:
        compile(program.read_text("utf-8"), program.name, "exec")


def test_every_example_is_listed_and_tested() -> None:
    examples = [
        path.name for path in EXAMPLES.iterdir() if path.name not in ("README.md", "small_models.py", "__pycache__")
    ]
    assert len(examples) >= 8
    assert all(re.match(r"\d\d_", name) for name in examples), examples
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for name in examples:
        assert f"[{name}]" in listed, name
        assert f'"{name}"' in tests, f"no test in {Path(__file__).parent} names {name}"
