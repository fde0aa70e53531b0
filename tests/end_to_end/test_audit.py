"""The audit log of whole processes: its lines say what the statistics count."""

from __future__ import annotations

import collections
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_written import Control, Region, Tensor, batch, session, squares

Line = dict[str, Any]
HERE = Path(__file__).parent


def lines_of(path: Path) -> list[Line]:
    """The lines of one file; none is broken."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def of(lines: list[Line], event: str, region: Region | None = None) -> list[Line]:
    found = [line for line in lines if line["event"] == event]
    if region is None:
        return found
    (number,) = {line["region"] for line in lines if line["event"] == "region" and line["id"] == region.id}
    return [line for line in found if line["region"] == number]


def whole_squares() -> Region:
    return Region([Tensor("x")], [Tensor("y")], "y_m = Mul(x, x)", granularity="tensor")


def outcomes(lines: list[Line]) -> list[str]:
    return [line["outcomes"] for line in lines]


@pytest.fixture
def audited(control: Control, tmp_path: Path) -> Iterator[Callable[[], list[Line]]]:
    """Begins a log; the function ends it and returns its lines."""
    control.invalidate()
    path = tmp_path / "audit.jsonl"
    control.configure("audit_path", str(path))

    def finished() -> list[Line]:
        control.configure("audit_path", "")
        return lines_of(path)

    yield finished
    control.configure("audit_path", "")


def agrees_with_statistics(lines: list[Line], region: Region, counts: Line, before: Line) -> None:
    """Every count and sum of the lines is what the statistics say has happened since `before`."""
    lookups, stores = of(lines, "lookup", region), of(lines, "store", region)
    letters = collections.Counter("".join(outcomes(lookups)))
    made = collections.Counter("".join(outcomes(stores)))
    evictions = [line for line in of(lines, "evict", region) if line["reason"] in ("room", "quota", "budget")]
    both = [*lookups, *stores]
    said = {
        "calls": len(lookups),
        "lookups": sum(line["rows"] for line in lookups),
        "hits": letters["h"] + letters["d"] + letters["j"],
        "duplicates": letters["d"],
        "joined": letters["j"],
        "misses": letters["m"] + letters["e"] + letters["v"] + letters["r"],
        "expired": letters["e"],
        "verified": letters["v"],
        "bypassed": letters["b"],
        "mismatches": made["x"],
        "stored": made["s"],
        "not_admitted": made["r"] + made["p"],
        "evicted": sum(len(line["keys"]) for line in evictions),
    }
    assert said == {name: counts[name] - before.get(name, 0) for name in said}
    sums = {
        "saved_seconds": sum(line["saved_ns"] for line in both),
        "copy_seconds": sum(line["copy_ns"] for line in both),
        "hash_seconds": sum(line["hash_ns"] for line in lookups),
        "compute_seconds": sum(line["compute_ns"] for line in stores),
    }
    for name, nanoseconds in sums.items():
        # What calls that passed copy into their outputs is not in the log.
        if name != "copy_seconds" or all(line["keys"] is not None for line in lookups):
            assert nanoseconds == round((counts[name] - before.get(name, 0)) * 1e9), name
    for line in lookups:
        assert len(line["outcomes"]) == line["rows"]
        assert line["keys"] is None or len(line["keys"]) == len(line["ages"]) == line["rows"]
    for line in stores:
        assert (line["stored"], line["refused"]) == (line["outcomes"].count("s"), line["outcomes"].count("r"))


def held_after(lines: list[Line]) -> set[str]:
    """The keys of what is in the store after the calls of one thread, each of which finds what should be there."""
    held: set[str] = set()
    gone: set[str] = set()  # of what the call that is not at its end yet has stored
    computed: list[str] = []
    for line in lines:
        rows = dict(zip(line.get("keys") or (), line.get("outcomes", ""), strict=False))
        if line["event"] == "lookup":
            assert {key for key, letter in rows.items() if letter in "hv"} <= held
            assert held.isdisjoint(key for key, letter in rows.items() if letter == "m")
            computed = [k for k, letter in zip(line["keys"], line["outcomes"], strict=True) if letter == "m"]
        elif line["event"] == "evict":
            gone |= set(line["keys"]) - held
            held -= set(line["keys"])
        elif line["event"] == "store":
            held |= {k for k, letter in zip(computed, line["outcomes"], strict=True) if letter == "s"} - gone
            gone.clear()
    return held


# -- what lines say ---------------------------------------------------------------------------------------------------


def test_hits_misses_and_duplicates(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = squares()
    model = region.session()
    for rows in ((1, 2, 1), (2, 3, 3, 1), (1, 3)):
        model.run(None, {"x": batch(*rows)})
    lines = audited()
    lookups, stores = of(lines, "lookup", region), of(lines, "store", region)
    assert outcomes(lookups) == ["mmd", "hmdh", "hh"]
    assert outcomes(stores) == ["ss", "s"]
    assert [line["call"] for line in stores] == [line["call"] for line in lookups[:2]]
    assert [line["bytes"] for line in stores] == [24, 12]
    assert [line["bytes"] for line in lookups] == [0, 24, 24]  # unique rows where some are missing, else all
    keys = [line["keys"] for line in lookups]
    assert keys[0][0] == keys[0][2] == keys[1][3] == keys[2][0]
    assert len(set(itertools.chain(*keys))) == 3
    assert lookups[0]["ages"] == [-1, -1, -1]
    assert [age >= 0 for age in lookups[1]["ages"]] == [True, False, False, True]
    agrees_with_statistics(lines, region, control.stats(region), {})


def test_the_first_lines_describe_the_process_and_the_region(
    control: Control, audited: Callable[[], list[Line]]
) -> None:
    row, whole = squares(), whole_squares()
    began = time.time()
    for region in (row, whole):
        region.session().run(None, {"x": batch(1)})
    config = control.config()
    lines = audited()
    assert lines[0]["event"] == "start"
    assert (lines[0]["schema"], lines[0]["part"], lines[0]["pid"]) == (1, 1, os.getpid())
    assert (lines[0]["version"], lines[0]["hash"]) == (control.version(), "blake3")
    assert lines[0]["config"] == config
    described = {line["id"]: line for line in of(lines, "region")}
    assert described[row.id]["fingerprint"] == row.fingerprint
    assert (described[row.id]["granularity"], described[whole.id]["granularity"]) == ("row", "tensor")
    for line in lines[2:]:
        assert began - 1 < line["t"] < time.time() + 1


def test_ages_and_expired_entries(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = squares()
    mortal, strict = region.session(ttl_seconds="0.2"), region.session(max_entry_age="0.5", namespace="n")
    lasting = region.session(namespace="n")
    mortal.run(None, {"x": batch(1)})
    lasting.run(None, {"x": batch(1)})
    time.sleep(0.6)
    lasting.run(None, {"x": batch(1)})
    for model in (mortal, strict):
        model.run(None, {"x": batch(1)})
    lines = audited()
    lookups = of(lines, "lookup", region)
    assert outcomes(lookups) == ["m", "m", "h", "e", "e"]
    assert [line["namespace"] for line in lookups] == ["", "n", "n", "", "n"]
    assert 0.6 <= lookups[2]["ages"][0] < 60
    assert sorted(line["reason"] for line in of(lines, "evict", region)) == ["expired", "replaced"]
    agrees_with_statistics(lines, region, control.stats(region), {})


def test_verified_rows_and_what_differs(control: Control, audited: Callable[[], list[Line]]) -> None:
    sound = squares()
    random = Region([Tensor("x")], [Tensor("y")], "y_m = RandomUniformLike(x_c)")
    models = [region.session() for region in (sound, random)]
    for model in models:
        model.run(None, {"x": batch(1, 2)})
    control.configure("verify_fraction", "1")
    control.configure("on_mismatch", "disable")
    for model in models * 2:
        model.run(None, {"x": batch(1, 2)})
    lines = audited()
    assert outcomes(of(lines, "lookup", sound)) == ["mm", "vv", "vv"]
    assert outcomes(of(lines, "store", sound)) == ["ss", "==", "=="]
    assert outcomes(of(lines, "lookup", random)) == ["mm", "vv", "bb"]
    assert outcomes(of(lines, "store", random)) == ["ss", "xx"]
    assert [line["reason"] for line in of(lines, "evict", random)] == ["mismatch", "mismatch"]
    assert [line["state"] for line in of(lines, "policy", random)] == ["disabled"]
    for region in (sound, random):
        agrees_with_statistics(lines, region, control.stats(region), {})
    said = [line["arguments"] for line in of(lines, "control")]
    assert {"verify_fraction": "1"} in said and {"on_mismatch": "disable"} in said


def test_evictions_and_refusals(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = squares()
    model = region.session()
    before_budget = control.config()["budget_bytes"]
    control.configure("budget_bytes", "4KiB")
    for start in range(4):
        for _ in range(3):
            model.run(None, {"x": batch(*range(40 * start, 40 * start + 40))})
    control.configure("budget_bytes", "1KiB")
    control.configure("budget_bytes", str(before_budget))
    lines = audited()
    counts = control.stats(region)
    assert counts["evicted"] > 0 and counts["not_admitted"] > 0
    assert {"room", "budget"} <= {line["reason"] for line in of(lines, "evict", region)}
    agrees_with_statistics(lines, region, counts, {})
    assert len(held_after(lines)) == control.store()["entries"]


def test_bypassed_calls(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = squares()
    model = region.session()
    control.configure("budget_bytes", "0")
    model.run(None, {"x": batch(1, 2)})
    control.configure("budget_bytes", None)
    model.run(None, {"x": batch()})
    lines = audited()
    lookups = of(lines, "lookup", region)
    assert outcomes(lookups) == ["bb", ""]
    assert [(line["keys"], line["ages"], line["namespace"]) for line in lookups] == [(None, None, None)] * 2
    assert of(lines, "store", region) == []
    agrees_with_statistics(lines, region, control.stats(region), {})


def test_a_region_that_does_not_pay_is_said_to_be_bypassed(control: Control, audited: Callable[[], list[Line]]) -> None:
    body = "zero = Constant <value_int: int = 0> () y_m = Gather <axis: int = 1> (x_c, zero)"
    region = Region([Tensor("x", shape="[N, 65536]")], [Tensor("y", shape="[N]")], body)
    model = region.session()
    control.configure("bypass", "auto")
    x = np.zeros((1, 65536), np.float32)
    for i in range(100):
        x[0, 0] = i
        model.run(None, {"x": x})
    counts = control.stats(region)
    control.configure("bypass", "off")
    lines = audited()
    (switch,) = of(lines, "policy", region)
    assert (switch["state"], switch["reason"]) == ("bypassed", counts["bypass_reason"])
    assert counts["bypassed"] > 0
    agrees_with_statistics(lines, region, counts, {})


def test_rows_that_waited_for_another_call(control: Control, audited: Callable[[], list[Line]]) -> None:
    width = 20_000
    steps = ["x_c", *(f"s{i}" for i in range(30))]
    body = "\n".join(f"{new} = Softplus({old})" for old, new in itertools.pairwise(steps)) + "\ny_m = Identity(s29)"
    shape = f"[N, {width}]"
    region = Region([Tensor("x", shape=shape)], [Tensor("y", shape=shape)], body)
    model = region.session()
    model.run(None, {"x": np.random.default_rng(0).random((12, width), np.float32)})
    x = np.random.default_rng(1).random((2, width), np.float32)
    barrier = threading.Barrier(4)

    def call() -> None:
        barrier.wait()
        model.run(None, {"x": x})

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = audited()
    lookups = of(lines, "lookup", region)[1:]
    assert sorted(outcomes(lookups)) == ["jj", "jj", "jj", "mm"]
    assert all(line["wait_ns"] > 0 for line in lookups if line["outcomes"] == "jj")
    agrees_with_statistics(lines, region, control.stats(region), {})


def test_what_the_host_program_does(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = squares()
    region.session(namespace="n").run(None, {"x": batch(1, 2)})
    control.invalidate("of nobody")
    control.invalidate("n")
    invalidations = [line for line in of(audited(), "control") if line["what"] == "invalidate"]
    everything = {"namespace": None, "region": None, "fingerprint": None, "min_age_seconds": 0}
    assert [(line["arguments"], line["count"]) for line in invalidations] == [
        ({**everything, "namespace": "of nobody"}, 0),
        ({**everything, "namespace": "n"}, 2),
    ]


def test_a_mixed_run_of_several_threads(control: Control, audited: Callable[[], list[Line]]) -> None:
    regions = [squares(), whole_squares(), squares()]
    models = [
        session(region.proto(), namespace=name, **more)
        for region, name, more in zip(regions, ("", "ä\n", "n"), ({}, {}, {"ttl_seconds": "0.05"}), strict=True)
    ]
    control.configure("verify_fraction", "0.2")

    def play(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(150):
            rows = random.integers(0, 60, random.integers(0, 9))
            models[random.integers(0, 3)].run(None, {"x": batch(*rows.tolist())})

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        control.configure("budget_bytes", "3KiB")
        time.sleep(0.02)
        control.configure("budget_bytes", "1MiB")
    for thread in threads:
        thread.join()
    lines = audited()
    for region in regions:
        agrees_with_statistics(lines, region, control.stats(region), {})
    assert of(lines, "dropped") == []


# -- replay -----------------------------------------------------------------------------------------------------------

#: A region whose rows cost what nobody can foresee, in a store that has room for few of them.
CROWDED = """
    import json, sys, time
    import numpy as np
    from hand_written import Control, batch, squares
    control = Control()
    region = squares(fingerprint="f", id="r")
    model = region.session(ttl_seconds="0.1")
    for name, value in {"budget_bytes": "3KiB", "verify_fraction": "0.1", "audit_path": sys.argv[1]}.items():
        control.configure(name, value)
    random = np.random.default_rng(0)
    batches = [batch(*random.zipf(1.3, random.integers(1, 12)).clip(0, 9999).tolist()) for _ in range(400)]
