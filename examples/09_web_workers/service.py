"""A service whose workers share a disk store: ``ENCODER=encoder.cached.onnx uvicorn service:app --workers 4``.

Nothing here says so: the store is named in the environment (``ACTCACHE_DISK_PATH``), which all workers have.
"""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel

import actcache

options = ort.SessionOptions()
options.intra_op_num_threads = 1
encoder = actcache.InferenceSession(os.environ["ENCODER"], options)
app = FastAPI()


class Batch(BaseModel):
    """Rows to encode."""

    rows: list[list[float]]


class Answer(BaseModel):
    """The encoded rows, and what the worker that answered has done so far."""

    rows: list[list[float]]
    worker: int
    computed: int
    found_in_memory: int
    found_on_disk: int


@app.post("/encode")
def encode(batch: Batch) -> Answer:
    """Encode rows; FastAPI calls this from several threads."""
    (encoded,) = encoder.run(None, {"x": np.asarray(batch.rows, np.float32)})
    (region,) = actcache.stats()["regions"].values()
    return Answer(
        rows=encoded.tolist(),
        worker=os.getpid(),
        computed=region["misses"] + region["bypassed"],
        found_in_memory=region["hits"] - region["disk_hits"],
        found_on_disk=region["disk_hits"],
    )
