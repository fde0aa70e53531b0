"""Every Python block of the documentation runs, those too that leave out what goes before them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import docs_pages
import onnx
import pytest
from docs_pages import ROOT
from docs_programs import RUNNABLE, deep_encoder

import actcache

#: What the blocks take for granted, and what is true behind the blocks of a page.
BEFORE = """
import json, os, numpy, onnx, onnxruntime, numpy as np, onnxruntime as ort, actcache
x = np.ones((2, 256), np.float32)
ids = mask = np.ones((2, 8), np.int64)
session = actcache.InferenceSession("encoder.cached.onnx")
"""
BEHIND = {
    "docs/audit.md": "assert os.path.getsize('FOLDER/var/log/model/audit.jsonl') > 0",
    "docs/fit.md": "session.run(None, {'x': x}); assert os.listdir('calls')",
    "docs/manual.md": "",
    "docs/operations.md": "session.run(None, {'x': x}); assert actcache.stats()['regions']",
    "docs/reference/manifest.md": "assert manifest['regions']",
    "docs/remote-store.md": "assert actcache.stats()",
    "docs/samples.md": "assert sorted(np.load('sample.npz')) == ['attention_mask', 'input_ids']",
    "docs/sessions.md": "session.run(None, {'x': x})",
    "docs/tiers.md": "session.run(None, {'x': x}); assert os.path.isdir('FOLDER/var/cache/my-service')",
    "docs/tutorials/service.md": "session.run(None, {'x': x})",
}
FRAGMENTS = {
    path.relative_to(ROOT).as_posix(): blocks
    for path in docs_pages.pages()
    if (blocks := docs_pages.fragments(path.read_text("utf-8")))
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reader's model, compiled."""
    folder = tmp_path_factory.mktemp("reader")
    first, inputs = RUNNABLE["docs/quickstart.md"][:2]
    onnx.save(deep_encoder(first, inputs), folder / "encoder.onnx")
    actcache.compile_model(folder / "encoder.onnx", min_saving=0)
    actcache.compile_model(
        folder / "encoder.onnx",
        folder / "each_call.cached.onnx",
        min_saving=0,
        namespace_input="actcache.namespace",
        control_input="actcache.control",
    )
    return folder


def below(folder: Path, program: str) -> str:
    """Return a program with the folders that it names moved below another one, where they are made."""

    def moved(found: re.Match[str]) -> str:
        path = folder / found[1].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if found[1].startswith("/etc/"):
            path.write_text("a text of sixteen bytes or more\n")
            path.chmod(0o600)
        return f'"{path}"'

    return re.sub(r'"(/(?:etc|run|var)/[^"]*)"', moved, program).replace("FOLDER", str(folder))


def test_every_page_with_fragments_is_known() -> None:
    assert sorted(FRAGMENTS) == sorted(BEHIND)


@pytest.mark.parametrize("page", sorted(BEHIND))
def test_fragments_run(page: str, compiled: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(compiled, tmp_path / "reader"))
    blocks = FRAGMENTS[page]
    each_call = "session = actcache.InferenceSession('each_call.cached.onnx')\n"
    blocks = [each_call + block if '"actcache.namespace": np' in block else block for block in blocks]
    program = below(folder, "\n".join([BEFORE, *blocks, BEHIND[page]]))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACTCACHE_BYPASS": "off"}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
