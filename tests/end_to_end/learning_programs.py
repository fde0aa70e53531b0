"""A small model that is worth compiling, programs that run it, and ``actcache run`` around them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from actcache.learn import cache, job

#: Width and number of the layers: some milliseconds for four rows, which is much for a cache and little for a test.
_WIDTH, _LAYERS = 512, 12
_SETTINGS = {"ACTCACHE_AUTO_NICE": "0", "ACTCACHE_AUTO_CALLS": "100000"}
#: Every program begins with this: a session of one thread, and a pool of rows that calls draw from.
HEAD = """
    import os, sys, time
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    random = np.random.default_rng(7)
    pool = random.standard_normal((6, 512)).astype(np.float32)
    def draw(rows=4):
        return pool[random.integers(0, len(pool), rows)]
    def learnt(session, seconds=120):
        end = time.monotonic() + seconds
        while session._learner.ready is None and session._learner.reason is None and time.monotonic() < end:
            time.sleep(0.05)
        return session._learner.ready is not None
"""


#: Makes calls, keeps their outputs, and tells which model it ended with.
CALLS = """
    session = ort.InferenceSession({model}, options)
    outputs = [session.run(None, {{"x": draw()}})[0] for _ in range(24)]
    np.save("outputs.npy", np.concatenate(outputs))
    learner = getattr(session, "_learner", None)
    print("compiled" if learner is not None and learner.ready else "original")
"""


def write_model(path: Path, *, seed: int = 0, width: int = _WIDTH, external: bool = False) -> Path:
    """Write a chain of dense layers, ``x: [N, width]`` to ``y: [N, width]``."""
    nodes, weights = _chain("x", "y", seed, width, _LAYERS)
    return _write(path, ["x"], nodes, weights, width, external)


def write_two_chains(path: Path) -> Path:
    """Write a model whose output is the sum of two chains, one of ``a``, the other of ``b``: ``[N, width]`` each."""
    one, other = _chain("a", "p", 0, _WIDTH, _LAYERS), _chain("b", "q", 1, _WIDTH, _LAYERS)
    nodes = [*one[0], *other[0], helper.make_node("Add", ["p", "q"], ["y"])]
    return _write(path, ["a", "b"], nodes, [*one[1], *other[1]], _WIDTH, False)


def _chain(start: str, end: str, seed: int, width: int, layers: int) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    random = np.random.default_rng(seed)
    nodes, weights, name = [], [], start
    for layer in range(layers):
        weight = (random.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{layer}{end}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}{end}"], [f"m{layer}{end}"]))
        name = end if layer == layers - 1 else f"t{layer}{end}"
        nodes.append(helper.make_node("Tanh", [f"m{layer}{end}"], [name]))
    return nodes, weights


def _write(
    path: Path,
    inputs: list[str],
    nodes: list[onnx.NodeProto],
    weights: list[TensorProto],
    width: int,
    external: bool,
) -> Path:
    given, got = ([helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", width]) for n in v] for v in (inputs, "y"))
    graph = helper.make_graph(nodes, "chain", given, got, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data" if external else None)
    return path


def environment(cache_folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a program: this source tree, a cache folder of its own, no niceness, and no compiling
    process unless the test asks for one.
    """
    root = str(Path(__file__).resolve().parents[2])
    left = {k: v for k, v in os.environ.items() if not k.startswith("ACTCACHE_") or k == "ACTCACHE_LIBRARY"}
    return {**left, "PYTHONPATH": root, "ACTCACHE_CACHE_DIR": str(cache_folder), **_SETTINGS, **more}


def run(
    text: str,
    *arguments: object,
    folder: Path,
    wrapped: bool = True,
    options: tuple[str, ...] = (),
    input: str = "",
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program, under ``actcache run`` unless it is to be plain."""
    file = folder / "program.py"
    file.write_text(textwrap.dedent(HEAD) + textwrap.dedent(text))
    wrapper = [sys.executable, "-m", "actcache", "run", *options, "--"] if wrapped else []
    return subprocess.run(
        [*wrapper, sys.executable, str(file), *map(str, arguments)],
        env=environment(folder / "cache", **more),
        cwd=folder,
        input=input,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def look(folder: Path) -> dict[str, Any]:
    """Do what the compiling process does, at all places of a cache folder, and return the record of the only model."""
    root = folder / "cache"
    for place in sorted((root / "places").iterdir()):
        job.run(root, place.name)
    return record(folder)


def learn(folder: Path, run_first: Callable[[], None], is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Have a program's calls compiled, and return the record of the only model.

    What a busy machine measures may speak against the compiled model, or for another one, so there are three tries.

    Args:
        folder: Where the program runs.
        run_first: Runs it, with no cache folder.
        is_wanted: Whether a compiled model is the wanted one, by its record.
    """
    for _ in range(3):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        run_first()
        found = look(folder)
        if found["state"] == "compiled" and is_wanted(found):
            break
    return found


def record(folder: Path) -> dict[str, Any]:
    """Return the record of the only model of a cache folder."""
    (file,) = (folder / "cache" / "models").glob("*/record.json")
    found = cache.read_json(file)
    assert found is not None
    return found


def saved(folder: Path) -> dict[str, float]:
    """Return what the only model of a cache folder saved."""
    (file,) = (folder / "cache" / "models").glob("*/saved.json")
    return dict(json.loads(file.read_text()))


def copy_learnt(folder: Path, target: Path) -> Path:
    """Give a test a copy of what was learnt. Models are links, so that their paths and times are the known ones."""
    for file in folder.iterdir():
        if file.suffix != ".py" and file.is_file():
            (target / file.name).symlink_to(file)
    shutil.copytree(folder / "cache", target / "cache", copy_function=shutil.copy2)
    return target
