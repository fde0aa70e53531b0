"""Audit logs of regions of prefixes: replayed, reported, explained as far as that can be done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sequences import Sequences, next_tokens, sequences

import actcache
from actcache.inspection.explain_miss import explain_inputs
from actcache.inspection.logged_miss import explain_recorded
from actcache.replay.replay import replay_audit
from actcache.report.page import write_report
from benchmarks.decoders import Decoder


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sequences, Path]:
    """A model, and a folder with the log and the inputs of a decoding loop."""
    model, folder = sequences(Decoder()), tmp_path_factory.mktemp("logged")
    actcache.invalidate()
    actcache.configure(bypass="off", audit_path=str(folder / "audit.jsonl"))
    session = actcache.InferenceSession(str(model.compiled))
    (folder / "calls").mkdir()
    ids = model.ids(1, 6)
    for step in range(6):
        actcache.save_sample(folder / "calls" / f"{step}.npz", model.feed(ids))
        ids = np.concatenate([ids, next_tokens(session.run(None, model.feed(ids))[0])], 1)
    actcache.configure(bypass="auto", audit_path="")
    return model, folder


def test_a_replay_decides_the_same_and_gives_the_same(logged: tuple[Sequences, Path]) -> None:
    model, folder = logged
    answer = replay_audit(folder / "audit.jsonl", model.compiled, [folder / "calls"])
    assert answer["same"] and answer["outputs"]["bit_exact"], answer


def test_a_report_says_what_it_does_not_simulate(logged: tuple[Sequences, Path]) -> None:
    _, folder = logged
    facts = write_report(folder / "audit.jsonl", folder / "report.html")
    assert facts.curve is None
    assert "Not simulated for regions of prefixes yet." in (folder / "report.html").read_text()


def test_two_inputs_are_explained_and_a_log_says_that_it_cannot(logged: tuple[Sequences, Path]) -> None:
    model, folder = logged
    (record,) = explain_inputs(model.compiled, folder / "calls/1.npz", folder / "calls/3.npz")
    assert (record.outcome, record.details["known"], record.details["positions"]) == ("miss", 7, 9)
    records, _ = explain_recorded(model.compiled, folder / "calls/3.npz", folder / "audit.jsonl")
    assert [r.outcome for r in records] == ["unknown"] and "not explained yet" in records[0].text
