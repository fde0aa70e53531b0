"""Cache folders of ``actcache run`` as programs and the compiling process would have left them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from actcache.learn import cache
from actcache.learn.chunks import chunk_name

REGION = {"id": "encoder", "frontier": ["x"], "live_outs": ["y"], "fingerprint": "f" * 64}


def add_model(root: Path, key: str, *, used: float, size: int = 1000, source: str = "", **told: Any) -> Path:
    """Add a compiled model that was last used at a time, and a place that leads to it."""
    folder = cache.make_folder(cache.model_folder(root, key))
    (cache.make_folder(folder / "compiled-1") / "model.cached.onnx").write_bytes(bytes(size))
    np.savez(cache.make_folder(folder / "calls") / "one.npz", x=np.zeros(2))
    content = {
        "state": "compiled",
        "reason": None,
        "sources": [source or f"/models/{key}.onnx"],
        "folder": "compiled-1",
        "model": "model.cached.onnx",
        "ratio": 0.4,
        "reuse": {"encoder": 0.75},
        "regions": [REGION],
        "attempts": 1,
        "processor_seconds": 11.46,
        "attempted": used,
        "around": {"onnxruntime": "1.32.0", "actcache": "0.1.0", "machine": "x86_64-1", "options": {"a": "b"}},
    }
    cache.write_json(folder / "record.json", {**content, **told})
    place = cache.make_folder(cache.place_folder(root, f"place-of-{key}"))
    cache.write_json(place / "answer.json", {"key": key})
    os.utime(folder, (used, used))
    return folder


def add_session_left_alone(root: Path, name: str, reason: str) -> None:
    """Add a place whose sessions stay with the original."""
    place = cache.make_folder(cache.place_folder(root, name))
    cache.write_json(place / "request.json", {"source": f"/models/{name}.onnx", "refused": reason})


def add_still_learning(root: Path, name: str, *chunks: int, asked: bool = True) -> None:
    """Add a place without an answer, with so many calls in each of its chunks."""
    place = cache.make_folder(cache.place_folder(root, name))
    if asked:
        cache.write_json(place / "request.json", {"source": f"/models/{name}.onnx", "refused": None})
    for number, calls in enumerate(chunks):
        (cache.make_folder(place / "calls") / chunk_name(number, calls, 0.25)).touch()
