"""``actcache auto``: what it lists, shows, forgets and prunes, and what it says when there is nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from command_line import run
from learnt_folders import add_model, add_session_left_alone, add_still_learning

from actcache.commands.auto import auto_command
from actcache.learn import cache, listing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    now = time.time()
    compiled = add_model(folder, "aa11", used=now, source="/models/encoder.onnx")
    counts = {"lookups": 2000, "hits": 1500, "misses": 500, "saved_seconds": 12.5, "programs": 3}
    cache.write_json(compiled / "saved.json", counts)
    refused: dict[str, Any] = {"state": "refused", "reason": "nothing repeats", "ratio": None, "regions": []}
    add_model(folder, "aa22", used=now - 500, source="/models/reader.onnx", **refused)
    add_session_left_alone(folder, "gpu", "its first execution provider is CUDAExecutionProvider")
    return folder


def auto(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(auto_command, [*arguments, "--cache-dir", str(root)], env={"COLUMNS": "160"})


def test_ls_tells_what_was_found_compiled_refused_and_saved(root: Path) -> None:
    result = auto(root, "ls")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if "encoder.onnx" in line]
    assert "compiled" in line and "0.40" in line and "2,000" in line and "75.0%" in line and "12.5 s" in line
    assert "reader.onnx (aa22): nothing repeats" in result.output
    assert "gpu.onnx: stays as it is: its first execution provider is CUDAExecutionProvider" in result.output


def test_ls_tells_what_has_no_answer_yet(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    add_still_learning(root, "reader", 30, 12)
    add_still_learning(root, "encoder")
    add_still_learning(root, "unnamed", 5, asked=False)
    add_session_left_alone(root, "gpu", "its first execution provider is CUDAExecutionProvider")
    said = auto(root, "ls").output
    assert "/models/reader.onnx: no answer yet; 42 calls are recorded" in said
    assert "/models/encoder.onnx: no answer yet; the compiling process has its calls" in said
    assert "a model that is running now: no answer yet; 5 calls are recorded" in said
    assert "gpu.onnx: no answer yet" not in said and "knows no models" not in said


def test_ls_and_prune_as_json(root: Path) -> None:
    answer = json.loads(run("auto", "ls", "--json", "--cache-dir", root).stdout)
    assert [(m["name"], m["state"], m["calls"]) for m in answer["models"]] == [
        ("encoder.onnx", "compiled", 1),
        ("reader.onnx", "refused", 1),
    ]
    assert answer["models"][0]["saved"]["hits"] == 1500 and answer["models"][0]["bytes"] > 1000
    assert [place["source"] for place in answer["left_alone"]] == ["/models/gpu.onnx"]
    answer = json.loads(run("auto", "prune", "--cache-size", 2500, "--json", "--cache-dir", root).stdout)
    assert answer["models"] == ["aa22"] and answer["bytes"] > 1000  # the older one


def test_a_model_that_a_program_rejected_is_refused(root: Path) -> None:
    reason = "the compiled model differs"
    cache.write_json(cache.model_folder(root, "aa11") / "rejected.json", {"folder": "compiled-1", "reason": reason})
    assert f"encoder.onnx (aa11): {reason}" in auto(root, "ls").output
    cache.write_json(cache.model_folder(root, "aa11") / "rejected.json", {"folder": "compiled-0", "reason": reason})
    assert reason not in auto(root, "ls").output  # an earlier one: there is another since


@pytest.mark.parametrize("name", ["encoder.onnx", "/models/encoder.onnx", "aa11", "aa1"])
def test_show_takes_a_file_its_name_or_the_beginning_of_its_key(root: Path, name: str) -> None:
    result = auto(root, "show", name)
    assert result.exit_code == 0, result.output
    for text in (
        "key aa11: compiled",
        "onnxruntime 1.32.0",
        "session option a: b",
        "0.400 of the original's time",
        "75.0% reused",
        "compiling it took 11.5 s of processor time",
        "in 3 programs: 2,000 rows, 1,500 reused, 12.50 s saved",
    ):
        assert text in result.output, text


def test_show_says_what_the_regions_looked_up(root: Path) -> None:
    record = cache.read_json(cache.model_folder(root, "aa11") / "record.json")
    assert record is not None
    for granularities, said in (
        (["prefix"], "2,000 positions"),
        (["tensor"], "2,000 calls"),
        (["row", "prefix"], "2,000 entries"),
    ):
        regions = [{**record["regions"][0], "granularity": granularity} for granularity in granularities]
        cache.write_json(cache.model_folder(root, "aa11") / "record.json", {**record, "regions": regions})
        assert f"in 3 programs: {said}, 1,500 reused" in auto(root, "show", "aa11").output


@pytest.mark.parametrize(("name", "count"), [("aa", 2), ("nothing.onnx", 0)])
@pytest.mark.parametrize("command", ["show", "forget"])
def test_names_that_mean_none_or_several_are_refused(root: Path, command: str, name: str, count: int) -> None:
    result = auto(root, command, name)
    assert result.exit_code == 2
    assert f"'{name}' means {count} of the 2 models" in result.output and "auto ls" in result.output
    assert len(list((root / "models").iterdir())) == 2


def test_forget_removes_the_model_and_its_places(root: Path) -> None:
    result = auto(root, "forget", "encoder.onnx")
    assert result.exit_code == 0 and result.output.startswith("removed encoder.onnx, ")
    assert [folder.name for folder in (root / "models").iterdir()] == ["aa22"]
    assert {folder.name for folder in (root / "places").iterdir()} == {"place-of-aa22", "gpu"}


def test_prune_keeps_to_the_size(root: Path) -> None:
    result = auto(root, "prune", "--cache-size", "1GiB")
    assert result.exit_code == 0 and "removed 0 models" in result.output
    result = auto(root, "prune", "--cache-size", "0")
    assert result.exit_code == 0 and "removed 2 models" in result.output
    assert list((root / "models").iterdir()) == []
    assert auto(root, "prune", "--cache-size", "much").exit_code == 2


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    result = auto(tmp_path / "none", "ls")
    assert result.exit_code == 0 and "knows no models yet: run a program with 'actcache run" in result.output


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = auto(tmp_path / "file" / "cache", "ls")
    assert result.exit_code != 0 and "Traceback" not in result.output and str(tmp_path / "file") in result.output


def test_show_says_why_sessions_went_back(root: Path) -> None:
    note = {"folder": "compiled-1", "reason": "the traffic repeats too little now", "times": 2, "time": 1.0}
    cache.write_json(root / "models" / "aa11" / "back.json", note)
    result = auto(root, "show", "aa11")
    assert "went back to the original (2 times since it last paid): the traffic repeats too little now" in result.output
    assert listing.find(root, "aa11")["back"] == note
    assert "went back" not in auto(root, "show", "aa22").output
