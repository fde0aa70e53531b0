"""``actcache replay`` on a real model: what was recorded is decided likewise again, and what was changed is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import actcache
from actcache.decisions import Decision, read_history
from actcache.errors import UnsupportedAudit
from actcache.replay import replay_audit
from models import feed
from models.fetch import fetch

ROOT = Path(__file__).resolve().parents[2]
NAME = "paraphrase_minilm_l3"
CALLS = 120

#: Calls with rows that repeat, in a store with room for a fifth of them.
RECORD = """
    import sys
    import numpy as np
    import actcache
    from models import feed
    model, audit, trace = sys.argv[1:4]
    actcache.configure(budget_bytes="128KiB", verify_fraction=0.2, audit_path=audit)
    session = actcache.InferenceSession(model, providers=["CPUExecutionProvider"])
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


@dataclass
class Recorded:
    model: Path
    audit: Path
    trace: Path


def record(code: str, *arguments: object) -> None:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACTCACHE_BYPASS": "off"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
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


def changed(recorded: Recorded, folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """A copy of the log whose lines were tampered with."""
    lines = [json.loads(line) for line in recorded.audit.read_text("utf-8").splitlines()]
    change(lines)
    path = folder / "audit.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def lookup_with(lines: list[dict[str, Any]], letter: str) -> dict[str, Any]:
    """A line in the middle that has an outcome."""
    return [line for line in lines if line["event"] == "lookup" and letter in line["outcomes"]][5]


def test_the_same_calls_are_decided_likewise(recorded: Recorded) -> None:
    history = read_history(recorded.audit)
    decisions = [step for step in history.steps if isinstance(step, Decision)]
    letters = Counter("".join(step.outcomes + (step.stored or "") for step in decisions))
    assert all(letters[letter] > 3 for letter in "hmvs="), letters
    assert {reason for step in decisions for reason, _ in step.evicted} == {"room"}
    answer = replay_audit(recorded.audit, recorded.model, [recorded.trace])
    assert answer["difference"] is None and answer["same"]
    assert (answer["calls"], answer["rows"]) == (CALLS, sum(len(step.outcomes) for step in decisions))
    assert answer["evicted"] == sum(len(step.evicted) for step in history.steps) > 5
    assert answer["outputs"]["failure"] is None and answer["outputs"]["max_abs_error"] < 1e-4
    assert answer["notes"] == []
