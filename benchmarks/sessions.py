"""Original and compiled sessions for a benchmark, in plain onnxruntime with two threads."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import onnxruntime as ort

import actcache
from models import Feed, feed
from models.fetch import fetch

THREADS = 2


@dataclass(frozen=True)
class Workload:
    """A model with the batch it is measured at.

    Attributes:
        model: Name in the catalogue.
        rows: Size of the batch.
        size: Length of a sequence or side of an image; None: the model's own.
    """

    model: str
    rows: int
    size: int | None = None

    def feed(self, rows: int, seed: int) -> Feed:
        """Rows that no other seed gives."""
        return feed(self.model, rows, seed=seed, size=self.size)

    @property
    def title(self) -> str:
        """How tables name it."""
        return f"{self.model}, batch {self.rows}" + (f" × {self.size}" if self.size else "")


IMAGES = Workload("open_nsfw_resnet", 8)
TEXTS = Workload("paraphrase_minilm_l3", 16, 64)


@lru_cache(maxsize=1)
def folder() -> Path:
    """A folder for compiled models, gone with the process."""
    holder = tempfile.TemporaryDirectory(prefix="actcache-benchmarks-")
    _HOLDERS.append(holder)
    return Path(holder.name)


_HOLDERS: list[tempfile.TemporaryDirectory[str]] = []


@cache
def compiled_path(workload: Workload) -> Path:
    """Compile the workload's model, without verification (the tests do that)."""
    target = folder() / f"{workload.model}.cached.onnx"
    sample = {name: np.asarray(array) for name, array in workload.feed(workload.rows, seed=0).items()}
    actcache.compile_model(fetch(workload.model), target, samples=[sample], verify=False)
    return target


def session(path: Path, *, compiled: bool) -> ort.InferenceSession:
    """Load a model in plain onnxruntime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    # Two sessions take turns here: a pool that still spins after its call would take a core from the other's.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if compiled:
        options.register_custom_ops_library(actcache.library_path())
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
