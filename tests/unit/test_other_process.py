"""The process that runs models for the compiler: what it imports, and how long it lives."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import onnx
import onnx.parser
import pytest

from actcache.errors import InvalidModel
from actcache.runs.client import OtherProcess, ask
from actcache.runs.requests import AskTypes, Measure, Originals, Told

#: onnx does not know what com.microsoft's operators give.
MODEL = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
g (float[N, 2] x) => (float[N, 2] y) { z = com.microsoft.Gelu(x) y = Neg(z) }"""


def originals(folder: Path) -> Originals:
    model = folder / "m.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), model)
    return Originals(str(model), str(model), str(model))


#: What is told of its types.
TOLD = Told({"z": onnx.TensorProto.FLOAT}, infers=True)


def ask_types(folder: Path) -> Told:
    work = folder / "work"
    work.mkdir()
    return ask(AskTypes(originals(folder)), work)


def children() -> set[int]:
    """Processes that were started by this one."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for text in lists for pid in text.read_text().split()}


def test_the_current_folder_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "checkout" / "actcache"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('another version')\n")
    monkeypatch.chdir(other.parent)
    monkeypatch.setattr(sys, "path", [str(Path(entry).absolute()) for entry in sys.path if entry not in ("", ".")])
    assert ask_types(tmp_path) == TOLD


@pytest.mark.parametrize("name", ["types", "enum", "json", "random"])
def test_a_script_has_files_beside_it_that_are_called_like_standard_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The script's own folder is the first of ``sys.path``; Python has loaded its standard modules before that."""
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('not a standard module')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert ask_types(tmp_path) == TOLD


def test_a_process_that_nothing_is_left_in_goes_on(tmp_path: Path) -> None:
    """If it dies meanwhile, there is another."""
    about, before = originals(tmp_path), children()
    with OtherProcess() as other:
        assert children() == before
        assert other.ask(AskTypes(about), tmp_path) == TOLD
        (first,) = children() - before
        assert other.ask(AskTypes(about, infers=False), tmp_path) == Told(TOLD.types, infers=False)
        assert children() - before == {first}
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert other.ask(AskTypes(about), tmp_path) == TOLD
        (second,) = children() - before
        assert second != first
        assert len(other.ask(Measure(about, [], timed=False), tmp_path).samples) > 0
        assert children() == before
        other.ask(AskTypes(about), tmp_path)
    assert children() == before


def test_a_crash_costs_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that aborts stands in for onnxruntime."""
    standing_in = tmp_path / "deadly" / "onnxruntime.py"
    standing_in.parent.mkdir()
    standing_in.write_text("import os\nos.abort()\n")
    about, before = originals(tmp_path), children()
    with OtherProcess() as other, monkeypatch.context() as now:
        now.syspath_prepend(str(standing_in.parent))
        with pytest.raises(InvalidModel, match="onnxruntime crashed while loading it"):
            other.ask(AskTypes(about), tmp_path)
        assert children() == before
        now.undo()
        assert other.ask(AskTypes(about), tmp_path) == TOLD


def test_an_interruption_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_progress: str) -> None:
        raise KeyboardInterrupt

    about, before = originals(tmp_path), children()
    waits = tmp_path / "deadly" / "onnxruntime.py"
    waits.parent.mkdir()
    report = tmp_path / "progress.txt"
    waits.write_text(f"open({str(report)!r}, 'w').write('far'); import time; time.sleep(600)\n")
    monkeypatch.syspath_prepend(str(waits.parent))
    with pytest.raises(KeyboardInterrupt):
        ask(AskTypes(about), tmp_path, interrupt)
    assert children() == before
