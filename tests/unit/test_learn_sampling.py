"""What of a session's calls is recorded, within which bounds, and how it is written down and read again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest

from actcache.learn import cache, chunks, sampling
from actcache.learn.pace import Pace, ProgramTime
from actcache.learn.sampling import Sampling


class _Place:
    """What a sampling needs of a place: a folder."""

    def __init__(self, folder: Path) -> None:
        self.calls = folder / "calls"


def recorder(folder: Path) -> Sampling:
    return Sampling(cast(Any, _Place(folder)))


def written(folder: Path) -> list[chunks.Feed]:
    return [feed for file in sorted((folder / "calls").glob("*.calls")) for feed in chunks.read_chunk(file)]


def test_every_kind_of_array_is_read_as_it_was_written(tmp_path: Path) -> None:
    feed = {
        "floats": np.array([[1.5, np.nan], [-0.0, np.inf]], np.float32),
        "none": np.zeros((0, 3), np.int64),
        "scalar": np.array(7, np.int8),
        "halves": np.array([0.5], np.float16),
        "truth": np.array([True, False]),
        "texts": np.array(["a", "ß"]),
        "objects": np.array(["long text", ""], object),
        "strided": np.arange(12, dtype=np.uint16).reshape(3, 4)[:, ::2],
        "value": onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(2, np.float32)),
        "list": [1, 2],
    }
    sampled = recorder(tmp_path)
    sampled.types = {"list": "tensor(int64)"}
    sampled.saw(feed)
    sampled.write()
    (found,) = written(tmp_path)
    assert found.keys() == feed.keys()
    for name, array in found.items():
        given = feed[name].numpy() if name == "value" else np.asarray(feed[name])
        assert array.shape == given.shape and array.dtype.kind in chunks.KINDS, name
        assert np.array_equal(array, given.astype(np.str_) if given.dtype.kind == "O" else given, equal_nan=False) or (
            array.tobytes() == given.tobytes()
        ), name


def test_what_is_recorded_is_a_copy(tmp_path: Path) -> None:
    sampled, x = recorder(tmp_path), np.zeros(4, np.float32)
    sampled.saw({"x": x})
    x[:] = 1
    sampled.write()
    assert not written(tmp_path)[0]["x"].any() and not sampled.latest()[0]["x"].any()


@pytest.mark.parametrize("value", [{"a": 1}, None, np.array([object()]), [[1], [1, 2]]])
def test_other_inputs_are_counted_and_nothing_is_recorded(tmp_path: Path, value: object) -> None:
    sampled = recorder(tmp_path)
    sampled.saw({"x": np.zeros(1), "y": value})
    assert (sampled.recorded, sampled.unreadable) == (0, 1)
    sampled.write()
    assert not (tmp_path / "calls").exists()


def test_bounds_of_calls_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_CALLS", 3)
    few = recorder(tmp_path)
    for _ in range(5):
        few.saw({"x": np.zeros(1)})
    assert few.recorded == 3 and not few.recording
    few.resume()
    assert not few.recording  # full is full
    monkeypatch.setattr(sampling, "MOST_BYTES", 100)
    small = recorder(tmp_path)
    for _ in range(5):
        small.saw({"x": np.zeros(6)})
    assert small.recorded == 2 and not small.recording


def test_large_calls_are_chosen_by_their_keys_once_neighbours_take_all_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MOST_BYTES", 100)
    monkeypatch.setattr(sampling, "MOST_CALLS", 12)
    sampled = recorder(tmp_path)
    for number in range(4):
        sampled.saw({"x": np.full(6, number, float)})
    assert (sampled.recorded, sampled.full) == (2, True)
    assert sampled.choose_by_key() and not sampled.full and sampled.recording
    for number in (5, 6, 5):
        sampled.saw({"x": np.full(6, number, float)})
    sampled.write_all()
    sampled.write_all()
    left = chunks.waiting(tmp_path / "calls")
    assert (sampled.recorded, left.chunks, left.calls) == (5, 2, 5)
    assert [int(feed["x"][0]) for feed in written(tmp_path)] == [0, 1, 5, 6, 5]
    for number in (7, 6):
        sampled.saw({"x": np.full(6, number, float)})
    sampled.write_all()  # all of them again, in the place of the first
    left = chunks.waiting(tmp_path / "calls")
    assert (left.chunks, left.calls) == (2, 7)
    assert [int(feed["x"][0]) for feed in written(tmp_path)] == [0, 1, 5, 6, 5, 7, 6]
    for file in (tmp_path / "calls").iterdir():
        file.unlink()  # taken over
    for number in range(9):
        sampled.saw({"x": np.full(6, number, float)})
    assert (sampled.recorded, sampled.full, sampled.recording) == (12, True, False)
    sampled.write_all()
    left = chunks.waiting(tmp_path / "calls")
    assert (left.chunks, left.calls) == (1, 5)  # new ones
    assert not sampled.choose_by_key()
    sampled.seldom()
    sampled.saw({"x": np.full(6, 9, float)})
    sampled.write_all()
    assert chunks.waiting(tmp_path / "calls").chunks == 2
    assert not sampled.choose_by_key()


def test_bytes_that_wait_are_bounded_until_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_WAITING", 100)
    sampled = recorder(tmp_path)
    for _ in range(5):
        sampled.saw({"x": np.zeros(6)})
    assert sampled.recorded == 2 and sampled.recording
    sampled.write()
    sampled.saw({"x": np.ones(6)})
    sampled.write()
    assert [feed["x"][0] for feed in written(tmp_path)] == [0, 0, 1]


def test_few_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled = recorder(tmp_path)
    for _ in range(5):
        sampled.saw({"x": np.zeros(6)})
        sampled.write_in_time()
    assert not (tmp_path / "calls").exists()
    monkeypatch.setattr(sampling, "_WORTH_WRITING", 6 * 48)
    for _ in range(2):
        sampled.saw({"x": np.zeros(6)})
        sampled.write_in_time()
    assert len(list((tmp_path / "calls").iterdir())) == 1 and len(written(tmp_path)) == 6
    monkeypatch.setattr(sampling, "_LONGEST_WAIT", 0.0)
    sampled.write_in_time()
    assert len(list((tmp_path / "calls").iterdir())) == 2 and len(written(tmp_path)) == 7


def test_the_last_calls_are_kept(tmp_path: Path) -> None:
    sampled = recorder(tmp_path)
    for number in range(9):
        sampled.saw({"x": np.array(number)})
    assert [int(feed["x"]) for feed in sampled.latest()] == [3, 4, 5, 6, 7, 8]
    sampled.stop()
    sampled.saw({"x": np.array(9)})
    assert sampled.latest() == [] and sampled.recorded == 9


def test_damaged_chunks_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.calls"
    chunks.write_chunk(file, [{"x": np.arange(6.0)}, {"x": np.arange(3.0)}])
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="size"):
        list(chunks.read_chunk(file))
    file.write_bytes(whole.replace(b"<f8", b"|O8"))
    with pytest.raises(ValueError, match="type"):
        list(chunks.read_chunk(file))
    file.write_bytes(b"[0]\n")
    with pytest.raises(ValueError, match="call 0"):
        list(chunks.read_chunk(file))
    file.write_bytes(b"no chunk\n")
    with pytest.raises(ValueError, match="Expecting"):
        list(chunks.read_chunk(file))


def test_chunks_of_others_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.calls"
    chunks.write_chunk(file, [{"x": np.arange(6.0)}])
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o622)
    with pytest.raises(cache.Untrusted):
        list(chunks.read_chunk(file))
    link = tmp_path / "b.calls"
    link.symlink_to(file)
    with pytest.raises(cache.Untrusted):
        list(chunks.read_chunk(link))


def test_a_chunk_is_there_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        chunks.write_chunk(tmp_path / "a.calls", [{"x": np.arange(6.0)}])
    assert list(tmp_path.iterdir()) == []


def test_recording_costs_a_small_share_of_the_time() -> None:
    """A call takes a millisecond, recording it half a millisecond: the purse lasts for some, then few are recorded."""
    now, recorded, recording = 0.0, 0, True
    pace = Pace(now)
    for call in range(100_000):
        now += 0.001
        if recording:
            now += 0.0005
            recorded += 1
            recording = pace.goes_on(now, 0.0005)
        elif call % 500 == 0:
            recording = pace.may_resume(now)
        if call == 39:
            assert recorded == 40  # the purse: the first calls are recorded one after the other
    cost = recorded * 0.0005 - 0.020
    assert 0.003 < cost / now < 0.0051


def test_what_writing_costs_is_paid_too() -> None:
    pace = Pace(0.0)
    assert pace.goes_on(1.0, 0.001)
    pace.pay(1.0, 0.030)
    assert not pace.goes_on(1.0, 0.001) and not pace.may_resume(3.0)
    assert pace.may_resume(10.0)


def test_time_of_the_program_stands_still_while_it_waits() -> None:
    clock = ProgramTime()
    before, end = clock(), time.perf_counter() + 0.2
    time.sleep(0.2)
    waited = clock() - before
    while time.perf_counter() < end + 0.2:
        pass
    worked = clock() - before - waited
    assert 0 <= waited < 0.1 and 0 < worked < 10


def test_where_little_is_to_be_learnt_stretches_are_recorded() -> None:
    now, recorded, recording = 0.0, [], True
    pace = Pace(now)
    pace.seldom(now)
    for call in range(4096 * 10):
        now += 0.01
        if recording:
            recorded.append(call)
            recording = pace.goes_on(now, 1e-6)
        else:
            recording = pace.may_resume(now)
    assert recorded[:64] == list(range(64)) and recorded[64] > 4000
    assert 9 * 64 <= len(recorded) <= 11 * 64
