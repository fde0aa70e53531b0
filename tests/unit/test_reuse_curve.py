"""``benchmarks.reuse_curve``: what it plays is what it says, and a wrong output ends it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import results
from benchmarks.contender_names import LIMIT, NAMES
from benchmarks.contenders import WrongOutputError, largest_difference
from benchmarks.interleaved import turn
from benchmarks.reuse_curve import SHARES, calls_needed, main
from benchmarks.rows import NewRows, joined, mixed, row_count
from benchmarks.sessions import Workload

MODEL = "rapidocr_cls_v2"  # the smallest
WORDS = Workload("paraphrase_minilm_l3", 4, 16)


def keys(batch: dict[str, np.ndarray]) -> list[bytes]:
    return [b"".join(array[row].tobytes() for array in batch.values()) for row in range(row_count(batch))]


@pytest.mark.parametrize("workload", [WORDS, Workload(MODEL, 4, 48)], ids=lambda each: each.model)
def test_new_rows_are_new(workload: Workload) -> None:
    new = NewRows(workload)
    taken = [key for rows in (1, 40, 3) for key in keys(new.take(rows))]
    assert len(taken) == len(set(taken)) == 44


@pytest.mark.parametrize("count", [0, 1, 5, 11, 12])
def test_so_many_rows_were_seen_before(count: int) -> None:
    new, random = NewRows(WORDS), np.random.default_rng(0)
    seen = [new.take(4) for _ in range(3)]
    known, earlier = set(keys(joined(seen))), set[bytes]()
    for _ in range(2):
        calls = mixed(seen, count, new, random)
        played = [keys(call) for call in calls.calls]
        assert [len(each) for each in played] == [4, 4, 4]
        flat = [key for call in played for key in call]
        assert sum(key in known for key in flat) == count and len(set(flat)) == 12
        fresh = [call[place] for call, places in zip(played, calls.new, strict=True) for place in places]
        assert sorted(fresh) == sorted(set(flat) - known)
        assert [key for call in calls.new_alone() for key in keys(call)] == fresh
        assert not earlier & set(fresh)
        earlier |= set(fresh)
    if count == 12:
        assert played == [keys(call) for call in seen]


def test_a_share_is_reached_over_whole_rows() -> None:
    assert [calls_needed(batch, SHARES) for batch in (1, 8, 32)] == [10, 4, 1]
    assert calls_needed(1, [0, 100]) == 1


def test_every_call_is_first_in_its_turn() -> None:
    made: list[str] = []

    def call(name: str) -> str:
        made.append(name)
        return name

    for number in range(3):
        took = turn([lambda: call("a"), lambda: call("b"), lambda: call("c")], number)
        assert [each.result for each in took] == ["a", "b", "c"]
    assert "".join(made) == "abcbcacab"


def test_a_wrong_output_is_told() -> None:
    right = np.array([1.0, 2.0], np.float32)
    assert largest_difference("x", [[right]], [[right]]) == 0
    assert 0 < largest_difference("x", [[right + np.float32(1e-5)]], [[right]]) < 2e-5
    for wrong in (right + 1, right * np.nan, right.astype(np.float64), right[:1]):
        with pytest.raises(WrongOutputError, match="x: output 0 of call 0"):
            largest_difference("x", [[wrong]], [[right]])
    with pytest.raises(WrongOutputError):
        largest_difference("x", [[np.array([1, 2])]], [[np.array([1, 3])]])


def test_points_are_written_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results" / "curve.json"
    command = ["--models", MODEL, "--batches", "2", "--seconds", "0", "--json", str(file)]
    assert main([*command, "--shares", "0", "50"]) == 0
    document = json.loads(file.read_text("utf-8"))
    assert document["environment"]["onnxruntime"] and document["environment"]["processor"]
    first = document["points"]
    assert [point["share"] for point in first] == [0, 50]
    for point in first:
        assert set(point["ratios"]) == set(NAMES[1:]) and point["rounds"] == 5
        assert all(ratio["low"] <= ratio["median"] <= ratio["high"] for ratio in point["ratios"].values())
        assert point["ratios"][LIMIT]["median"] > 0
    document["points"][0]["mark"] = "kept"
    results.write(file, document)
    assert main([*command, "--shares", "0", "50", "100", "--resume"]) == 0
    points = json.loads(file.read_text("utf-8"))["points"]
    assert [point["share"] for point in points] == [0, 50, 100]
    assert points[0]["mark"] == "kept" and points[1] == first[1]
    assert points[2]["ratios"][LIMIT]["median"] == 0
    assert f"| {MODEL} |" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--shares", "101"], ["--batches", "0"], ["--models", "no_such"]])
def test_what_makes_no_sense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "reuse_curve: error" in capsys.readouterr().err
