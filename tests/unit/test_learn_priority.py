"""When the compiling process begins: once a core is idle, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from actcache.learn import priority


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACTCACHE_AUTO_NICE", raising=False)
    monkeypatch.setattr(priority, "_LONGEST", 0.2)
    monkeypatch.setattr(priority, "_PERIOD", 0.01)


def looks(monkeypatch: pytest.MonkeyPatch, idle: Iterator[float]) -> list[float]:
    """Have the machine say these; returns what it said."""
    said: list[float] = []

    def next_one() -> float:
        said.append(next(idle))
        return said[-1]

    monkeypatch.setattr(priority, "_idle_seconds", next_one)
    return said


def test_it_begins_once_a_core_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    said = looks(monkeypatch, iter([5.0, 5.001, 5.004, 5.013]))
    priority.wait_for_an_idle_core()
    assert len(said) == 4


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    said = looks(monkeypatch, iter(lambda: 5.0, None))
    start = time.monotonic()
    priority.wait_for_an_idle_core()
    assert time.monotonic() - start >= 0.2 and len(said) > 2


def test_one_of_usual_priority_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTCACHE_AUTO_NICE", "0")
    said = looks(monkeypatch, iter(()))
    priority.wait_for_an_idle_core()
    assert not said


def test_idle_time_passes_no_faster_than_all_cores_let_it() -> None:
    start, before = time.monotonic(), priority._idle_seconds()
    time.sleep(0.05)
    passed = priority._idle_seconds() - before
    assert 0 <= passed <= (time.monotonic() - start + 0.05) * 256
