"""Recorded calls add up over all starts of a program: when their number and their time are worth a look."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from actcache.learn import cache, chunks, identity, options, sampling
from actcache.learn.chunks import Waiting, chunk_name, waiting, write_chunk
from actcache.learn.opening import Opening
from actcache.learn.place import Place
from actcache.learn.sampling import Sampling


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a file that programs take for a model. What is started to compile it does nothing."""
    monkeypatch.setenv("ACTCACHE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("ACTCACHE_AUTO_CALLS", "64")
    monkeypatch.setenv("ACTCACHE_AUTO_PYTHON", "/bin/true")
    (tmp_path / "model.onnx").write_bytes(b"weights")
    return tmp_path / "model.onnx"


def place_of(model: Path) -> Place:
    taken = options.take(None, onnxruntime.SessionOptions, {})
    opening: Any = Opening(None, str(model), taken, None, None, {})
    return Place.find(opening, onnxruntime.__version__)


def start(model: Path, calls: int, seconds: float) -> bool:
    """Do what a program does whose calls take so long, and return whether its end had the model looked at."""
    place = place_of(model)
    sampled = Sampling(place)
    for call in range(calls):
        sampled.saw({"x": np.full(4, call, np.float32)})
    sampled.seconds = seconds
    sampled.write()
    return place.compile_at_end(sampled)


def test_short_programs_add_up(model: Path) -> None:
    assert [start(model, 3, 0.15) for _ in range(5)] == [False, False, False, True, True]
    left = waiting(place_of(model).calls)
    assert (left.chunks, left.calls, left.full) == (5, 15, False) and left.seconds == pytest.approx(0.75)


def test_one_long_program_is_worth_a_look(model: Path) -> None:
    assert start(model, 8, 0.6)


def test_many_calls_that_take_no_time_wait_for_many_starts(model: Path) -> None:
    found = [start(model, 2, 0.0001) for _ in range(64)]
    assert found == [False] * 63 + [True]


def test_calls_of_earlier_starts_count_while_a_program_runs(model: Path) -> None:
    assert not start(model, 63, 0.1)
    place = place_of(model)
    sampled = Sampling(place)
    assert not place.compile_when_due(sampled)  # it has made none itself
    sampled.saw({"x": np.zeros(4, np.float32)})
    assert place.compile_when_due(sampled)
    assert not place.compile_when_due(sampled)


def test_while_a_process_is_at_a_place_no_other_is_started_there(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho >> {started}\n")
    script.chmod(0o755)
    monkeypatch.setenv("ACTCACHE_AUTO_PYTHON", str(script))
    place = place_of(model)
    sampled = Sampling(place)
    for call in range(64):
        sampled.saw({"x": np.full(4, call, np.float32)})
    with cache.locked(cache.below(cache.make_folder(place.folder), "lock")):
        assert [place.compile_when_due(sampled) for _ in range(3)] == [True, False, False]
        request = cache.read_json(cache.below(place.folder, "request.json"))
        assert request is not None and request["program"]["pid"] == os.getpid()
        assert waiting(place.calls).calls == 64  # for the process that is there
    assert not place.compile_when_due(sampled) and not place.compile_when_due(sampled)
    end = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    assert started.read_text() == "\n"  # once


def test_answer_says_how_many_calls_are_missing(model: Path) -> None:
    place = place_of(model)
    cache.write_json(cache.below(cache.make_folder(place.folder), "answer.json"), {"key": "k", "wanted": 20})
    assert [start(model, 6, 1.0) for _ in range(4)] == [False, False, False, True]


def test_no_more_wait_than_there_is_room_for(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_MOST_CHUNKS", 3)
    for _ in range(5):
        start(model, 1, 0.0)
    left = waiting(place_of(model).calls)
    assert left.chunks == 3 and left.full
    monkeypatch.setattr(chunks, "_MOST_CHUNKS", 99)
    assert not waiting(place_of(model).calls).full
    monkeypatch.setattr(chunks, "_MOST_BYTES", left.bytes)
    assert waiting(place_of(model).calls).full


def test_other_files_do_not_count(tmp_path: Path) -> None:
    assert waiting(tmp_path / "nowhere") == Waiting()
    write_chunk(tmp_path / chunk_name(1, 2, 0.25), [{"x": np.zeros(1)}] * 2)
    (tmp_path / f".{chunk_name(2, 2, 0.25)}.tmp").write_bytes(b"")
    (tmp_path / "notes.calls").write_bytes(b"")
    (tmp_path / f"{1:020d}-{os.getpid()}-1-x-5.calls").write_bytes(b"")
    left = waiting(tmp_path)
    assert (left.chunks, left.calls, left.seconds) == (1, 2, 0.25)


def test_what_there_is_no_more_room_for_is_looked_at_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_CALLS", 5)
    place = place_of(model)
    sampled = Sampling(place)
    for call in range(7):
        sampled.saw({"x": np.full(4, call, np.float32)})
    assert (sampled.recorded, sampled.full, sampled.recording) == (5, True, False)
    assert [place.compile_when_due(sampled) for _ in range(2)] == [True, False]
    sampled.seldom()
    assert (sampled.recorded, sampled.full, sampled.recording) == (0, False, True)


def test_after_stop_nothing_is_recorded_any_more(model: Path) -> None:
    sampled = Sampling(place_of(model))
    sampled.stop()
    sampled.seldom()
    sampled.resume()
    sampled.saw({"x": np.zeros(4, np.float32)})
    assert (sampled.recorded, sampled.recording) == (0, False)


@pytest.mark.parametrize(("wanted", "for_good"), [(128, False), (2048, True)])
def test_a_refusal_after_few_calls_is_not_for_good(model: Path, wanted: int, for_good: bool) -> None:
    place = place_of(model)
    files = {os.path.realpath(model): identity.signature(model)}
    answer = {"key": "0" * 32, "files": files, "state": "refused", "wanted": wanted}
    cache.write_json(cache.below(cache.make_folder(place.folder), "answer.json"), answer)
    assert place.ready() is None
    assert place.refused is for_good
