"""Whatever a model file holds, a command answers, or says in one line what is wrong with it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import refused, run
from graphs import TOWERS, encoder, model
from outlining import ALL, CHAIN, outlined

import actcache
from actcache.passes.rewrite.inline_regions import MANIFEST_KEY
from actcache.passes.rewrite.per_call import add_per_call

#: Small enough to be compiled in a moment.
WIDTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, compiled and not, two calls and a log."""
    folder = tmp_path_factory.mktemp("sound")
    onnx.save_model(encoder(WIDTH), folder / "encoder.onnx")
    actcache.compile_model(folder / "encoder.onnx", folder / "compiled.onnx", min_saving=0, account_output="account")
    chain = outlined(model(CHAIN), {1}, {0, 1}, {0, 1, 2})
    add_per_call(chain, ALL, ["r0", "r1", "r2"])
    onnx.save_model(chain, folder / "chain.onnx")
    onnx.save_model(outlined(model(TOWERS), {0, 1}), folder / "towers.onnx")
    session = actcache.InferenceSession(folder / "compiled.onnx")
    actcache.configure(audit_path=folder / "log.jsonl")
    for number in range(2):
        rows = np.random.default_rng(number).standard_normal((2, WIDTH)).astype(np.float32)
        np.savez(folder / f"call{number}.npz", x=rows)
        session.run(None, {"x": rows})
    actcache.configure(audit_path="")
    return folder


def exits(folder: Path, names: Iterable[str], count: int, *commands: str, seed: int = 0) -> dict[int, int]:
    """Damage models, run commands on each, and return how often they exited how."""
    program = Path(__file__).with_name("damaged_models.py")
    models = [str(folder / f"{name}.onnx") for name in names]
    arguments = [sys.executable, str(program), str(seed), str(count), *models, "--", *commands]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    *wrong, codes = done.stdout.splitlines() or [""]
    assert done.returncode == 0 and not wrong, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[int, int] = ast.literal_eval(codes)
    return found


def test_looking_at_a_compiled_model(folder: Path) -> None:
    report = f"report {folder}/log.jsonl --model {{model}} -o {folder}/page.html"
    found = exits(folder, ("compiled", "chain", "towers"), 30, "inspect {model}", "diff {sound} {model}", report)
    assert found[0] > 15 and found[2] > 15


def test_calls_of_a_compiled_model(folder: Path) -> None:
    explain = f"explain-miss {{model}} {folder}/call0.npz {folder}/call1.npz"
    warm = f"store warm {{model}} {folder}/call0.npz {folder}/store"
    replay = f"replay {folder}/log.jsonl --model {{model}} --trace {folder}/call0.npz --trace {folder}/call1.npz"
    assert sum(exits(folder, ["compiled"], 6, explain, warm, replay).values()) == 18


def test_a_manifest_that_does_not_name_all_outputs(folder: Path, tmp_path: Path) -> None:
    proto = onnx.load_model(folder / "compiled.onnx", load_external_data=False)
    (manifest,) = [entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY]
    manifest.value = json.dumps({**json.loads(manifest.value), "per_call": {}})
    onnx.save_model(proto, tmp_path / "other.onnx")
    done = run("replay", folder / "log.jsonl", "--model", tmp_path / "other.onnx", "--trace", folder / "call0.npz",
               "--trace", folder / "call1.npz")  # fmt: skip
    refused(done, "other.onnx: it has other outputs than")


def test_compiling(folder: Path) -> None:
    found = exits(folder, ["encoder", "compiled"], 6, "compile {model} --min-saving 0 -o {model}.cached.onnx")
    assert sum(found.values()) == 6
