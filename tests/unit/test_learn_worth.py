"""When a compiled model has stopped paying, what it takes to go back, and what is asked of it to return."""

from __future__ import annotations

from pathlib import Path

import pytest
from learnt_folders import add_model

from actcache.learn import cache, set_aside
from actcache.learn.place import Ready, find_ready
from actcache.learn.worth import Worth, of


def ready(folder: str = "compiled-1") -> Ready:
    return Ready("key", folder, Path("model.onnx"), None, (), ())


class Windows:
    """Calls of 10 ms each, of which every one gains so much."""

    def __init__(self) -> None:
        self.worth, self.gained = Worth(), 0.0
        self.worth.look(0.0)

    def pass_by(self, gain: float, calls: int = 256) -> str | None:
        for _ in range(calls):
            self.worth.saw(0.010)
            self.gained += gain
            if self.worth.is_due():
                self.worth.look(self.gained)
        return self.worth.problem


def test_two_windows_in_a_row_that_save_nothing_are_enough_and_one_is_not() -> None:
    windows = Windows()
    assert windows.pass_by(0.002) is None and windows.worth.paid
    assert windows.pass_by(0.0) is None
    assert windows.pass_by(0.002) is None  # that was an accident
    assert windows.pass_by(0.0) is None
    told = windows.pass_by(-0.0001)
    assert told is not None and "cost 0.026 s more than they saved in the last 256 calls (2.56 s)" in told


def test_little_is_as_good_as_nothing() -> None:
    little, enough = Windows(), Windows()
    for _ in range(2):
        little.pass_by(0.00004)
        enough.pass_by(0.00006)
    assert little.worth.problem is not None and "saved 0.010 s" in little.worth.problem
    assert enough.worth.problem is None and enough.worth.paid


def test_few_calls_and_short_ones_say_nothing() -> None:
    windows = Windows()
    assert windows.pass_by(0.0, 255) is None and not windows.worth.is_due()
    quick = Worth()
    quick.look(0.0)
    for _ in range(1000):
        quick.saw(0.0001)
    assert not quick.is_due()


def test_sessions_of_a_process_share_what_is_known() -> None:
    assert of(ready()) is of(ready()) and of(ready()) is not of(ready("compiled-2"))


def test_each_time_more_is_asked_for(tmp_path: Path) -> None:
    folder = add_model(tmp_path, "key", used=1e9)
    assert set_aside.noted(folder, "compiled-1") is None
    for times in (1, 2, 3):
        assert not set_aside.is_out_of_use(folder, "compiled-1")
        assert set_aside.note(tmp_path, ready(), "why") == times
        found = set_aside.noted(folder, "compiled-1")
        assert found is not None and found["reason"] == "why"
        assert set_aside.stricter(0.98, found) == pytest.approx(0.98 - 0.02 * times)
    assert set_aside.is_out_of_use(folder, "compiled-1") and not set_aside.is_out_of_use(folder, "compiled-2")
    assert set_aside.stricter(0.98, {"times": 1000}) == pytest.approx(0.78)
    set_aside.clear(tmp_path, ready())
    assert set_aside.noted(folder, "compiled-1") is None and find_ready(tmp_path, "key") is None


def test_newer_calls_only_are_measured(tmp_path: Path) -> None:
    for name in ("00000000001000000000-7-1-0000.npz", "00000000003000000000-7-1-0000.npz", "named.npz"):
        (tmp_path / name).write_bytes(b"")
    set_aside.drop_older_calls(tmp_path, {"time": 2.0})
    assert sorted(file.name[:12] for file in tmp_path.iterdir()) == ["000000000030", "named.npz"]


def test_a_damaged_note_says_nothing(tmp_path: Path) -> None:
    folder = add_model(tmp_path, "key", used=1e9)
    cache.write_json(folder / "back.json", {"folder": "compiled-1", "times": "many"})
    assert set_aside.noted(folder, "compiled-1") is None and not set_aside.is_out_of_use(folder, "compiled-1")
