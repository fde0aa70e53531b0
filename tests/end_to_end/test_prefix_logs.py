"""Audit logs of regions of prefixes: replayed, reported, explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click import Command
from click.testing import CliRunner
from sequences import Sequences, next_tokens, sequences

import actcache
from actcache.audit.logged_decisions import Decision, read_history
from actcache.commands.explain_miss import explain_miss_command
from actcache.commands.inspect import inspect_command
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
    actcache.configure(audit_path=str(folder / "audit.jsonl"))
    session = actcache.InferenceSession(str(model.compiled))
    (folder / "calls").mkdir()
    ids = model.ids(1, 6)
    for step in range(6):
        actcache.save_sample(folder / "calls" / f"{step}.npz", model.feed(ids))
        ids = np.concatenate([ids, next_tokens(session.run(None, model.feed(ids))[0])], 1)
    actcache.configure(audit_path="")
    return model, folder


def numbers(audit: Path) -> list[int]:
    """The log's numbers of its lookups."""
    return [step.call for step in read_history(audit).steps if isinstance(step, Decision)]


def test_a_replay_decides_the_same_and_gives_the_same(logged: tuple[Sequences, Path]) -> None:
    model, folder = logged
    answer = replay_audit(folder / "audit.jsonl", model.compiled, [folder / "calls"])
    assert answer["same"] and answer["outputs"]["bit_exact"], answer


def test_a_report_simulates_other_budgets_and_counts_positions(logged: tuple[Sequences, Path]) -> None:
    _, folder = logged
    facts = write_report(folder / "audit.jsonl", folder / "report.html")
    assert facts.curve is not None
    assert facts.curve.points[-1].reuse == pytest.approx(facts.hit_ratio, abs=1e-9)
    page = (folder / "report.html").read_text()
    assert "Positions per second" in page and "of the positions" in page and "of the rows" not in page


def test_two_inputs_are_explained(logged: tuple[Sequences, Path]) -> None:
    model, folder = logged
    (record,) = explain_inputs(model.compiled, folder / "calls/1.npz", folder / "calls/3.npz")
    assert (record.outcome, record.details["known"], record.details["positions"]) == ("miss", 7, 9)


def printed(command: Command, *arguments: Path) -> str:
    """What a command prints."""
    answer = CliRunner().invoke(command, [str(argument) for argument in arguments], env={"COLUMNS": "160"})
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_commands_count_positions(logged: tuple[Sequences, Path]) -> None:
    model, folder = logged
    explained = printed(explain_miss_command, model.compiled, folder / "calls/1.npz", folder / "calls/3.npz")
    assert f"{model.region}: 7 of the 9 positions of 1 row known" in explained
    assert f"{model.region}: looks calls up only if input_ids has 2 axes" in printed(inspect_command, model.compiled)


def test_a_log_explains_a_step_of_a_decoding_loop(logged: tuple[Sequences, Path]) -> None:
    model, folder = logged
    (record,), recorded = explain_recorded(model.compiled, folder / "calls/3.npz", folder / "audit.jsonl")
    (found,) = recorded.values()
    calls = numbers(folder / "audit.jsonl")
    assert (found.lookup, found.fits) == (calls[3], 1)
    assert (record.row, record.outcome, record.reason) == (0, "miss", "new")
    said = {"lookup": calls[3], "known": 8, "used": 7, "positions": 9, "nearest_lookup": calls[2], "shared": 8}
    assert said.items() <= record.details.items()
    assert record.text.startswith("8 of its 9 positions were known; the next was not: no earlier lookup of the log had")
    assert f"lookups, number {calls[2]} has most positions in common with it: the first 8" in record.text


def test_a_log_explains_each_row_of_a_batch(tmp_path: Path) -> None:
    model = sequences(Decoder())
    actcache.invalidate()
    actcache.configure(audit_path=str(tmp_path / "audit.jsonl"))
    session = actcache.InferenceSession(str(model.compiled))
    ids = model.ids(1, 8)
    other = (ids + 1) % 61
    batch = np.concatenate([ids, np.concatenate([ids[:, :5], other[:, 5:]], 1), other])
    for number, tokens in enumerate((ids, batch, batch, np.concatenate([batch[:1], batch[:1]]))):
        actcache.save_sample(tmp_path / f"{number}.npz", model.feed(tokens))
        session.run(None, model.feed(tokens))
    actcache.invalidate()
    session.run(None, model.feed(ids))
    actcache.configure(audit_path="")

    calls = numbers(tmp_path / "audit.jsonl")

    def told(number: int, lookup: int) -> list[tuple[str, str, int, int]]:
        path = tmp_path / f"{number}.npz"
        records, _ = explain_recorded(model.compiled, path, tmp_path / "audit.jsonl", lookup=calls[lookup])
        assert [record.row for record in records] == list(range(len(records)))
        return [(r.outcome, r.reason, r.details["known"], r.details["used"]) for r in records]

    assert told(1, 1) == [("miss", "prefix", 8, 0), ("miss", "new", 5, 0), ("miss", "new", 0, 0)]
    assert told(1, 2) == [("hit", "equal", 8, 8)] * 3
    assert told(3, 3) == [("hit", "equal", 8, 8)] * 2
    assert told(0, 4) == [("miss", "invalidated", 0, 0)]
