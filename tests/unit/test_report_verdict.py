"""The first screen of the report: the verdict, and what to change, for logs whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import audit_logs as logs
import numpy as np
import pytest

from actcache.passes.choice.store_simulation import ENTRY_OVERHEAD, StoreSimulation
from actcache.report.change import Change
from actcache.report.changes import changes
from actcache.report.facts import Facts
from actcache.report.page import write_report
from actcache.report.verdict import judge
from actcache.serve.byte_size import parse_bytes

KEYS = logs.zipf_keys(4000, 500)
NEW = [int(key) for key in np.random.default_rng(3).integers(0, 2**63, 400)]


@pytest.fixture
def about(tmp_path: Path) -> Any:
    """Write a log and return its facts; `config` is beside the usual one."""

    def write(lines: Iterable[str], **config: Any) -> Facts:
        start = [logs.start(config={**logs.CONFIG, **config}), logs.region()]
        return write_report(logs.write(tmp_path / "a.jsonl", [*start, *lines]), tmp_path / "a.html")

    return write


def missing(keys: list[int], outcome: str = "m") -> list[str]:
    """Calls of four rows that are all computed and stored, though their keys are looked up for."""
    calls = [keys[i : i + 4] for i in range(0, len(keys), 4)]
    texts = []
    for number, call in enumerate(calls):
        texts.append(logs.lookup(number, outcome * len(call), call, call=number))
        texts.append(logs.store(number + 0.001, "s" * len(call), call=number))
    return texts


def titled(facts: Facts, word: str) -> Change:
    (found,) = [change for change in changes(facts) if word in change.title]
    return found


def titles(facts: Facts) -> list[str]:
    return [change.title for change in changes(facts)]


def test_the_budget_that_is_proposed_gives_what_is_said(about: Any) -> None:
    # Of calls of many rows, whose sizes differ a hundredfold here, a log tells too little of each row.
    facts = about(logs.played(KEYS, rows=2, budget=1 << 20))
    assert judge(facts).kind == "pays"
    change = changes(facts)[0]
    assert change.title == "Give the store more memory" and not change.at_most
    proposed = parse_bytes(change.how.split('"')[1], 0)
    sizes = [logs.entry_bytes(key) for key in KEYS]
    before, after = (
        StoreSimulation(size).touch(np.array(KEYS, np.uint64), sizes, 1e-3).sum() for size in (1 << 20, proposed)
    )
    assert after > before + 100
    assert change.seconds == pytest.approx((after - before) * 1e-3, rel=0.15)  # a row costs a millisecond


def test_rows_computed_again_are_counted_as_such(about: Any) -> None:
    facts = about(logs.played(KEYS, budget=1 << 20))
    missed = sum(region.outcomes["m"] for region in facts.regions)
    assert facts.lost == [missed - len(set(KEYS))] and facts.lost[0] > 100
    assert about(missing(NEW)).lost == [0]


def test_inputs_that_never_repeat_do_not_pay(about: Any) -> None:
    facts = about([line.replace('"hash_ns":900', '"hash_ns":900000') for line in missing(NEW)], bypass="off")
    assert (judge(facts).kind, judge(facts).title) == ("loses", "It does not pay.")
    assert "cost" in judge(facts).why
    assert titles(facts)[:2] == ["See what changes in each call", "Let regions stop that do not pay"]


def test_what_saves_as_little_as_it_costs_makes_no_difference(about: Any) -> None:
    facts = about(missing(NEW))
    assert judge(facts).kind == "even"


def test_a_difference_comes_before_everything(about: Any) -> None:
    lines = [*logs.played(KEYS), logs.lookup(50, "vv", KEYS[:2], call=9999), logs.store(51, "=x", call=9999)]
    facts = about(lines)
    assert judge(facts).kind == "wrong"
    assert changes(facts)[0].urgent and "differ" in changes(facts)[0].title


@pytest.mark.parametrize(
    ("lines", "word", "knob"),
    [
        (missing(KEYS[:400], "e"), "live longer", "ttl_seconds"),
        (missing(KEYS[:400], "v"), "Verify fewer", "verify_fraction"),
        ([logs.lookup(0, "hkkk" * 50, KEYS[:200])], "more of it in memory", "budget_bytes"),
        ([*missing(KEYS[:8]), logs.start(60, pid=2)], "across restarts", "disk_path"),
        ([logs.line("policy", 3, region=7, state="bypassed", reason="")], "does not pay", "--trace"),
        ([logs.line("dropped", 4, events=12)], "all events", "audit_buffer_bytes"),
        ([], "in use", "actcache inspect"),
    ],
    ids=["expired", "verified", "tiers", "processes", "bypassed", "dropped", "nothing"],
)
def test_each_fault_has_its_knob(about: Any, lines: list[str], word: str, knob: str) -> None:
    assert knob in titled(about(lines), word).how


def test_a_tier_and_a_store_of_nothing_change_what_is_proposed(about: Any) -> None:
    again = [*missing(KEYS[:8]), logs.start(60, pid=2, config={**logs.CONFIG, "disk_path": "/d"})]
    assert not [title for title in titles(about(again, disk_path="/d")) if "restarts" in title]
    assert "budget_bytes" in titled(about([], budget_bytes=0), "Turn the cache on").how


def test_prefixes_and_whole_calls_are_told_apart(about: Any) -> None:
    evicted = [logs.line("evict", 99, region=7, keys=["0" * 16], reason="room")]
    facts = about(line.replace('"row"', '"prefix"') for line in [logs.region(), *missing(KEYS[:400]), *evicted])
    assert facts.unit == "positions" and "positions were not computed again" in judge(facts).why
    change = titled(facts, "more memory")
    assert change.at_most and change.seconds == pytest.approx(facts.lost[0] * 1e-3) and '"2MiB"' in change.how
    facts = about(line.replace('"row"', '"tensor"') for line in [logs.region(), *missing(KEYS[:400])])
    assert facts.unit == "calls" and "--explain" in titled(facts, "rows are not reused alone").how


def test_a_store_that_holds_all_many_times_may_be_smaller(about: Any) -> None:
    facts = about(logs.played(KEYS, budget=1 << 30), budget_bytes=1 << 30)
    assert facts.curve.working_set < 8 << 20
    change = titled(facts, "memory back")
    assert facts.curve.working_set <= parse_bytes(change.how.split('"')[1], 0) <= 1 << 28
    assert change.gain == "gain not known"


def test_few_rows_say_nothing_and_a_rise_is_said(about: Any) -> None:
    assert judge(about(missing(NEW[:8]))).kind == "unknown"
    late = logs.lookup(200, "h" * 400, NEW, call=9999, saved_ns=400 * 10**6)
    assert (
        "In the last quarter of the time, 100\N{NO-BREAK SPACE}% were reused."
        in judge(about([*missing(NEW), late])).why
    )


def test_memory_in_use_is_what_was_stored_less_what_left(about: Any) -> None:
    facts = about([*missing(NEW[:40]), logs.line("evict", 99, region=7, keys=["0" * 16] * 4, reason="room")])
    assert facts.held_bytes == 36 * (1000 + ENTRY_OVERHEAD)
    gone = logs.line("control", 99, what="invalidate", arguments={}, count=10)
    assert about([*missing(NEW[:40]), gone]).held_bytes == pytest.approx(30 * (1000 + ENTRY_OVERHEAD))
    assert about([*missing(NEW[:40]), logs.start(60, pid=2)]).held_bytes == 0
