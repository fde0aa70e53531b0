"""``actcache explain-miss`` with an audit log: what became of an input's rows, and why."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from audit_logs import CONFIG, EPOCH, line, lookup, region, start, store, write
from command_line import refused, run
from graphs import encoder
from processes import run_python

import actcache
from actcache.base.moment import format_moment, parse_moment
from actcache.errors import InvalidOption
from actcache.inspection.call_comparison import Why
from actcache.inspection.logged_miss import Recorded, explain_recorded
from actcache.model.compiled_model import read_compiled


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    onnx.save_model(encoder(), folder / "encoder.onnx")
    return actcache.compile_model(folder / "encoder.onnx", min_saving=0, verify=False).output


def inputs(folder: Path, *rows: int) -> Path:
    """A call whose rows are equal where the numbers are."""
    path = folder / "input.npz"
    np.savez(path, x=np.stack([np.full(256, row, np.float32) for row in rows]))
    return path


def told(
    compiled: Path, folder: Path, lines: Sequence[str], rows: Sequence[int], **options: Any
) -> tuple[list[Why], Any]:
    (own,) = read_compiled(compiled).lookups
    head = [start(), region(7, own.id, fingerprint=own.fingerprint)]
    path = write(folder / "audit.jsonl", [*(lines if lines and '"start"' in lines[0] else [*head, *lines])])
    return explain_recorded(compiled, inputs(folder, *rows), path, **options)


def of_key(compiled: Path, folder: Path, *lines: str, outcome: str = "m") -> Why:
    """What is said of a lookup of key 1 after `lines`."""
    number = 1 + sum('"lookup"' in text for text in lines)
    (record,), _ = told(compiled, folder, [*lines, lookup(9, outcome, [1], call=number)], [5])
    assert record.details["lookup"] == number
    return record


#: Key 1 is stored by the first lookup, key 2 by the second.
STORED = (lookup(0, "m", [1], call=1), store(0, "s", call=1), lookup(1, "m", [2], call=2))


def evicted(reason: str) -> str:
    return line("evict", 1, region=7, keys=[f"{1:016x}"], reason=reason)


@pytest.mark.parametrize(
    ("lines", "outcome", "reason", "text"),
    [
        ((), "m", "new", "no earlier lookup of the log had this row"),
        (STORED[:2], "h", "equal", "stored by lookup 1"),
        ((), "h", "equal", "stored before the log began"),
        ((), "v", "verified", "it was found, and computed again to be compared (verify_fraction)"),
        ((), "r", "control", "the call asked for refresh: everything is computed again"),
        ((), "j", "joined", "another call was computing it, and this one waited"),
        (
            (*STORED, evicted("room"), store(1, "s", call=2)),
            "m",
            "evicted",
            "stored by lookup 1, then evicted to make room for what was worth more (by lookup 2)",
        ),
        (
            (*STORED[:2], line("control", 1, what="configure", arguments={"budget_bytes": "9"}), evicted("budget")),
            "m",
            "unexplained",
            "stored by lookup 1, and no line of the log says that it left: lines are missing",
        ),
        (
            (*STORED[:2], evicted("budget"), line("control", 1, what="configure", arguments={"budget_bytes": "9"})),
            "m",
            "evicted",
            "stored by lookup 1, then evicted because the budget was lowered",
        ),
        (
            (lookup(0, "m", [1], call=1), store(0, "r", call=1)),
            "m",
            "refused",
            "computed by lookup 1 and not stored: it was not worth what it would have pushed out, or there was no room",
        ),
        (
            (lookup(0, "m", [1], call=1), store(0, "f", call=1)),
            "m",
            "first sight",
            "computed by lookup 1 and not stored: it was seen for the first time, and nothing of the region had"
            " repeated by then",
        ),
        (
            (lookup(0, "m", [1], call=1),),
            "m",
            "computed",
            "lookup 1 computed it and had not stored it by then, or failed",
        ),
        (STORED[:2], "e", "expired", "stored by lookup 1, and older by then than ttl_seconds or max_entry_age allowed"),
        (
            (*STORED[:2], line("control", 1, what="invalidate", arguments={}, count=1)),
            "m",
            "invalidated",
            "stored by lookup 1, then invalidated by the host program",
        ),
        (
            (lookup(0, "m", [7], call=1, namespace="tenant"), store(0, "s", call=1)),
            "m",
            "new",
            "no earlier lookup of the log had this row in namespace ''; entries of other ones ('tenant') are not seen"
            " from it",
        ),
    ],
)
def test_each_reason(
    lines: Sequence[str], outcome: str, reason: str, text: str, compiled: Path, tmp_path: Path
) -> None:
    record = of_key(compiled, tmp_path, *lines, outcome=outcome)
    assert record.outcome == ("hit" if outcome in "hj" else "miss")
    assert (record.reason, record.row, record.text) == (reason, 0, text)


def test_what_the_log_lacks_is_said(compiled: Path, tmp_path: Path) -> None:
    (record,), _ = told(compiled, tmp_path, [lookup(9, "m", [1], call=9)], [5])
    assert record.text == "no earlier lookup of the log had this row, but the log lacks some"


def test_bypassed_rows(compiled: Path, tmp_path: Path) -> None:
    policy = line("policy", 0, region=7, state="bypassed", reason="overhead exceeds saving")
    passed = lookup(1, "b", None, call=1, namespace=None)
    found = {}
    for name, lines in {"policy": [policy, passed], "call": [passed]}.items():
        (record,), _ = told(compiled, tmp_path, lines, [5])
        found[name] = (record.outcome, record.reason, record.text)
    assert found["policy"] == ("bypassed", "state", "the region was bypassed: overhead exceeds saving")
    assert found["call"][:2] == ("bypassed", "control")
    (own,) = read_compiled(compiled).lookups
    off = start(config={**CONFIG, "budget_bytes": 0})
    (record,), _ = told(compiled, tmp_path, [off, region(7, own.id, fingerprint=own.fingerprint), passed], [5])
    assert (record.reason, record.text) == ("off", "the store was off: budget_bytes is 0")


def test_another_fingerprint(compiled: Path, tmp_path: Path) -> None:
    lines = [start(), region(7, "encoder"), *STORED[:2]]
    (record,), lookups = told(compiled, tmp_path, lines, [5])
    assert (record.outcome, record.reason, lookups) == ("miss", "fingerprint", {})
    assert record.text.startswith("the model that ran has a 'encoder' of another fingerprint, abababababababab…")


def test_the_last_lookup_with_these_rows_is_taken(compiled: Path, tmp_path: Path) -> None:
    lines = [
        lookup(0, "mm", [1, 2], call=1),
        store(0, "ss", call=1),
        lookup(1, "md", [3, 3], call=2),
        store(1, "s", call=2),
        lookup(2, "hm", [2, 4], call=3),
        store(2, "s", call=3),
        lookup(3, "h", [4], call=4),
    ]
    records, lookups = told(compiled, tmp_path, lines, [5, 6])
    assert lookups == {"encoder": Recorded(3, "", 2, EPOCH + 2, (1,))}
    lookups_of_two = lookups
    assert [record.outcome for record in records] == ["hit", "miss"]
    records, lookups = told(compiled, tmp_path, lines, [5, 5])
    assert lookups == {"encoder": Recorded(2, "", 1, EPOCH + 1)}
    assert [(record.outcome, record.text) for record in records][1] == ("duplicate", "equal to row 0 of the same call")
    first = {"encoder": Recorded(1, "", 2, EPOCH, (3,))}
    assert told(compiled, tmp_path, lines, [5, 6], lookup=1)[1] == first
    assert told(compiled, tmp_path, lines, [5, 6], at=EPOCH + 1.5)[1] == first
    assert told(compiled, tmp_path, lines, [5, 6], at=EPOCH + 2)[1] == lookups_of_two
    says = r"no lookup by 2025-10-09 08:53:19\.000 UTC that this input fits; it fits 1, 3"
    with pytest.raises(InvalidOption, match=says):
        told(compiled, tmp_path, lines, [5, 6], at=EPOCH - 1)
    with pytest.raises(InvalidOption, match="give either --lookup or --at"):
        told(compiled, tmp_path, lines, [5, 6], at=EPOCH, lookup=1)
    with pytest.raises(InvalidOption, match="the log has no lookup 2 that this input fits"):
        told(compiled, tmp_path, lines, [5, 6], lookup=2)
    (record,), _ = told(compiled, tmp_path, lines, [5, 6, 7])
    assert (record.outcome, record.reason) == ("unknown", "not recorded")


PLAY = """
import numpy as np
import actcache
actcache.configure(audit_path={audit!r}, budget_bytes="1MiB")
session = actcache.InferenceSession({model!r}, providers=["CPUExecutionProvider"])
for row in (0, 1, 0, None, 0, 0):
    if row is None:
        actcache.configure(budget_bytes="1KiB")
        actcache.configure(budget_bytes="1MiB")
    else:
        session.run(None, {{"x": np.full((1, 256), row, np.float32)}})
