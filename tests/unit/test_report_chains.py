"""The curve of a log of prefixes: a position counts as found only if all before it in its row are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import audit_logs as logs
import numpy as np
import pytest

from actcache.audit.log import AuditLog
from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD, StoreSimulation
from actcache.report.curve import Curve, miss_ratio_curve
from actcache.report.key_sample import KeySample
from actcache.report.page import write_report
from actcache.report.regions import RegionSums
from actcache.report.rows import Rows
from actcache.report.summary import Summary, summarise

SIZE = 1000 - ENTRY_OVERHEAD
Row = Sequence[int]


def summary_of(path: Path, lines: Iterator[str] | list[str]) -> Summary:
    with AuditLog(logs.write(path / "a.jsonl", lines)) as log:
        return summarise(log)


def region() -> str:
    return logs.region().replace('"row"', '"prefix"')


def chain(tokens: Row) -> list[int]:
    """A key for every position: of all tokens up to it."""
    return list(accumulate(tokens, lambda key, token: hash((key, token)) & (2**62 - 1), initial=1))[1:]


def played(calls: Sequence[Sequence[Row]], budget: int, length: bool = True) -> Iterator[str]:
    """The lines of calls of several rows each, with what a store of `budget` bytes makes of them."""
    store = StoreSimulation(budget)
    yield logs.start(config={**logs.CONFIG, "budget_bytes": budget})
    yield region()
    for number, rows in enumerate(calls):
        keys = np.array([chain(row) for row in rows], np.uint64)
        used = store.touch_chains(keys, SIZE, 1e-3 - 5e-7, min_suffix=2)
        outcomes = ("h" * used + "m" * (keys.shape[1] - used)) * len(rows)
        told = {"length": keys.shape[1]} if length else {}
        yield logs.lookup(0.01 * number, outcomes, keys.ravel().tolist(), call=number, **told)
        if missing := outcomes.count("m"):
            yield logs.store(0.01 * number, "s" * missing, call=number, bytes=SIZE * missing)


def curve_of(summary: Summary, *also: int) -> Curve:
    curve = miss_ratio_curve(summary.sample, list(summary.regions), summary.budget, also)
    assert curve is not None and curve.points
    return curve


def documents(count: int = 300, kinds: int = 25, exponent: float = 1.0) -> list[list[Row]]:
    """Requests: one of some documents of 20 tokens, often the first ones, and 6 tokens of their own."""
    random = np.random.default_rng(0)
    shares = 1 / np.arange(1, kinds + 1) ** exponent
    drawn = random.choice(kinds, count, p=shares / shares.sum())
    return [[[1000 * int(kind) + t for t in range(20)] + random.integers(10**6, 10**9, 6).tolist()] for kind in drawn]


def test_the_curve_is_what_the_store_does_with_chains(tmp_path: Path) -> None:
    calls = documents()
    summary = summary_of(tmp_path, played(calls, 200_000))
    curve = curve_of(summary, 100_000)
    assert curve.complete and curve.rate == 1 and curve.rows == 300 * 26
    here = curve.at(200_000)
    assert here is not None and here.reuse == pytest.approx(summary.regions[0].hit_ratio, abs=1e-9)
    small = curve.at(100_000)
    truth = summary_of(tmp_path, played(calls, 100_000)).regions[0].hit_ratio
    assert small is not None and small.reuse == pytest.approx(truth, abs=1e-9)
    assert 0.1 < small.reuse < here.reuse < curve.points[-1].reuse
    known = len({key for (row,) in calls for key in chain(row)})
    assert curve.working_set == known * 1000
    assert curve.points[-1].reuse == pytest.approx(1 - (300 * 6 + 20 * len({row[0] for (row,) in calls})) / (300 * 26))


def test_the_most_frequent_beginnings_are_told_with_their_lengths(tmp_path: Path) -> None:
    calls = [[[*range(9), 100 + n]] for n in range(8)] + [[[50, 51, 52, 200 + n]] for n in range(5)]
    summary = summary_of(tmp_path, played(calls, 1 << 20))
    (counted,) = summary.frequent.values()
    ends = [chain(range(9))[-1], chain([50, 51, 52])[-1]]
    assert counted.beginnings(2) == [(ends[0], 8, 9), (ends[1], 5, 3)]
    write_report(tmp_path / "a.jsonl", tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert f'<td class="key">{ends[0]:016x}</td><td>9</td><td>8</td>' in page
    assert f"{chain(range(9))[4]:016x}" not in page


def test_a_batch_uses_what_its_row_with_the_least_has(tmp_path: Path) -> None:
    shared, other = list(range(10)), list(range(50, 60))
    calls = [[shared], [shared, other], [shared, other]]
    curve = curve_of(summary_of(tmp_path, played(calls, 1 << 20)))
    assert curve.points[-1].reuse == pytest.approx(20 / 50)


def test_nothing_shared_is_nothing_reused(tmp_path: Path) -> None:
    calls = [[list(range(100 * n, 100 * n + 8))] for n in range(40)]
    curve = curve_of(summary_of(tmp_path, played(calls, 1 << 20)))
    assert [point.reuse for point in curve.points] == [0.0] * len(curve.points)


def test_a_sample_of_chains_is_near_the_truth() -> None:
    calls = documents(1200, 1200, exponent=0.4)
    keys = np.array([chain(row)[14:24] for (row,) in calls], np.uint64)
    line, missed = np.repeat(np.arange(len(keys)), 10), np.full(keys.size, ord("m"), np.uint8)
    rows = Rows(line, missed, keys.ravel(), np.ones(keys.size, np.bool_), np.full(keys.size, -1.0))
    regions = [RegionSums("encoder", granularity="prefix", cost_ns=1e6, costed=1)]
    curves = []
    for most in (8_000, 10**6):
        sample = KeySample(most, most)
        sample.add(rows, np.zeros(keys.size, np.int64), np.full(keys.size, float(SIZE)), np.full(keys.size, 10))
        curves.append(miss_ratio_curve(sample, regions, 2 << 20))
    sampled, whole = curves
    assert sampled is not None and whole is not None
    assert (sampled.rate, whole.rate) == (0.5, 1.0) and sampled.complete
    for budget in (2 << 20, 4 << 20):
        near, true = sampled.at(budget), whole.at(budget)
        assert near is not None and true is not None and true.reuse > 0.03
        assert near.reuse == pytest.approx(true.reuse, abs=0.06)


def test_calls_that_had_values_from_a_tier_are_taken_as_they_were(tmp_path: Path) -> None:
    keys = chain(range(6))
    lines = [logs.start(), region(), logs.lookup(1, "kkkkmm", keys, length=6), logs.lookup(2, "hhhhhh", keys, length=6)]
    sample = summary_of(tmp_path, lines).sample
    assert (sample.rows, sample.always, sample.never, len(sample.references())) == (12, 4, 2, 6)


def test_a_log_that_does_not_tell_rows_apart_has_no_curve(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, played(documents(20), 1 << 20, length=False))
    assert miss_ratio_curve(summary.sample, list(summary.regions), summary.budget) is None


def test_a_length_that_does_not_fit_is_a_broken_line(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, [logs.start(), region(), logs.lookup(1, "mmm", [1, 2, 3], length=2)])
    assert summary.broken == 1
