"""The process that runs models for the compiler imports what its parent does."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx.parser
import pytest

from actcache.runs.client import ask
from actcache.runs.requests import AskTypes, Originals

MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 2] x) => (float[N, 2] y) { z = Abs(x) y = Neg(z) }'


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 puts the current folder first")
def test_the_current_folder_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "checkout" / "actcache"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('another version')\n")
    model = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), model)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(other.parent)
    monkeypatch.setattr(sys, "path", [str(Path(entry).absolute()) for entry in sys.path if entry not in ("", ".")])
    types = ask(AskTypes(Originals(str(model), str(model), str(model)), ["z"]), work)
    assert types == {"z": onnx.TensorProto.FLOAT}
