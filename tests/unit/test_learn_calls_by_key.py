"""Which calls are kept where there is no room for all: of some contents all, so that they repeat as all calls do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from actcache.learn import calls_by_key
from actcache.learn.calls_by_key import CallsByKey, key_of, level_of
from actcache.learn.chunks import Feed

#: Contents of 4 KB each.
POOL = np.random.default_rng(5).standard_normal((400, 1, 1024)).astype(np.float32)


def content(number: int) -> Feed:
    return {"x": POOL[number]}


def share(numbers: list[int]) -> float:
    return 1 - len(set(numbers)) / len(numbers)


def numbers_of(feeds: list[Feed]) -> list[int]:
    known = {POOL[number].tobytes(): number for number in range(len(POOL))}
    return [known[feed["x"].tobytes()] for feed in feeds]


def kept_of(stream: list[int]) -> tuple[CallsByKey, list[int]]:
    kept = CallsByKey()
    for number in stream:
        kept.saw(content(number))
    return kept, numbers_of(kept.sample())


@pytest.fixture
def room_for_forty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_by_key, "MOST_BYTES", 40 * POOL[0].nbytes)


@pytest.mark.usefixtures("room_for_forty")
def test_kept_calls_repeat_as_often_as_all_do() -> None:
    stream = np.random.default_rng(3).integers(0, 300, 900).tolist()
    kept, found = kept_of(stream)
    assert kept.looked_at == 900 and kept.level >= 3
    assert len(set(found)) <= 40
    expected = [number for number in stream if level_of(key_of(content(number))) >= kept.level]
    assert set(found) == set(expected) and 0.8 * len(expected) < len(found) <= len(expected)
    left = iter(expected)
    assert all(number in left for number in found)  # in their order
    assert 0.5 < share(found) <= share(stream) < 0.75
    assert share(stream[:40]) < 0.2  # what neighbouring calls would have said


@pytest.mark.usefixtures("room_for_forty")
def test_where_nothing_repeats_nothing_does_among_the_kept() -> None:
    kept, found = kept_of(list(range(400)))
    assert kept.level >= 3 and 5 < len(found) == len(set(found)) <= 40


@pytest.mark.usefixtures("room_for_forty")
def test_a_frequent_content_that_was_kept_by_chance_does_not_count_for_more() -> None:
    hot = max(range(400), key=lambda number: level_of(key_of(content(number))))
    stream = [number for number in range(400) if number != hot]
    stream = [number for place, other in enumerate(stream) for number in ([other, hot] if place % 8 == 0 else [other])]
    kept, found = kept_of(stream)
    assert level_of(key_of(content(hot))) >= kept.level >= 3
    assert stream.count(hot) > 40 and share(stream) < 0.12
    assert found.count(hot) > 1 and share(found) <= share(stream)


def test_equal_calls_are_kept_once_and_are_copies() -> None:
    kept, x = CallsByKey(), POOL[0].copy()
    first = kept.saw({"x": x})
    assert first is not None and kept.saw({"x": POOL[0]}) is first
    x[:] = 0
    assert [feed["x"].tobytes() for feed in kept.sample()] == [POOL[0].tobytes()] * 2


def test_contents_of_one_key_are_told_apart() -> None:
    one = np.zeros(1 << 20, np.uint8)
    changed = [_but(one, place) for place in range(0, 1 << 20, 1 << 13)]
    other = next(array for array in changed if key_of({"x": array}) == key_of({"x": one}))
    kept = CallsByKey()
    for array in (one, other, one):
        kept.saw({"x": array})
    assert [bool(feed["x"].any()) for feed in kept.sample()] == [False, True, False]


def _but(array: npt.NDArray[np.uint8], place: int) -> npt.NDArray[np.uint8]:
    return np.where(np.arange(len(array)) == place, np.uint8(1), array)


def test_one_call_may_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_by_key, "MOST_BYTES", 100)
    kept = CallsByKey()
    assert kept.saw(content(0)) is None and kept.saw(content(0)) is None
    assert kept.sample() == [] and kept.looked_at == 2


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"x": POOL[0], "y": POOL[1]}, {"y": POOL[1], "x": POOL[0]}, True),
        ({"x": POOL[0], "y": POOL[1]}, {"x": POOL[1], "y": POOL[0]}, False),
        ({"x": POOL[0]}, {"x": POOL[0].T}, False),
        ({"x": POOL[0]}, {"x": POOL[0].view(np.int32)}, False),
        ({"x": POOL[:200]}, {"x": POOL[:200].copy()}, True),
        ({"x": POOL[:200]}, {"x": POOL[1:201]}, False),
        ({"x": POOL[:, :, ::2]}, {"x": POOL[:, :, ::2].copy()}, True),
        ({"x": np.array(["a", "bc"])}, {"x": np.array(["a", "bc"], object)}, True),
        ({"x": np.array(["a", "bc"])}, {"x": np.array(["ab", "c"])}, False),
        ({"x": np.array(1.5)}, {"x": np.array(1.5)}, True),
        ({"x": np.array(1.5)}, {"x": np.array(2.5)}, False),
        ({"x": np.zeros((0, 3))}, {"x": np.zeros((0, 4))}, False),
    ],
)
def test_keys(one: Feed, other: Feed, equal: bool) -> None:
    assert (key_of(one) == key_of(other)) is equal


def test_half_of_all_keys_have_the_least_level() -> None:
    levels = [level_of(key_of(content(number))) for number in range(400)]
    assert 150 < levels.count(0) < 250 and 60 < levels.count(1) < 140
