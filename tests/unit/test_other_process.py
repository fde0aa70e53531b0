"""The process that runs models for the compiler imports what its parent does."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx.parser
import pytest

from actcache.runs.client import ask
from actcache.runs.requests import AskTypes, Originals

#: onnx does not know what com.microsoft's operators give.
MODEL = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
g (float[N, 2] x) => (float[N, 2] y) { z = com.microsoft.Gelu(x) y = Neg(z) }"""


def ask_types(folder: Path) -> dict[str, int]:
    model = folder / "m.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), model)
    work = folder / "work"
    work.mkdir()
    return ask(AskTypes(Originals(str(model), str(model), str(model))), work)


def test_the_current_folder_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "checkout" / "actcache"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('another version')\n")
    monkeypatch.chdir(other.parent)
    monkeypatch.setattr(sys, "path", [str(Path(entry).absolute()) for entry in sys.path if entry not in ("", ".")])
    assert ask_types(tmp_path) == {"z": onnx.TensorProto.FLOAT}


@pytest.mark.parametrize("name", ["types", "enum", "json", "random"])
def test_a_script_has_files_beside_it_that_are_called_like_standard_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The script's own folder is the first of ``sys.path``; Python has loaded its standard modules before that."""
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('not a standard module')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert ask_types(tmp_path) == {"z": onnx.TensorProto.FLOAT}
