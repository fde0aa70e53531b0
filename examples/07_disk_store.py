"""Results that outlive a process: the second one starts with everything that the first one computed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from small_models import text_encoder

import actcache


def serve(model: str) -> None:
    """What each process does. The store is named in the environment."""
    session = actcache.InferenceSession(model)
    for first in range(0, 64, 8):
        session.run(None, {"ids": np.arange(first * 16, (first + 8) * 16).reshape(8, 16) % 1000})
    (region,) = actcache.stats()["regions"].values()
    print(f"computed {region['misses']} rows, found {region['disk_hits']} on disk")


def main() -> None:
    """Runs two processes, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        model = text_encoder(Path(folder) / "encoder.onnx", layers=24)
        sample = {"ids": np.ones((8, 16), np.int64)}
        compiled = actcache.compile_model(model, samples=[sample], min_saving=0)
        environment = {**os.environ, "ACTCACHE_DISK_PATH": str(Path(folder) / "store"), "ACTCACHE_BYPASS": "off"}
        for _ in range(2):
            subprocess.run([sys.executable, __file__, str(compiled.output)], env=environment, check=True)


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) == 2 else main()
