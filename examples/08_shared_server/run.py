"""Two machines that share a Valkey or Redis server, played by two processes: ``python run.py redis://localhost:6379``.

The first one computes every row. The second one starts with nothing in memory, and finds all of them on the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

import actcache

LAYERS, WIDTH = 24, 768


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


def serve(model: str) -> None:
    """What each machine does: the server is named in the environment, and nothing else has to change."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = actcache.InferenceSession(model, options)
    rows = np.random.default_rng(1).standard_normal((16, WIDTH)).astype(np.float32)
    for first in range(0, len(rows), 4):
        session.run(None, {"x": rows[first : first + 4]})
    actcache.flush(10)  # a service that goes on need not do that
    (region,) = actcache.stats()["regions"].values()
    print(f"rows computed: {region['misses']}, found on the server: {region['remote_hits']}")


def main(address: str) -> None:
    """Runs both machines, one after the other."""
    secret = os.environ.get("ACTCACHE_REMOTE_SECRET", "what all our machines have in common")
    environment = {**os.environ, "ACTCACHE_REMOTE_URL": address, "ACTCACHE_REMOTE_SECRET": secret}
    with tempfile.TemporaryDirectory() as folder:
        model = compile_model(Path(folder))
        for name in ("first", "second"):
            print(f"{name} machine: ", end="", flush=True)
            subprocess.run([sys.executable, __file__, "serve", str(model)], env=environment, check=True)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "serve":
        serve(sys.argv[2])
    elif len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        sys.exit("usage: python run.py redis://localhost:6379")
