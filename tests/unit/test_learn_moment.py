"""When the compiling process begins, and which share it takes: what decides that, and what it knows of the program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from actcache.learn import cache, moment, priority, program, settings
from actcache.learn.chunks import Feed, chunk_name, write_chunk
from actcache.learn.moment import Moment, decide, expected_cost
from actcache.learn.whole_rows import WholeRows

DRAWN = np.random.default_rng(1).standard_normal((12, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("ran", "idle", "share", "calls_took", "cost", "expected"),
    [
        (None, False, 0.0, 0.0, 10.0, Moment.BEHIND),  # the program has ended
        (1.0, True, 0.1, 0.0, 10.0, Moment.BEHIND),
        (1.0, True, 0.0, 0.0, 10.0, Moment.LATER),  # nothing has come again yet
        (20.0, True, 0.0, 0.0, 10.0, Moment.BEHIND),
        (1.0, True, 1.0, 100.0, 10.0, Moment.BEHIND),  # an idle core costs nothing
        (30.0, False, 0.0, 30.0, 10.0, Moment.LATER),  # nothing repeats
        (29.0, False, 1.0, 29.0, 10.0, Moment.LATER),
        (31.0, False, 1.0, 31.0, 10.0, Moment.BESIDE),  # 21 seconds are saved by 10
        (31.0, False, 0.9, 31.0, 10.0, Moment.LATER),
        (31.0, False, 1.0, 20.0, 10.0, Moment.LATER),  # the rest of its time is not the model's
        (31.0, False, 1.0, 200.0, 10.0, Moment.BESIDE),
        (9.0, False, 1.0, 200.0, 10.0, Moment.LATER),  # of many threads
        (330.0, False, 0.0, 0.0, 10.0, Moment.LATER),
        (340.0, False, 0.0, 0.0, 10.0, Moment.BESIDE),  # 3 % of what it has run
    ],
)
def test_what_is_done(
    ran: float | None, idle: bool, share: float, calls_took: float, cost: float, expected: Moment
) -> None:
    assert decide(ran, idle, share, calls_took, cost) is expected


def rows(folder: Path, *calls: Feed) -> float:
    cache.make_folder(folder)
    write_chunk(folder / chunk_name(1, len(calls), 0.1), list(calls))
    return WholeRows(folder).share()


def test_rows_that_came_before_are_counted_across_calls_and_sizes(tmp_path: Path) -> None:
    assert rows(tmp_path / "new", {"x": DRAWN[:6]}, {"x": DRAWN[6:]}) == 0.0
    assert rows(tmp_path / "half", {"x": DRAWN[:4]}, {"x": DRAWN[[0, 1, 5, 6]]}) == 0.5
    assert rows(tmp_path / "all", {"x": DRAWN[:3]}, {"x": DRAWN[2:3]}, {"x": DRAWN[:2]}) == 1.0


def test_a_row_is_what_all_inputs_have_for_it(tmp_path: Path) -> None:
    one, other = DRAWN[:2], DRAWN[2:4]
    assert rows(tmp_path / "pairs", {"a": one, "b": one}, {"a": one, "b": other}) == 0.0
    assert rows(tmp_path / "same", {"a": one, "b": other}, {"a": one, "b": other}) == 1.0
    rate = np.array(16_000, np.int64)
    assert rows(tmp_path / "scalar", {"x": one, "r": rate}, {"x": one, "r": rate}) == 1.0
    assert rows(tmp_path / "other", {"x": one, "r": rate}, {"x": one, "r": rate + 1}) == 0.0
    assert rows(tmp_path / "texts", {"t": np.array(["ab", "c"])}, {"t": np.array(["ab", "d"])}) == 0.5


def test_inputs_without_a_common_number_of_rows_repeat_as_a_call(tmp_path: Path) -> None:
    call: Feed = {"x": DRAWN[:4], "length": np.arange(3)}
    assert rows(tmp_path / "same", call, call) == 1.0
    assert rows(tmp_path / "part", call, {**call, "x": DRAWN[[0, 1, 2, 9]]}) == 0.0


def test_new_chunks_are_looked_at_and_damaged_ones_are_not(tmp_path: Path) -> None:
    found = WholeRows(tmp_path)
    assert found.share() == 0.0
    write_chunk(tmp_path / chunk_name(1, 1, 0.1), [{"x": DRAWN[:6]}])
    assert found.share() == 0.0
    write_chunk(tmp_path / chunk_name(2, 1, 0.1), [{"x": DRAWN[:6]}])
    assert found.share() == 1.0
    (tmp_path / chunk_name(3, 1, 0.1)).write_bytes(b'[{"x": ["<f4", ')
    other = tmp_path / chunk_name(4, 1, 0.1)
    write_chunk(other, [{"x": DRAWN[6:]}])
    other.chmod(0o666)  # another user may have written it
    assert found.share() == 1.0


def test_calls_that_are_written_again_count_once(tmp_path: Path) -> None:
    found = WholeRows(tmp_path)
    kept: list[Feed] = [{"x": DRAWN[:1]}, {"x": DRAWN[1:2]}]
    first = tmp_path / chunk_name(1, 2, 0.1, began=5, level=0)
    write_chunk(first, kept)
    assert found.share() == 0.0
    first.unlink()
    write_chunk(tmp_path / chunk_name(1, 4, 0.1, began=5, level=0), [*kept, {"x": DRAWN[2:3]}, kept[0]])
    assert found.share() == 0.5


def test_a_process_is_known_while_it_runs(tmp_path: Path) -> None:
    mine = program.this()
    before = program.age(mine)
    assert before is not None and -0.01 < before - mine["ran"] < 60
    assert program.age({**mine, "began": mine["began"] - 1}) is None  # its number was given out again
    assert program.age({}) is None  # a system that does not tell
    code = "import json, sys; from actcache.learn import program; print(json.dumps(program.this())); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    told = json.loads(other.stdout.readline())
    assert program.age(told) is not None and told["pid"] == other.pid
    other.kill()
    end = time.monotonic() + 60
    while program.age(told) is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert program.age(told) is None  # though nobody has waited for it yet
    other.communicate()


def test_what_compiling_takes_is_known_from_earlier_attempts(tmp_path: Path) -> None:
    place = cache.make_folder(cache.place_folder(tmp_path, "place"))
    assert expected_cost(tmp_path, place) == moment._FIRST_COST
    for key, seconds in (("a", 2.0), ("b", 7.0), ("c", 3.0)):
        folder = cache.make_folder(cache.model_folder(tmp_path, key))
        cache.write_json(folder / "record.json", {"processor_seconds": seconds})
    cache.write_json(cache.make_folder(cache.model_folder(tmp_path, "d")) / "record.json", {"state": "learning"})
    assert expected_cost(tmp_path, place) == 3.0
    cache.write_json(place / "answer.json", {"key": "b"})
    assert expected_cost(tmp_path, place) == 7.0
    cache.write_json(place / "answer.json", {"key": "d"})
    assert expected_cost(tmp_path, place) == 3.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", set()), ("1", {1}), ("2-3", {2, 3}), (" 0, 2-4,9 ", {0, 2, 3, 4, 9}), ("0-0", {0})],
)
def test_lists_of_cores(text: str, expected: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.CORES, text)
    assert settings.cores() == expected


@pytest.mark.parametrize("text", ["all", "1,", "-1", "3-2", "1-2-3", "0x1", "1 2", "999999999", "²"])
def test_what_is_no_list_of_cores(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.CORES, text)
    with pytest.raises(ValueError, match="is no list of cores"):
        settings.cores()


def test_idle_time_passes_no_faster_than_all_cores_let_it() -> None:
    start, before = time.monotonic(), priority._idle_seconds()
    time.sleep(0.05)
    passed = priority._idle_seconds() - before
    assert 0 <= passed <= (time.monotonic() - start + 0.05) * (os.cpu_count() or 1)


def test_a_core_is_idle_if_it_was_for_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 11.0, 12.0, 14.0, 16.0])
    idle = iter([5.0, 6.4, 8.1, 8.1])  # asked at the beginning, and every two seconds
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    monkeypatch.setattr(priority, "_idle_seconds", lambda: next(idle))
    core = priority.IdleCore()
    assert [core.found() for _ in range(4)] == [False, False, True, False]
