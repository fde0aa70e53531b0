"""The reader of audit logs: every line or none of it, parts in order, and a clear sentence for what is no audit log."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from pathlib import Path

import audit_logs as logs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcache.audit.log import AuditLog, CopyLine, Event, LookupLine, RegionLine, StartLine, StoreLine
from actcache.errors import UnsupportedAudit
from actcache.report.rows import Rows, decode_keys
from actcache.report.summary import summarise

KEYS = [0x0123456789ABCDEF, 0xFFFFFFFFFFFFFFFF, 1]


def read(path: Path) -> tuple[list[Event], int, int]:
    with AuditLog(path) as log:
        return list(log.events()), log.broken, log.unknown


def test_events_have_what_their_lines_say(tmp_path: Path) -> None:
    lines = [logs.start(), logs.region(), logs.lookup(1.5, "hmb", [*KEYS[:2], None], call=3), logs.store(2, "s")]
    lines.append(logs.copy(3, call=3))
    events, broken, unknown = read(logs.write(tmp_path / "a.jsonl", lines))
    begin, region, lookup, store, copy = events
    assert isinstance(begin, StartLine) and begin.config == logs.CONFIG
    assert isinstance(region, RegionLine) and (region.region, region.id) == (7, "encoder")
    assert isinstance(lookup, LookupLine) and (lookup.t, lookup.call, lookup.ages) == (logs.EPOCH + 1.5, 3, [0, -1, -1])
    assert isinstance(store, StoreLine) and (store.stored, store.cost_ns) == (1, 10**6)
    assert isinstance(copy, CopyLine) and (copy.call, copy.region, copy.copy_ns) == (3, 7, 70)
    assert (broken, unknown) == (0, 0)


def test_rotated_parts_are_read_from_the_oldest_to_the_newest(tmp_path: Path) -> None:
    for part, name in enumerate(["a.jsonl.11", "a.jsonl.10", "a.jsonl.2", "a.jsonl.1", "a.jsonl"], start=1):
        logs.write(tmp_path / name, [logs.start(part, part=part), logs.region(t=part)])
    logs.write(tmp_path / "a.jsonl.pid-9", ["not a part of it"])
    with AuditLog(tmp_path / "a.jsonl") as log:
        assert [event.part for event in log.events() if isinstance(event, StartLine)] == [1, 2, 3, 4, 5]
        assert len(list(log.events())) == 10  # again from the beginning


@pytest.mark.parametrize(
    "bad",
    [
        '{"event":"lookup","t":1,"ca\n',
        "\x00\x00\x00\n",
        "[1, 2]\n",
        logs.lookup(1, "hh", KEYS[:2]).replace('"rows":2', '"rows":3'),
        logs.lookup(1, "h", KEYS[:1]).replace('"call":1', '"call":"one"'),
        logs.lookup(1, "h", KEYS[:1]).replace("[0.0]", "[0.0,1.0]"),
        "[" * 100_000 + "\n",
        '{"event":"lookup","t":1,"namespace":"',  # the process ended here
    ],
    ids=["broken off", "zeros", "no object", "rows", "type", "ages", "nested", "unfinished"],
)
def test_a_broken_line_is_skipped_and_counted(tmp_path: Path, bad: str) -> None:
    path = logs.write(tmp_path / "a.jsonl", [logs.start(), logs.lookup(1, "h", KEYS[:1]), bad])
    events, broken, unknown = read(path)
    assert [type(event) for event in events] == [StartLine, LookupLine]
    assert (broken, unknown) == (1, 0)


def test_a_line_that_no_library_would_write_takes_no_memory(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "a.jsonl", [logs.start(), *("x" * (1 << 20) for _ in range(150)), "\n", logs.region()])
    tracemalloc.start()
    events, broken, _ = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(event) for event in events] == [StartLine, RegionLine] and broken == 1
    assert peak < 145 << 20


def test_events_and_members_of_later_libraries_are_passed_over(tmp_path: Path) -> None:
    known = logs.region().replace('"region":7', '"region":7,"colour":"blue"')
    events, broken, unknown = read(logs.write(tmp_path / "a", [logs.start(), known, logs.line("merge", 1, region=[7])]))
    assert [type(event) for event in events] == [StartLine, RegionLine]
    assert (broken, unknown) == (0, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "the file is empty: nothing was recorded"),
        (logs.start()[:40], "ends within its first line: nothing was recorded"),
        ("2026-01-01 INFO server started\n", "is not an audit log of actcache: its first line is not a start line"),
        ('{"level":"info"}\n', "is not an audit log of actcache"),
        (logs.region(), "is not an audit log of actcache"),
        (logs.start(schema=2), "the audit log has schema 2, and this actcache reads schema 1; use the actcache that"),
        (logs.start(schema=2, config=None), "has schema 2"),
        (logs.start().replace('"schema":1,', ""), "has schema None"),
    ],
)
def test_what_is_no_audit_log_is_refused_in_a_sentence(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        logs.write(tmp_path / "a.jsonl", [content])
    with pytest.raises(UnsupportedAudit, match=re.escape(message)) as refused:
        AuditLog(tmp_path / "a.jsonl")
    assert str(tmp_path / "a.jsonl") in str(refused.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedAudit, match="Is a directory"):
        AuditLog(tmp_path)


def test_a_part_of_something_else_is_named(tmp_path: Path) -> None:
    logs.write(tmp_path / "a.jsonl", [logs.start()])
    logs.write(tmp_path / "a.jsonl.1", ["no start\n"])
    with pytest.raises(UnsupportedAudit, match=r"a\.jsonl\.1: is not an audit log"):
        AuditLog(tmp_path / "a.jsonl")


def test_another_schema_further_down_is_refused_too(tmp_path: Path) -> None:
    path = logs.write(tmp_path / "a.jsonl", [logs.start(), logs.start(schema=9, config="of another kind")])
    with AuditLog(path) as log, pytest.raises(UnsupportedAudit, match="schema 9"):
        list(log.events())


@given(junk=st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_lies_between_lines_they_are_found(
    tmp_path_factory: pytest.TempPathFactory, junk: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("junk") / "a.jsonl"
    good = logs.lookup(1, "hmd", KEYS).encode()
    path.write_bytes(logs.start().encode() + b"".join(b"\n" + piece + b"\n" + good for piece in junk))
    with AuditLog(path) as log:
        summary = summarise(log)
    assert sum(region.rows for region in summary.regions) == 3 * len(junk)
    assert summary.broken <= sum(piece.count(b"\n") + 1 for piece in junk)


def decoded(text: str, rows: int) -> list[int | None]:
    lookup = LookupLine(t=0, call=1, region=1, outcomes="m" * rows, rows=rows, keys=msgspec.Raw(text.encode()))
    keys, keyed = decode_keys([lookup])
    return [int(key) if there else None for key, there in zip(keys, keyed, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["0123456789abcdef","ffffffffffffffff"]', KEYS[:2]),
        ('["0123456789abcdef", "ffffffffffffffff"]', KEYS[:2]),
        ('["0123456789ABCDEF",null]', [KEYS[0], None]),
        ('["0123456789abcdeg","ffffffffffffffff"]', [None, KEYS[1]]),
        ("null", [None, None]),
        ('"0123456789abcdef"', [None, None]),
        ('["0123456789abcdef"]', [None, None]),
    ],
)
def test_keys_are_decoded(text: str, expected: list[int | None]) -> None:
    assert decoded(text, 2) == expected


def test_no_rows_have_no_keys() -> None:
    assert decoded("[]", 0) == []


def test_lookups_are_taken_apart_in_order(tmp_path: Path) -> None:
    lines = [logs.lookup(1, "hm", KEYS[:2]), logs.lookup(1, "bb", None), logs.lookup(1, "d", KEYS[2:])]
    events, _, _ = read(logs.write(tmp_path / "a", [logs.start(), *lines]))
    rows = Rows.of([event for event in events if isinstance(event, LookupLine)])
    assert bytes(rows.outcome) == b"hmbbd"
    assert rows.line.tolist() == [0, 0, 1, 1, 2]
    assert rows.key[rows.keyed].tolist() == KEYS
    assert rows.age.tolist() == [0, -1, -1, -1, -1]


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    body = "".join(logs.played(logs.zipf_keys(150_000, 15_000), rows=64))

    def peak(times: int) -> int:
        path = logs.write(tmp_path / f"{times}.jsonl", itertools.chain([logs.start(), logs.region()], [body] * times))
        tracemalloc.start()
        with AuditLog(path) as log:
            summary = summarise(log)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(region.rows for region in summary.regions) == 150_000 * times
        return used

    assert peak(4) < 1.25 * peak(1)
