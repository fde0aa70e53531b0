"""Four uvicorn workers on one disk store: ``python run.py``.

Each row is asked for twice. Whichever worker gets the second request, the row is not computed again. Then the service
is restarted, and computes nothing at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser

import actcache

LAYERS, WIDTH = 24, 768
WORKERS, ROWS = 4, 32
DONE = ("computed", "found_in_memory", "found_on_disk")


def compile_model(folder: Path) -> Path:
    """A stack of matrix products, which takes milliseconds a row, compiled with its caches."""
    layers = "".join(f"m{i} = MatMul(t{i}, w) t{i + 1} = Tanh(m{i}) " for i in range(LAYERS))
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> encoder (float[N, {WIDTH}] x) => (float[N, {WIDTH}] y)
            {{ t0 = Identity(x) {layers} y = Identity(t{LAYERS}) }}"""
    )
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32) / 28
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, folder / "encoder.onnx")
    return actcache.compile_model(folder / "encoder.onnx", min_saving=0).output


@contextmanager
def service(model: Path, folder: Path) -> Iterator[str]:
    """The service on a free port; yields its address."""
    log = folder / "log"
    command = [sys.executable, "-m", "uvicorn", "service:app", "--workers", str(WORKERS), "--port", "0"]
    environment = {**os.environ, "ENCODER": str(model), "ACTCACHE_DISK_PATH": str(folder / "store")}
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=Path(__file__).parent, env=environment, stderr=out, stdout=out)
    try:
        while log.read_text().count("Application startup complete") < WORKERS:
            if process.poll() is not None:
                sys.exit(f"the service does not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield next(word for word in log.read_text().split() if word.startswith("http://"))
    finally:
        process.terminate()
        process.wait()


def ask(address: str, row: np.ndarray) -> dict[str, Any]:
    """One request on a connection of its own, so that any worker may get it."""
    body = json.dumps({"rows": [row.tolist()]}).encode()
    request = urllib.request.Request(f"{address}/encode", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def play(address: str, rows: np.ndarray, times: int) -> dict[str, int]:
    """Asks for all rows, `times` times; returns what all workers together have done."""
    latest: dict[int, dict[str, int]] = {}  # by worker
    expected: list[Any] = []
    with ThreadPoolExecutor(WORKERS) as clients:
        for _ in range(times):
            answers = list(clients.map(lambda row: ask(address, row), rows))
            expected = expected or [answer["rows"] for answer in answers]
            assert [answer["rows"] for answer in answers] == expected, (
                "a row that was found differs from the computed one"
            )
            for answer in answers:
                done = {name: answer[name] for name in DONE}
                before = latest.get(answer["worker"], done)
                latest[answer["worker"]] = max(before, done, key=lambda one: sum(one.values()))
            time.sleep(0.5)  # workers write what they computed a moment later
    return {"workers": len(latest), **{name: sum(done[name] for done in latest.values()) for name in DONE}}


def main() -> None:
    """Runs the service twice on one store."""
    rows = np.random.default_rng(1).standard_normal((ROWS, WIDTH)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = compile_model(folder)
        for start, times in (("first", 2), ("second", 1)):
            with service(model, folder) as address:
                done = play(address, rows, times)
            print(f"{start} start:", ", ".join(f"{key.replace('_', ' ')}: {count}" for key, count in done.items()))


if __name__ == "__main__":
    main()