"""


def replayed(lines: list[Line]) -> list[tuple[int, int, int, int, bool]]:
    """What actcache_replay() is told of each lookup."""
    stores = {line["call"]: line for line in lines if line["event"] == "store"}
    recorded = []
    for lookup in (line for line in lines if line["event"] == "lookup"):
        store = stores.get(lookup["call"], {"now_ns": 0, "cost_ns": 0, "fetch_ns": 0})
        times = (lookup["now_ns"], store["now_ns"], store["cost_ns"], store["fetch_ns"])
        recorded.append((*times, lookup["keys"] is None))
    return recorded


def test_a_replay_decides_as_the_recorded_calls_did(tmp_path: Path) -> None:
    first, second, calls = tmp_path / "first.jsonl", tmp_path / "second.jsonl", tmp_path / "calls.json"
    live = """
    for x in batches:
        model.run(None, {"x": x})
        time.sleep(0.003)
    """
    again = """
    for x, call in zip(batches, json.load(open(sys.argv[2])), strict=True):
        control.replay(region, *call)
        model.run(None, {"x": x})
    """
    assert run(CROWDED + live, str(first)).communicate(timeout=120)[1] == ""
    lines = lines_of(first)
    calls.write_text(json.dumps(replayed(lines)))
    assert run(CROWDED + again, str(second), str(calls)).communicate(timeout=120)[1] == ""
    found = lines_of(second)
    letters = collections.Counter("".join(outcomes([*of(lines, "lookup"), *of(lines, "store")])))
    assert all(letters[letter] > 3 for letter in "hmevr="), letters
    for event in ("lookup", "store"):
        assert outcomes(of(found, event)) == outcomes(of(lines, event))
    reasons = [[line["reason"] for line in of(some, "evict")] for some in (lines, found)]
    assert reasons[0] == reasons[1] and {"room", "expired"} <= set(reasons[0])


def test_a_replayed_call_passes_if_the_recorded_one_did(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = squares()
    with pytest.raises(ValueError, match="no session has had a region"):
        control.replay(region, 0, 0, 0, 0, False)
    model = region.session()
    for passed in (False, True, False):
        control.replay(region, 0, 0, 7, 5, passed)
    for _ in range(4):
        model.run(None, {"x": batch(1)})
    lines = audited()
    assert outcomes(of(lines, "lookup", region)) == ["m", "b", "h", "h"]
    (stored,) = of(lines, "store", region)
    assert (stored["cost_ns"], stored["fetch_ns"]) == (7, 5)


# -- files and processes ----------------------------------------------------------------------------------------------


def test_parts_begin_alike_and_lose_nothing(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    region = squares()
    model = region.session()
    before = control.stats(region)
    control.configure("audit_max_bytes", "64KiB")
    control.configure("audit_files", "50")
    control.configure("audit_path", str(path))
    for i in range(400):
        model.run(None, {"x": batch(*range(i, i + 30))})
    control.configure("audit_path", "")
    parts = [path, *(Path(f"{path}.{number}") for number in range(1, 51))]
    found = [lines_of(part) for part in reversed(parts) if part.exists()]
    assert len(found) > 5
    for number, lines in enumerate(found, 1):
        assert (lines[0]["event"], lines[0]["part"]) == ("start", number)
        kinds = [line["event"] for line in lines]
        if "lookup" in kinds:
            assert kinds.index("region") < kinds.index("lookup")
    agrees_with_statistics(list(itertools.chain(*found)), region, control.stats(region), before)


def run(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Python in a process of its own, beside the modules of these tests."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={**os.environ, "PYTHONPATH": str(HERE), "ACTCACHE_BYPASS": "off", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


PLAY = """
    import itertools, os, sys
    from hand_written import batch, squares
    region = squares()
    model = region.session()
