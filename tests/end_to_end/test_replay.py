"""``actcache replay`` on a real model: what was recorded is decided likewise again, and what was changed is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import composed
import onnx
import pytest

import actcache
from actcache.audit.logged_decisions import ControlCall, Decision, read_history
from actcache.errors import UnsupportedAudit
from actcache.replay.replay import replay_audit
from models import feed
from models.fetch import fetch

ROOT = Path(__file__).resolve().parents[2]
NAME = "paraphrase_minilm_l3"
CALLS = 120

#: Calls with rows that repeat, in a store with room for a fifth of them.
RECORD = """
    import sys
    import numpy as np
    import onnxruntime
    import actcache
    from models import feed
    model, audit, trace = sys.argv[1:4]
    actcache.configure(budget_bytes="96KiB", verify_fraction=0.2, audit_path=audit)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("actcache.namespace", "tenant")
    session = actcache.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session = actcache.record(session, trace)
    pool = feed("paraphrase_minilm_l3", 60, seed=0, size=8)
    random = np.random.default_rng(0)
    for call in range(int(sys.argv[4])):
        rows = random.zipf(1.4, random.integers(1, 6)).clip(1, 60) - 1
        if call == 80:
            actcache.invalidate(region=list(actcache.stats()["regions"])[0])
        session.run(None, {name: array[rows] for name, array in pool.items()})
    actcache.configure(audit_path="")
"""


#: Queries against candidates, whose encoder is the same; each call has a namespace and a word of its own.
RECORD_TWINS = """
    import sys
    import numpy as np
    import actcache
    from models import feed
    model, audit, trace = sys.argv[1:4]
    actcache.configure(budget_bytes="48KiB", audit_path=audit)
    session = actcache.record(actcache.InferenceSession(model, providers=["CPUExecutionProvider"]), trace)
    pool = feed("paraphrase_minilm_l3", 40, seed=0, size=8)
    random = np.random.default_rng(0)
    for call in range(int(sys.argv[4])):
        if call == 60:
            actcache.configure(budget_bytes="24KiB")
        if call == 90:
            actcache.pin("a")
        given = {"tenant": np.array("ab"[call % 2])}
        given["word"] = np.array(random.choice(["use", "bypass", "refresh"], p=[0.8, 0.1, 0.1]))
        for prefix in ("q_", "c_"):
            rows = random.zipf(1.4, random.integers(1, 5)).clip(1, 40) - 1
            given |= {prefix + name: array[rows] for name, array in pool.items()}
        session.run(None, given)
    actcache.configure(audit_path="")
