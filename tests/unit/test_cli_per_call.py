"""``--namespace-input``, ``--control-input`` and ``--account-output`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from command_line import refused, run
from graphs import encoder

from actcache.passes.rewrite.inline_regions import MANIFEST_KEY


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.onnx"
    onnx.save(encoder(), path)
    return path


def manifest(path: Path) -> dict[str, object]:
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return dict(json.loads(entries[MANIFEST_KEY]))


def test_they_are_off_unless_they_are_asked_for(saved: Path, tmp_path: Path) -> None:
    done = run("compile", saved, "--no-verify", "--min-saving", 0, "--json")
    answer = json.loads(done.stdout)
    assert answer["per_call"] == {} and not any("every call must feed" in note for note in answer["notes"])
    written = tmp_path / "encoder.cached.onnx"
    assert "per_call" not in manifest(written)
    graph = onnx.load(written).graph
    assert [v.name for v in graph.input] == ["x"] and [v.name for v in graph.output] == ["y"]
    assert "actcache.control" not in written.read_bytes().decode(errors="replace")


@pytest.mark.parametrize("arrangement", ["after", "before", "between", "named"])
def test_a_name_may_be_given_or_left_out(saved: Path, tmp_path: Path, arrangement: str) -> None:
    options = ["--no-verify", "--min-saving", 0, "--json"]
    flags = ["--account-output", "--control-input", "--namespace-input"]
    arguments = {
        "after": [saved, *options, *flags],
        "before": [*options, *flags, saved],
        "between": ["--namespace-input", saved, "--account-output", "--control-input", *options],
        "named": ["--namespace-input=n", *options, "--control-input", "say", "--account-output", "told", saved],
    }[arrangement]
    done = run("compile", *arguments)
    assert done.returncode == 0, done.stderr
    prefix = "" if arrangement == "named" else "actcache."
    n, c, a = ("n", "say", "told") if arrangement == "named" else ("namespace", "control", "account")
    names = {"namespace_input": prefix + n, "control_input": prefix + c, "account_output": prefix + a}
    assert json.loads(done.stdout)["per_call"] == names
    assert manifest(tmp_path / "encoder.cached.onnx")["per_call"] == names
    assert f"every call must feed '{prefix + n}'" in done.stdout


def test_names_that_cannot_be_are_refused(saved: Path, tmp_path: Path) -> None:
    refused(
        run("compile", saved, "--control-input=x"), "has a tensor 'x' of its own", "give control_input another name"
    )
    refused(run("compile", saved, "--account-output=c"), "has a tensor 'c' of its own")
    refused(run("compile", saved, "--namespace-input=a@b"), "namespace_input 'a@b' cannot be used as a name")
    refused(run("compile", saved, "--namespace-input=n", "--control-input=n"), "have the same name")
    refused(run("compile", "--namespace-input"), "Missing argument 'MODEL'")
    assert not (tmp_path / "encoder.cached.onnx").exists()