"""


def test_a_killed_process_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    endless = PLAY + "\n    for i in itertools.count(): model.run(None, {'x': batch(*range(i, i + 50))})"
    for part in range(2):
        process = run(endless, ACTCACHE_AUDIT_PATH=str(path))
        grown = path.stat().st_size + 200_000 if part else 200_000
        end = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < grown:
            assert time.monotonic() < end and process.poll() is None, "nothing is written"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    broken = 0
    starts = 0
    for line in path.read_text("utf-8").splitlines():
        try:
            starts += json.loads(line)["event"] == "start"
        except json.JSONDecodeError:
            broken += 1
    assert broken <= 2
    assert starts == 2


def test_a_process_that_ends_writes_everything(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    process = run(PLAY + "\n    model.run(None, {'x': batch(1, 2)})", ACTCACHE_AUDIT_PATH=str(path))
    assert process.communicate()[1] == ""
    assert outcomes(of(lines_of(path), "lookup")) == ["mm"]


def test_a_forked_child_has_a_file_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = """
        import os, sys
        from hand_written import Control, batch, squares
        Control().configure("audit_path", sys.argv[1])
        child = os.fork()
        if child == 0:
            squares().session().run(None, {"x": batch(1, 2, 3)})
            Control().configure("audit_path", "")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        squares().session().run(None, {"x": batch(1)})
        print(child)
    """
    process = run(code, str(path))
    child, errors = process.communicate(timeout=120)
    assert errors == ""
    assert outcomes(of(lines_of(path), "lookup")) == ["m"]
    assert outcomes(of(lines_of(Path(f"{path}.pid-{child.strip()}")), "lookup")) == ["mmm"]


def test_forks_while_threads_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = """
        import os, sys, threading
        from hand_written import Control, batch, squares
        control = Control()
        control.configure("audit_max_bytes", "64KiB")
        control.configure("audit_path", sys.argv[1])
        region = squares()
        model = region.session()
        done = threading.Event()
        def play():
            while not done.is_set(): model.run(None, {"x": batch(*range(20))})
        threads = [threading.Thread(target=play) for _ in range(2)]
        for thread in threads: thread.start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                squares().session().run(None, {"x": batch(1)})
                control.configure("audit_path", "")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        done.set()
        for thread in threads: thread.join()
        print(control.counts(region, "calls")[0], control.audit()["dropped"])
    """
    process = run(code, str(path))
    said, errors = process.communicate(timeout=120)
    assert errors == ""
    files = [lines_of(file) for file in sorted(tmp_path.iterdir())]
    pids = collections.Counter(lines[0]["pid"] for lines in files)
    children = [pid for pid in pids if pid != process.pid]
    assert len(children) == 10
    for lines in files:
        if lines[0]["pid"] in children:
            assert outcomes(of(lines, "lookup")) == ["m"]
    kept = sum(len(of(lines, "lookup")) for lines in files if lines[0]["pid"] == process.pid)
    calls, dropped = map(int, said.split())
    parts = [line["part"] for lines in files if lines[0]["pid"] == process.pid for line in of(lines, "start")]
    assert max(parts) > 1 and 0 < kept <= calls - dropped


def test_a_path_that_cannot_be_written_is_refused_at_once(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "audit.jsonl"
    with pytest.raises(ValueError, match=f"the audit log {path} cannot be opened: No such file or directory"):
        control.configure("audit_path", str(path))
    assert control.config()["audit_path"] == ""
    with pytest.raises(ValueError, match="Is a directory"):
        control.configure("audit_path", str(tmp_path))
    process = run(PLAY, ACTCACHE_AUDIT_PATH=str(path))
    errors = process.communicate()[1]
    assert process.returncode != 0
    assert f"the audit log {path} cannot be opened" in errors


def test_a_million_rows(control: Control, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    region = squares()
    model = region.session()
    x = batch(*range(4096))
    before = control.audit()
    control.configure("audit_buffer_bytes", "64MiB")
    control.configure("audit_path", str(path))
    for _ in range(250):
        model.run(None, {"x": x})
    control.configure("audit_path", "")
    lines = lines_of(path)
    assert sum(line["rows"] for line in of(lines, "lookup", region)) == 250 * 4096
    assert control.audit()["dropped"] == before["dropped"]
    assert control.audit()["bytes"] - before["bytes"] == path.stat().st_size
