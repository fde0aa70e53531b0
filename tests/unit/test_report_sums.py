"""What the report counts: against the same counted by hand, and within the errors that it states."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import audit_logs as logs
import numpy as np
import pytest

from actcache.audit.log import AuditLog
from actcache.passes.choice.store_simulation import StoreSimulation
from actcache.report.curve import miss_ratio_curve
from actcache.report.frequent import FrequentKeys
from actcache.report.summary import COMPUTED_ROWS, REUSED_ROWS, Summary, summarise
from actcache.report.timeline import MOST_INTERVALS, Timeline


def summary_of(path: Path, lines: list[str]) -> Summary:
    with AuditLog(logs.write(path / "a.jsonl", lines)) as log:
        return summarise(log)


def test_a_region_is_the_sum_of_its_lines(tmp_path: Path) -> None:
    keys = list(range(1, 9))
    summary = summary_of(
        tmp_path,
        [
            logs.start(),
            logs.region(),
            logs.lookup(1, "hhmdjbev", keys, bytes=300, saved_ns=3 * 10**6, wait_ns=50),
            logs.store(2, "sr=", saved_ns=10**6),
            logs.copy(2.5),
            logs.lookup(3, "bb", None, hash_ns=0, lookup_ns=0, copy_ns=0),
            logs.line("evict", 4, region=7, keys=["0" * 16] * 2, reason="room"),
            logs.line("evict", 4, region=7, count=5, reason="invalidated"),
            logs.line("policy", 5, region=7, state="bypassed", reason="too dear"),
            logs.line("dropped", 6, events=3),
            logs.line("control", 7, what="configure", arguments={"budget_bytes": "4096"}),
        ],
    )
    (region,) = summary.regions
    assert dict(region.outcomes) == {"h": 2, "m": 1, "d": 1, "j": 1, "b": 3, "e": 1, "v": 1}
    assert (region.rows, region.reused, region.looked_up) == (10, 4, 7)
    assert region.saved_seconds == pytest.approx(4e-3)
    assert region.computing_seconds == pytest.approx(3e-3)
    assert region.overhead_seconds == pytest.approx((900 + 400 + 100 + 50 + 50 + 70) * 1e-9)
    assert region.row_cost_seconds == pytest.approx(1e-3)
    assert region.entry_bytes == 1000
    assert dict(region.results) == {"s": 1, "r": 1, "=": 1}
    assert dict(region.evicted) == {"room": 2, "invalidated": 5}
    assert (region.state, summary.dropped, summary.budget) == ("bypassed", 3, 4096)
    assert [note.kind for note in summary.notable] == ["policy", "dropped", "control"]
    assert (summary.first, summary.last) == (logs.EPOCH, logs.EPOCH + 7)
    assert summary.ages.sum() == 2


def test_numbers_of_regions_are_each_process_own(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path,
        [
            logs.start(),
            logs.region(0, "a", fingerprint="aa"),
            logs.region(1, "b", fingerprint="bb"),
            logs.lookup(1, "hh", [1, 2], region=0),
            logs.lookup(1, "m", [3], region=1),
            logs.start(2, pid=2),
            logs.region(0, "b", fingerprint="bb"),
            logs.lookup(3, "hhh", [1, 2, 3], region=0),
            logs.lookup(3, "m", [4], region=5),
        ],
    )
    assert [(region.id, region.rows) for region in summary.regions] == [("a", 2), ("b", 4), ("region 5", 1)]
    assert summary.processes == {1, 2}


@pytest.mark.parametrize(
    ("value", "budget"),
    [("512KiB", 512 << 10), ("10%", 100), ("4096", 4096), (4096, 4096), (None, 1 << 20), ("plenty", 1 << 20)],
)
def test_the_budget_is_the_one_set_last(value: object, budget: int, tmp_path: Path) -> None:
    config = {**logs.CONFIG, "memory_bytes": 1000}
    change = logs.line("control", 1, what="configure", arguments={"budget_bytes": value})
    assert summary_of(tmp_path, [logs.start(config=config), change]).budget == budget


def test_time_is_cut_into_a_bounded_number_of_intervals_and_nothing_is_lost() -> None:
    timeline = Timeline(1)
    times = np.cumsum(np.random.default_rng(0).exponential(0.5, 20_000)) + 1e9
    for part in np.split(times, 20):
        timeline.add(part, np.ones((len(part), 1)))
    timeline.add(np.array([1e9 - 1]), np.ones((1, 1)))  # out of order
    sums = timeline.sums()
    assert MOST_INTERVALS // 2 < len(sums) <= MOST_INTERVALS
    assert sums.sum() == 20_001
    start, width = times[0], timeline.width
    assert sums[3:-3, 0] == pytest.approx(
        [np.sum((times >= start + i * width) & (times < start + (i + 1) * width)) for i in range(3, len(sums) - 3)]
    )


def test_reuse_over_time_is_in_the_right_interval(tmp_path: Path) -> None:
    early = [logs.lookup(i, "m", [i]) for i in range(100)]
    late = [logs.lookup(100 + i, "hd", [i, i]) for i in range(100)]
    sums = summary_of(tmp_path, [logs.start(), *early, *late]).timeline.sums()
    middle = len(sums) // 2
    assert sums[: middle - 1, REUSED_ROWS].sum() == 0 and sums[middle + 1 :, COMPUTED_ROWS].sum() == 0
    assert sums[:, REUSED_ROWS].sum() == 200


def test_frequent_keys_are_found_within_the_stated_error() -> None:
    keys = np.array(logs.zipf_keys(60_000, 30_000, exponent=1.0), np.uint64)
    counted = FrequentKeys(capacity=400)
    for part in np.split(keys, 30):
        counted.add(part)
    truth = Counter(keys.tolist())
    assert counted.error <= len(keys) / 401
    found = counted.top(20)
    assert all(truth[key] - counted.error <= number <= truth[key] for key, number in found)
    assert {key for key, number in truth.most_common() if number > counted.error} <= {k for k, _ in counted.top(400)}
    assert [key for key, _ in found[:5]] == [key for key, _ in truth.most_common(5)]


def reuse(keys: list[int], budget: int) -> float:
    """What a store of this budget reuses: the truth."""
    sizes = [logs.entry_bytes(key) for key in keys]
    return float(StoreSimulation(budget).touch(np.array(keys, np.uint64), sizes, 1e-3 - 5e-7).mean())


def test_a_curve_of_all_keys_is_what_the_store_does(tmp_path: Path) -> None:
    keys = logs.zipf_keys(16_000, 3000)
    summary = summary_of(tmp_path, [logs.start(), logs.region(), *logs.played(keys, rows=1)])
    curve = miss_ratio_curve(summary.sample, list(summary.regions), summary.budget)
    assert curve is not None and curve.rate == 1 and curve.complete
    measured = summary.regions[0].hit_ratio
    here = curve.at(1 << 20)
    assert here is not None and here.reuse == pytest.approx(measured, abs=2e-3) and here.error == 0
    for point in curve.points:
        assert point.reuse == pytest.approx(reuse(keys, point.budget), abs=2e-3)
    assert curve.working_set == sum(logs.entry_bytes(key) + 128 for key in set(keys))


def test_a_sampled_curve_is_near_the_truth(tmp_path: Path) -> None:
    keys = logs.zipf_keys(120_000, 40_000)
    summary = summary_of(tmp_path, [logs.start(), logs.region(), *logs.played(keys, rows=1)])
    curve = miss_ratio_curve(summary.sample, list(summary.regions), 16 << 20, also=[5 << 20])
    assert curve is not None and curve.rate <= 1 / 2 and curve.references <= 60_000
    for budget in (5 << 20, 16 << 20, 64 << 20):
        point = curve.at(budget)
        assert point is not None and point.reuse == pytest.approx(reuse(keys, budget), abs=0.03)
        assert point.time == pytest.approx(point.reuse, abs=1e-6)  # all rows cost the same
    whole = sum(logs.entry_bytes(key) + 128 for key in set(keys))
    assert curve.working_set == pytest.approx(whole, rel=0.05)


def test_what_is_missing_has_not_the_size_of_what_its_call_found(tmp_path: Path) -> None:
    small, large, count = 1000, 9000, 40
    lines = [logs.lookup(0, "m", [1]), logs.store(0, "s", bytes=small)]
    for call in range(2, count + 2):
        lines += [
            logs.lookup(call, "hm", [1, call], call=call, bytes=small),
            logs.store(call, "s", call=call, bytes=large),
        ]
    summary = summary_of(tmp_path, [logs.start(), logs.region(), *lines])
    curve = miss_ratio_curve(summary.sample, list(summary.regions), 1 << 20)
    assert curve is not None and curve.keys == count + 1
    assert curve.working_set == small + 128 + count * (large + 128)


def test_few_keys_that_come_too_often_end_the_sample_early(tmp_path: Path) -> None:
    keys = logs.zipf_keys(100_000, 100)
    summary = summary_of(tmp_path, [logs.start(), logs.region(), *logs.played(keys, rows=64)])
    curve = miss_ratio_curve(summary.sample, list(summary.regions), 1 << 20)
    assert curve is not None and not curve.complete
    assert 60_000 < curve.rows < 100_000 + 1


def test_what_no_budget_changes_is_no_part_of_the_simulation(tmp_path: Path) -> None:
    lines = [logs.lookup(i, "mde", [i, i, 99]) for i in range(100)]
    summary = summary_of(tmp_path, [logs.start(), logs.region(), *lines])
    curve = miss_ratio_curve(summary.sample, list(summary.regions), 1 << 20)
    assert curve is not None
    assert {round(point.reuse, 9) for point in curve.points} == {round(1 / 3, 9)}


def test_a_log_without_keys_has_no_curve(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [logs.start(), logs.region(), logs.lookup(1, "bb", None)])
    assert miss_ratio_curve(summary.sample, list(summary.regions), 1 << 20) is None