actcache.configure(audit_path="")
"""


def test_a_row_that_was_evicted_in_use(compiled: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    run_python(PLAY.format(audit=str(audit), model=str(compiled)), ACTCACHE_BYPASS="off")
    given = inputs(tmp_path, 0)
    answer = json.loads(run("explain-miss", compiled, given, audit, "--json").stdout)
    taken = answer["lookups"]["encoder"]
    assert (taken["lookup"], taken["namespace"], taken["fits"], taken["others"]) == (5, "", 5, [1, 2, 3, 4])
    assert abs(time.time() - taken["time"]) < 600
    assert (answer["rows"][0]["outcome"], answer["rows"][0]["text"]) == ("hit", "stored by lookup 4")
    done = run("explain-miss", compiled, given, audit, "--lookup", 4)
    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    said = f"encoder: {re.escape(str(given))} fits 5 lookups of the log; explained is lookup 4 of "
    assert re.fullmatch(rf"{said}20\S+ [0-9:.]{{12}} UTC", first)
    assert others == [
        "  others nearby: 1, 2, 3, 5",
        "choose another one with --lookup N or --at TIME",
        "encoder: 1 miss",
        "  row 0: miss: stored by lookup 1, then evicted because the budget was lowered",
    ]
    by_time = run("explain-miss", compiled, given, audit, "--at", format_moment(taken["time"]), "--json")
    assert json.loads(by_time.stdout) == answer


def test_bad_input(compiled: Path, tmp_path: Path) -> None:
    given, audit = inputs(tmp_path, 0), tmp_path / "audit.jsonl"
    audit.write_text('{"event":"sta')
    refused(run("explain-miss", compiled, given, audit), "is not an audit log of actcache")
    refused(run("explain-miss", compiled, given, given, "--lookup", 3), "--lookup is for an audit log")
    refused(run("explain-miss", compiled, given, given, "--at", 3), "--at is for an audit log")
    refused(run("explain-miss", compiled, given, given, "--at", "noon"), "'noon' is not a time")


def test_moments() -> None:
    for text in (
        "2026-11-29T03:04:05.250",
        "2026-11-29 03:04:05.250+00:00",
        "2026-11-29T04:04:05.250+01:00",
        "1795921445.25",
    ):
        assert format_moment(parse_moment(text)) == "2026-11-29 03:04:05.250 UTC"
