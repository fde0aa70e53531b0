"""Which recorded calls a model is compiled by, and how samples are made of chunks of calls that were kept by keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actcache.learn import job
from actcache.learn.calls_by_key import key_of, level_of
from actcache.learn.chunks import Feed, chunk_name, level_in, read_chunk, write_chunk
from actcache.learn.evidence import Evidence, choose
from actcache.learn.repetition import repeating_share
from actcache.learn.whole_rows import WholeRows
from actcache.model.feed_file import read_entries

DRAWN = np.random.default_rng(2).standard_normal((600, 1, 64)).astype(np.float32)
#: Contents of the level 2 and more, and the others.
HIGH = [number for number in range(600) if level_of(key_of({"x": DRAWN[number]})) >= 2]
LOW = [number for number in range(600) if level_of(key_of({"x": DRAWN[number]})) < 2]


def feeds(numbers: list[int]) -> list[Feed]:
    known = {number: {"x": DRAWN[number]} for number in numbers}
    return [known[number] for number in numbers]


def chunk(folder: Path, number: int, calls: list[Feed], **more: int) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / chunk_name(number, len(calls), 0.5, **more)
    write_chunk(file, calls)
    return file


def samples(tmp_path: Path, neighbours: list[Feed], by_key: list[Feed], level: int = 2) -> list[Path]:
    target = tmp_path / "taken"
    target.mkdir()
    chunk(tmp_path / "calls", 1, neighbours)
    chunk(tmp_path / "calls", 2, by_key, level=level)
    job.take_over(tmp_path / "calls", target)
    return sorted(target.glob("*.npz"))


def numbers_in(found: Evidence) -> list[int]:
    known = {DRAWN[number].tobytes(): number for number in range(len(DRAWN))}
    return [known[read_entries(call)["x"].tobytes()] for call in found.calls]


def test_calls_kept_by_key_decide_where_more_repeats_among_them(tmp_path: Path) -> None:
    first = LOW[:30] + HIGH[:10]
    found = choose(samples(tmp_path, feeds(first), feeds(HIGH[:10] + HIGH[5:15])))
    assert found.one_in == 4
    assert numbers_in(found) == HIGH[:10] + HIGH[:10] + HIGH[5:15]  # and those of their contents that came first


def test_neighbouring_calls_decide_where_parts_repeat(tmp_path: Path) -> None:
    user = DRAWN[0, :, :32]
    calls = [{"x": np.concatenate([user if n % 2 else DRAWN[n, :, :32], DRAWN[n, :, 32:]], axis=1)} for n in range(400)]
    kept = [call for call in calls[60:] if level_of(key_of(call)) >= 2]
    assert len(kept) >= 40
    found = choose(samples(tmp_path, calls[:60], kept))
    assert found.one_in == 1 and len(found.calls) == 60


def test_neighbouring_calls_decide_where_sequences_may_go_on(tmp_path: Path) -> None:
    calls = [{"x": DRAWN[0, :, :length]} for length in range(20, 50)]
    found = choose(samples(tmp_path, calls, feeds(HIGH[:10] * 2)))
    assert found.one_in == 1 and len(found.calls) == 30


def test_a_small_difference_is_an_accident(tmp_path: Path) -> None:
    found = choose(samples(tmp_path, feeds(LOW[:20] * 2), feeds([*HIGH[:20] * 2, *HIGH[:2]])))
    assert found.one_in == 1


def test_few_calls_say_nothing(tmp_path: Path) -> None:
    found = choose(samples(tmp_path, feeds(LOW[:30]), feeds(HIGH[:2] * 2)))
    assert found.one_in == 1 and len(found.calls) == 30


def test_all_calls_decide_where_none_were_kept_by_key(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    chunk(tmp_path / "calls", 1, feeds(LOW[:9]))
    job.take_over(tmp_path / "calls", tmp_path / "taken")
    found = choose(sorted((tmp_path / "taken").glob("*.npz")))
    assert found.one_in == 1 and numbers_in(found) == LOW[:9]


def test_the_highest_level_of_several_programs_counts_for_all(tmp_path: Path) -> None:
    higher = [number for number in HIGH if level_of(key_of({"x": DRAWN[number]})) >= 4]
    assert len(higher) >= 8
    chunk(tmp_path / "calls", 3, feeds(higher * 2), level=4)
    found = choose(samples(tmp_path, feeds(LOW[:30]), feeds(HIGH * 2)))
    assert found.one_in == 16 and set(numbers_in(found)) == set(higher)


def test_equal_calls_take_room_once(tmp_path: Path) -> None:
    file = chunk(tmp_path, 1, feeds([3, 4, 3, 3]), level=0)
    assert file.stat().st_size < 2 * DRAWN[0].nbytes + 300
    read = list(read_chunk(file))
    assert [call["x"].tobytes() for call in read] == [DRAWN[number].tobytes() for number in (3, 4, 3, 3)]
    assert WholeRows(tmp_path).share() == 1.0
    target = tmp_path / "taken"
    target.mkdir()
    assert job.take_over(tmp_path, target) == 4
    found = sorted(target.glob("*.npz"))
    assert [level_in(sample.name) for sample in found] == [0] * 4
    assert [read_entries(sample)["x"].tobytes() for sample in found] == [call["x"].tobytes() for call in read]
    assert len({sample.stat().st_ino for sample in found}) == 2


def test_what_a_program_keeps_takes_the_place_of_what_it_kept_before(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    chunk(tmp_path / "calls", 1, feeds(LOW[:4]))
    chunk(tmp_path / "calls", 2, feeds(HIGH[:8]), began=5, level=1)
    assert job.take_over(tmp_path / "calls", target) == 12
    file = tmp_path / "calls" / chunk_name(2, 40, 0.5, began=5, level=2)
    write_chunk(file, feeds(HIGH[:3]))
    assert job.take_over(tmp_path / "calls", target) == 40  # that many were looked at
    assert sorted(level_in(sample.name) or 0 for sample in target.glob("*.npz")) == [0] * 4 + [2] * 3


def test_neighbours_and_calls_kept_by_key_have_room_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_MOST_BYTES", 12 * DRAWN[0].nbytes * 2)
    found = samples(tmp_path, feeds(LOW[:90]), feeds(HIGH[:8] * 5))
    neighbours = [sample for sample in found if level_in(sample.name) is None]
    assert 8 <= len(neighbours) < 30 and sum(sample.stat().st_size for sample in neighbours) <= job._MOST_BYTES
    assert len(found) - len(neighbours) == 40  # equal ones count once


def test_the_newer_half_tells_how_much_repeats() -> None:
    assert repeating_share(feeds([0, 1, 2, 3])) == 0.0
    assert repeating_share(feeds([0, 1, 0, 1])) == 1.0
    assert repeating_share(feeds([0, 0, 1, 2])) == 0.0
    assert repeating_share(feeds([0, 1, 2, 1])) == 0.5
    assert repeating_share(feeds([0, 0, 0, 0])) == 1.0  # nothing varies
    assert repeating_share([{"x": np.zeros(3)}, {"x": np.array(["a"], object)}]) == 1.0
