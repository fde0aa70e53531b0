"""``benchmarks.tiers``: its processes do what they are told, and a bar is a bar in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.disk_store import QUESTIONS, sizes
from benchmarks.native_programs import numbers
from benchmarks.tier_process import VALUE_BYTES, TierProcess, compiled
from benchmarks.tiers import Figure, disk_hits, fill


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("model"))


def test_what_one_process_stored_another_one_finds(model: Path, tmp_path: Path) -> None:
    entries, size = fill(model, tmp_path / "store", 20)
    assert entries == 20 and size >= 20 * VALUE_BYTES
    from_disk, share = disk_hits(model, tmp_path / "store", 20)
    assert share.least and 0.5 <= share.value <= 1  # a loaded disk may be too slow for some
    assert from_disk.unit == "µs" and from_disk.value > 0


def test_knobs_of_this_process_do_not_reach_the_others(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTCACHE_DISK_PATH", str(tmp_path / "store"))
    with TierProcess(model) as process:
        assert len(process.do("calls", [1, 1, 2])) == 3
        assert process.do("counts") == {"hits": 1, "disk_hits": 0, "misses": 2}
    assert not (tmp_path / "store").exists()


def test_a_bar_is_the_most_or_the_least() -> None:
    assert Figure("time", 301, "µs", 300, "").missed and not Figure("time", 300, "µs", 300, "").missed
    assert Figure("share", 0.94, "", 0.95, "", least=True).missed
    assert not Figure("share", 0.95, "", 0.95, "", least=True).missed


def test_sizes_are_compared_side_by_side() -> None:
    lines = [
        f"{question} {side} {size} {size * (1 if side == 'index' else 2)}"
        for question in QUESTIONS
        for side in ("index", "file")
        for size in (65536, 4096)
    ]
    table = sizes(numbers(lines))
    columns = [list(column.cells) for column in table.columns]
    assert columns == [["4 KiB", "64 KiB"], *[["4 / 8", "66 / 131"]] * len(QUESTIONS)]
