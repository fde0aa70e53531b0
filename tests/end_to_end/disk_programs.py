"""A compiled model that is worth a disk, and programs that use it in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser

import actcache

#: Computing a row takes milliseconds, fetching one far less, on a loaded machine too.
LAYERS = 24
SIZE = 768

#: `run(numbers)` runs the rows of these numbers; `counts(names)` are counters of the one region; `tier(name)` is one
#: of the disk tier's.
PRELUDE = f"""
import json, os, signal, sys, threading, time
import numpy as np
import onnxruntime as ort
import actcache

def rows(numbers):
    return np.stack([np.random.default_rng(n).standard_normal({SIZE}) for n in numbers]).astype(np.float32)

def session(path=sys.argv[1], **entries):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    for name, value in entries.items():
        options.add_session_config_entry("actcache." + name, value)
    return actcache.InferenceSession(path, options)

def run(model, numbers):
    return model.run(None, {{"x": rows(numbers)}})[0]

def counts(*names):
    (region,) = actcache.stats()["regions"].values()
    return [region[name] for name in names]

def tier(name):
    return actcache.stats()["tiers"]["disk"][name]
"""


def compiled(folder: Path) -> Path:
    """Compile the model into `folder`."""
    nodes = "".join(f"m{i} = MatMul(t{i}, w) t{i + 1} = Tanh(m{i}) " for i in range(LAYERS))
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
      g (float[N, {SIZE}] x) => (float[N, {SIZE}] y) {{ t0 = Identity(x) {nodes} y = Identity(t{LAYERS}) }}"""
    proto = onnx.parser.parse_model(text)
    weight = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(np.float32) / 28
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(proto, folder / "m.onnx")
    return actcache.compile_model(folder / "m.onnx", min_saving=0).output


def start(model: Path, code: str, **environment: str) -> subprocess.Popen[str]:
    """Start `code` behind the prelude in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(model)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Any:
    """Wait for the program, and return what its last line says in JSON."""
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(out.strip().splitlines()[-1])


def play(model: Path, code: str, **environment: str) -> Any:
    """Run `code` and return what its last line says in JSON."""
    return finish(start(model, code, **environment))