"""

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "ACTCACHE_BYPASS": "off"}
Line = dict[str, Any]


@dataclass
class Recorded:
    model: Path
    audit: Path
    trace: Path


def record(code: str, *arguments: object) -> None:
    command: list[Any] = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def compiled(source: Path, folder: Path) -> Path:
    samples = [feed(NAME, 3, seed=1, size=8)]
    return actcache.compile_model(source, folder / f"{source.stem}.cached.onnx", samples=samples, verify=False).output


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    made = Recorded(compiled(fetch(NAME), folder), folder / "audit.jsonl", folder / "calls")
    record(RECORD, made.model, made.audit, made.trace, CALLS)
    return made


def changed(recorded: Recorded, folder: Path, change: Callable[[list[Line]], object]) -> Path:
    """A copy of the log whose lines were tampered with."""
    lines = [json.loads(line) for line in recorded.audit.read_text("utf-8").splitlines()]
    change(lines)
    path = folder / "audit.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_the_same_calls_are_decided_likewise(recorded: Recorded) -> None:
    history = read_history(recorded.audit)
    decisions = [step for step in history.steps if isinstance(step, Decision)]
    found = Counter("".join(step.outcomes for step in decisions))
    made = Counter("".join(step.stored or "" for step in decisions))
    assert all(found[letter] > 3 for letter in "hmv") and all(made[letter] > 3 for letter in "sr="), (found, made)
    assert {step.namespace for step in decisions} == {"tenant"}
    answer = replay_audit(recorded.audit, recorded.model, [recorded.trace])
    assert answer["difference"] is None and answer["same"]
    assert (answer["calls"], answer["rows"]) == (CALLS, sum(len(step.outcomes) for step in decisions))
    assert answer["evicted"] == sum(len(step.evicted) for step in history.steps) > 5
    assert answer["outputs"]["failure"] is None and answer["outputs"]["max_abs_error"] < 1e-4
    assert answer["notes"] == []


def test_another_configuration_is_told(recorded: Recorded, tmp_path: Path) -> None:
    audit = changed(recorded, tmp_path, lambda lines: lines[0]["config"].update(budget_bytes=1 << 20))
    answer = replay_audit(audit, recorded.model, [recorded.trace])
    difference = answer["difference"]
    # When the store is full for the first time, it drops an entry or turns a row away: times decide.
    lines = [json.loads(line) for line in recorded.audit.read_text("utf-8").splitlines()]
    full = next(number for number, line in enumerate(lines) if line["event"] == "evict" or line.get("refused"))
    first = next(line for line in lines[full:] if line["event"] == "store")
    assert not answer["same"] and difference["kind"] == ("stored" if first["refused"] else "evicted")
    assert difference["why"].startswith("the calls ran with another configuration than the log's first line says")
    assert difference["lookup"] == difference["call"] == first["call"]


def test_a_configuration_that_means_nothing_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    audit = changed(recorded, tmp_path, lambda lines: lines[0]["config"].update(budget_bytes="much"))
    with pytest.raises(UnsupportedAudit, match='its settings cannot be used here: knob budget_bytes is "much"'):
        replay_audit(audit, recorded.model, [recorded.trace])


def test_costs_decide_as_they_were_recorded(recorded: Recorded, tmp_path: Path) -> None:
    def cheaper(lines: list[Line]) -> None:
        for line in lines[len(lines) // 4 :]:
            if line["event"] == "store":
                line["cost_ns"] //= 20

    answer = replay_audit(changed(recorded, tmp_path, cheaper), recorded.model, [recorded.trace])
    assert answer["difference"]["kind"] == "stored"
    assert answer["difference"]["call"] > 20


def test_a_changed_outcome_is_told(recorded: Recorded, tmp_path: Path) -> None:
    told: dict[str, Any] = {}

    def one(lines: list[Line]) -> None:
        line = [line for line in lines if line["event"] == "lookup" and "h" in line["outcomes"]][5]
        told.update(call=line["call"], row=line["outcomes"].index("h"))
        line["outcomes"] = line["outcomes"].replace("h", "m", 1)

    audit = changed(recorded, tmp_path, one)
    command: list[Any] = [
        sys.executable,
        "-m",
        "actcache",
        "replay",
        audit,
        "--model",
        recorded.model,
        "--trace",
        recorded.trace,
    ]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"{CALLS} calls \(\d+ rows looked up, \d+ evicted\): not the same", lines[0]), lines
    where = f"call {told['call']}, '{NAME}', lookup {told['call']} of the log"
    said = f"row {told['row']} was missed in the log, found in the replay"
    assert lines[1] == f"first difference: {where}: {said}"
    assert lines[2].startswith("why: the log contradicts itself: its lookup line has ")
    assert lines[3].startswith("outputs: those of the model before it was compiled, ")


def test_a_log_that_was_cut_off_is_told(recorded: Recorded, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    text = recorded.audit.read_bytes()
    audit.write_bytes(text[: text.index(b'"call":51') + 30])
    answer = replay_audit(audit, recorded.model, [recorded.trace])
    assert answer["calls"] == 50
    assert answer["difference"]["kind"] == "calls"
    assert answer["difference"]["text"] == f"the log has 50 calls, the trace {CALLS}; the first 50 are the same"
    assert answer["difference"]["why"] == answer["notes"][0] == "lines of the log are broken (1)"


def test_the_calls_of_another_trace_are_told(recorded: Recorded) -> None:
    calls = sorted(recorded.trace.glob("*.npz"))
    calls[10], calls[11] = calls[11], calls[10]
    answer = replay_audit(recorded.audit, recorded.model, calls)
    assert answer["difference"]["call"] == 11
    assert answer["difference"]["kind"] in ("rows", "keys")
    assert answer["difference"]["why"] == "the trace has other calls than the log, or in another order"


def test_another_model_is_refused(recorded: Recorded, tmp_path: Path) -> None:
    proto = onnx.load(fetch(NAME))
    weight = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.raw_data = weight.raw_data[:-1] + bytes([weight.raw_data[-1] ^ 1])
    onnx.save(proto, tmp_path / "retrained.onnx")
    model = compiled(tmp_path / "retrained.onnx", tmp_path)
    with pytest.raises(
        UnsupportedAudit, match=r"was recorded with another model: its regions are .* 'actcache diff' shows which"
    ):
        replay_audit(recorded.audit, model, [recorded.trace])


# -- two regions of one fingerprint, and what a call says -------------------------------------------------


def test_calls_with_namespaces_and_words_of_their_own(tmp_path: Path) -> None:
    onnx.save(composed.twin_towers(fetch(NAME)), tmp_path / "twins.onnx")
    texts = feed(NAME, 3, seed=1, size=8)
    sample = {prefix + name: array for prefix in ("q_", "c_") for name, array in texts.items()}
    made = Recorded(tmp_path / "twins.cached.onnx", tmp_path / "audit.jsonl", tmp_path / "calls")
    flags: dict[str, Any] = {"namespace_input": "tenant", "control_input": "word"}
    result = actcache.compile_model(tmp_path / "twins.onnx", made.model, samples=[sample], verify=False, **flags)
    assert len({region.fingerprint for region in result.regions}) == 1 < len(result.regions)
    record(RECORD_TWINS, made.model, made.audit, made.trace, CALLS)
    history = read_history(made.audit)
    decisions = [step for step in history.steps if isinstance(step, Decision)]
    letters = Counter("".join(step.outcomes for step in decisions))
    assert all(letters[letter] > 3 for letter in "hmrb"), letters
    assert {step.namespace for step in decisions} == {None, "a", "b"}
    changes = [step for step in history.steps if isinstance(step, ControlCall)]
    assert [(step.what, bool(step.count), bool(step.evicted)) for step in changes] == [
        ("configure", False, True),
        ("pin", True, False),
    ]
    answer = replay_audit(made.audit, made.model, [made.trace])
    assert answer["difference"] is None and answer["same"]
    assert (answer["calls"], answer["lookups"]) == (CALLS, 2 * CALLS)
    assert answer["evicted"] > 5
