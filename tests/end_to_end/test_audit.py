"""What the audit log says of calls: its lines say what the statistics count."""

from __future__ import annotations

import collections
import itertools
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit_lines import Line, agrees_with_statistics, held_after, lines_of, of, outcomes, run, whole_squares
from hand_written import Control, Region, Tensor, batch, costly, session, squares


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
    region = costly()
    model = region.session()
    before_budget = control.config()["budget_bytes"]
    control.configure("bypass", "off")  # a busy machine must not decide what is looked up
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
    short: dict[str, Any] = {"ttl_seconds": "0.05"}
    models = [
        session(region.proto(), namespace=name, **more)
        for region, name, more in zip(regions, ("", "ä\n", "n"), ({}, {}, short), strict=True)
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
    from hand_written import Control, batch, costly
    control = Control()
    region = costly(fingerprint="f", id="r")
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


def test_a_replay_does_not_store_what_the_recorded_call_had_seen_for_the_first_time(
    control: Control, audited: Callable[[], list[Line]]
) -> None:
    region = squares()
    model = region.session()
    for letters in ("fs", "s", None):
        control.replay(region, 0, 0, 700, 5, False, letters)
    for _ in range(3):
        model.run(None, {"x": batch(1, 2)})
    lines = audited()
    assert outcomes(of(lines, "store", region)) == ["fs", "s"]
    assert outcomes(of(lines, "lookup", region)) == ["mm", "mh", "hh"]
    agrees_with_statistics(lines, region, control.stats(region), {})
