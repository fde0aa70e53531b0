"""What an audit log says was decided, and where two logs differ first, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from audit_logs import line, lookup, region, start, store, write

import actcache
from actcache.audit.log import FetchedRow
from actcache.audit.logged_decisions import ControlCall, Decision, History, read_history, runs
from actcache.errors import UnsupportedAudit
from actcache.replay.differences import Difference, calls_differ, first_difference
from actcache.runs.replay_log import _change

#: Two keys that miss and one that hits; the third call evicts.
LOG = [
    start(),
    region(),
    lookup(0, "mm", [1, 2], call=1),
    store(0, "ss", call=1),
    lookup(1, "hd", [1, 1], call=2),
    lookup(2, "m", [3], call=3),
    line("evict", 2, region=7, keys=[f"{2:016x}"], reason="room"),
    store(2, "s", call=3),
    lookup(3, "m", [2], call=4),
    store(3, "r", call=4),
]


def history(folder: Path, lines: Sequence[str], name: str = "log") -> History:
    return read_history(write(folder / f"{name}.jsonl", lines))


def difference(folder: Path, theirs: Sequence[str], ours: Sequence[str] = LOG) -> Difference | None:
    recorded, replayed = history(folder, theirs, "theirs"), history(folder, ours, "ours")
    return first_difference(recorded, recorded.steps, replayed.steps)


def replaced(lines: Sequence[str], number: int, *instead: str) -> list[str]:
    return [*lines[:number], *instead, *lines[number + 1 :]]


# -- reading ----------------------------------------------------------------------------------------------


def test_keys_are_numbered_and_evictions_belong_to_the_line_after_them(tmp_path: Path) -> None:
    steps = history(tmp_path, LOG).steps
    assert all(isinstance(step, Decision) and step.region == ("encoder", "ab" * 16) for step in steps)
    assert [step.keys for step in steps if isinstance(step, Decision)] == [[0, 1], [0, 0], [2], [1]]
    assert [step.evicted for step in steps] == [[], [], [("room", 1)], []]
    assert [step.stored for step in steps if isinstance(step, Decision)] == ["ss", None, "s", "r"]


def test_the_last_process_counts(tmp_path: Path) -> None:
    second = [start(5, pid=2), region(8, "decoder"), lookup(6, "m", [9], call=1, region=8)]
    found = history(tmp_path, [*LOG, *second])
    assert found.processes == 2
    assert [step.region[0] for step in found.steps if isinstance(step, Decision)] == ["decoder"]


def test_what_the_log_lacks_is_counted(tmp_path: Path) -> None:
    found = history(tmp_path, [*replaced(LOG, 4), line("dropped", 9, events=3), '{"event":"look'])
    assert (found.lost, found.dropped, found.broken) == (1, 3, 1)
    assert history(tmp_path, LOG).lost == 0


def test_a_log_without_lookups_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedAudit, match="the log has no lookups"):
        history(tmp_path, LOG[:2])


def test_keys_that_are_not_one_per_row_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedAudit, match="the keys of call 2 are not one per row"):
        history(tmp_path, [*LOG[:4], lookup(1, "hd", [1], call=2, ages=None)])


def test_a_run_ends_where_a_region_comes_up_again(tmp_path: Path) -> None:
    change = line("control", 3, what="invalidate", arguments={}, count=1)
    sequence = ["c", "outer", "inner", "other", "outer", "other", "c", "outer", "inner"]
    numbers = {name: number for number, name in enumerate(("outer", "inner", "other"))}
    lines = [start(), *(region(number, name) for name, number in numbers.items())]
    for call, name in enumerate(sequence):
        lines.append(change if name == "c" else lookup(call, "h", [1], call=call, region=numbers[name]))
    found = runs(history(tmp_path, lines).steps)
    names = ["c" if isinstance(run, ControlCall) else [step.region[0] for step in run] for run in found]
    assert names == ["c", ["outer", "inner", "other"], ["outer", "other"], "c", ["outer", "inner"]]


def test_where_the_log_goes_is_no_change(tmp_path: Path) -> None:
    lines = [
        line("control", 3, what="configure", arguments={"audit_path": ""}),
        line("control", 3, what="configure", arguments={"budget_bytes": "1MiB"}),
    ]
    changes = [step for step in history(tmp_path, [*LOG, *lines]).steps if isinstance(step, ControlCall)]
    assert [change.arguments for change in changes] == [{"budget_bytes": "1MiB"}]


def test_what_tiers_had_is_read_from_logs_of_earlier_versions_too(tmp_path: Path) -> None:
    member = [{"row": 0, "tier": "remote", "cost_ns": 9, "age": 1.5, "ttl": 3, "trusted": False}]
    lines = [lookup(4, "v", [4], call=5, fetched=member), lookup(5, "khw", [5, 1, 6], call=6, ages=[2.5, 1, 3])]
    steps = [step for step in history(tmp_path, [*LOG, *lines]).steps if isinstance(step, Decision)]
    assert [step.fetched for step in steps[:-2]] == [[]] * 4
    assert steps[-2].fetched == [(FetchedRow(0, "remote", 9, 1.5, 3, False), f"{4:016x}")]
    early = [(FetchedRow(0, "disk", age=2.5), f"{5:016x}"), (FetchedRow(2, "remote", age=3), f"{6:016x}")]
    assert steps[-1].fetched == early


# -- comparing --------------------------------------------------------------------------------------------


def test_other_secrets_make_no_difference(tmp_path: Path) -> None:
    ours = [text.replace(f"{1:016x}", "a" * 16).replace(f"{2:016x}", "b" * 16) for text in LOG]
    assert difference(tmp_path, LOG, ours) is None


def test_a_row_that_waited_counts_as_found(tmp_path: Path) -> None:
    assert difference(tmp_path, replaced(LOG, 4, lookup(1, "jd", [1, 1], call=2))) is None


def changed(kind: str) -> tuple[list[str], str, str]:
    """A log with one change, what the difference is, and how the reason begins."""
    controls = [line("control", 1, what="pin", arguments={}, count=count) for count in (1, 2)]
    made: dict[str, tuple[list[str], str, str]] = {
        "rows": (
            replaced(LOG, 4, lookup(1, "hdd", [1, 1, 1], call=2)),
            "the call has 3 rows in the log, 2 in the trace",
            "the trace has other calls than the log",
        ),
        "keys": (
            replaced(LOG, 4, lookup(1, "hh", [1, 2], call=2)),
            "row 1 is equal to another row of these calls in the log than in the trace",
            "the trace has other calls than the log",
        ),
        "outcomes": (
            replaced(LOG, 4, lookup(1, "vd", [1, 1], call=2), store(1, "=", call=2)),
            "row 0 was found and verified in the log, found in the replay",
            "hits were verified with another verify_fraction than the log's 0.0",
        ),
        "stored": (
            replaced(LOG, 9, store(3, "s", call=4)),
            "row 0 was stored in the log, not worth storing in the replay",
            "the calls ran with another configuration than the log's first line says (budget_bytes 1048576,",
        ),
        "evicted": (
            replaced(LOG, 6, line("evict", 2, region=7, keys=[f"{1:016x}"], reason="quota")),
            "evicted: key 0 (quota) only in the log, key 1 (room) only in the replay",
            "the calls ran with another configuration than the log's first line says",
        ),
        "regions": (
            replaced(LOG, 4, controls[0]),
            "the log has 'pin' here, the replay a lookup of 'encoder'",
            "lookups are missing in the log (1)",
        ),
        "end": (LOG[:-1], "the log ends within it: the log has nothing", "the log was cut off"),
    }
    return made[kind]


@pytest.mark.parametrize("kind", ["rows", "keys", "outcomes", "stored", "evicted", "regions", "end"])
def test_the_first_difference_is_named(kind: str, tmp_path: Path) -> None:
    theirs, text, why = changed(kind)
    found = difference(tmp_path, theirs)
    assert found is not None
    assert found.kind == kind
    assert found.text.startswith(text)
    assert found.why.startswith(why)


@pytest.mark.parametrize(
    ("number", "instead", "why"),
    [
        (4, lookup(1, "md", [1, 1], call=2), "its lookup line has 1 computed rows, and no store line is about them"),
        (8, lookup(3, "h", [2], call=4), "its lookup line has 0 computed rows"),
        (3, store(0, "rs", call=1, stored=2), "its store line says 2 rows were stored, its letters say others"),
    ],
)
def test_lines_that_cannot_all_be_true_are_told(number: int, instead: str, why: str, tmp_path: Path) -> None:
    found = difference(tmp_path, replaced(LOG, number, instead))
    assert found is not None
    assert found.why.startswith("the log contradicts itself: ") and why in found.why


def test_a_hit_that_no_line_explains_is_told(tmp_path: Path) -> None:
    found = difference(tmp_path, [*LOG[:2], lookup(0, "h", [1], call=1)], [*LOG[:2], lookup(0, "m", [1], call=1)])
    assert found is not None
    assert found.why.startswith("the log does not explain it: row 0 was found, but no line before says that")
    assert "the store was not empty when the log began" in found.why


def test_calls_that_overlapped_are_said_to_be_the_reason(tmp_path: Path) -> None:
    theirs = [*LOG[:2], lookup(0, "m", [1], call=1), lookup(0, "m", [2], call=2), store(0, "s", call=1)]
    theirs += [store(0, "s", call=2), lookup(1, "h", [2], call=3)]
    ours = [*theirs[:-1], lookup(1, "h", [1], call=3)]
    found = difference(tmp_path, theirs, ours)
    assert found is not None
    assert found.why.startswith("calls overlapped (1 times")


@pytest.mark.parametrize(("log", "trace", "why"), [(3, 5, "the log was cut off"), (5, 3, "the trace ends earlier")])
def test_different_numbers_of_calls(log: int, trace: int, why: str, tmp_path: Path) -> None:
    found = calls_differ(history(tmp_path, LOG), log, trace)
    assert found is not None
    assert found.text == f"the log has {log} calls, the trace {trace}; the first 3 are the same"
    assert found.why.startswith(why)
    assert calls_differ(history(tmp_path, LOG), 3, 3) is None


def test_json_has_every_field(tmp_path: Path) -> None:
    found = difference(tmp_path, changed("stored")[0])
    assert found is not None
    said: dict[str, Any] = found.to_json()
    assert (said["kind"], said["call"], said["lookup"], said["region"]) == ("stored", 4, 4, "encoder")


def test_changes_of_another_models_regions_are_passed_over() -> None:
    for what in ("invalidate", "pin", "unpin"):
        _change(what, {"namespace": None, "region": "of another model", "fingerprint": None, "min_age_seconds": 0})
    with pytest.raises(actcache.InvalidOption, match="there is no knob"):
        _change("configure", {"budget": "1"})


def test_a_row_that_a_tier_had_may_be_in_memory_afterwards(tmp_path: Path) -> None:
    theirs = [*LOG, lookup(4, "k", [7], call=5), lookup(5, "h", [7], call=6)]
    found = difference(tmp_path, theirs, [*LOG, lookup(4, "k", [7], call=5), lookup(5, "m", [7], call=6)])
    assert found is not None and found.lookup == 6
    assert "no line before says that it was stored" not in found.why
    found = difference(tmp_path, theirs, [*LOG, lookup(4, "m", [7], call=5)])
    assert found is not None and found.text == "row 0 was found on disk in the log, missed in the replay"
    assert found.why.startswith("the store that the replay asked does not have what came out of a tier")
