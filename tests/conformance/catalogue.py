"""The real models of the catalogue, on a few rows of the inputs they were made for, and in two sizes."""

from __future__ import annotations

from typing import Any

import onnx

from models import MODELS, feed
from models.fetch import fetch
from tests.conformance.subject import Subject

#: Rows of the two calls.
ROWS = (3, 4)
#: Tokens or pixels of the first call and of the second: small, since every value is kept as an output.
SIZES = {"tokens": (12, 17), "pixels": (96, 128)}


def names() -> list[str]:
    """Names of all subjects: those of the catalogue."""
    return sorted(MODELS)


def make(name: str) -> Subject:
    """Make the subject of this name; the model is fetched if it is not in models/cache."""
    unit = MODELS[name].size_unit
    sizes: list[dict[str, Any]] = [{"size": size} for size in SIZES[unit]] if unit else [{}, {}]
    feeds = [feed(name, rows, seed=seed, **size) for seed, (rows, size) in enumerate(zip(ROWS, sizes, strict=True))]
    return Subject(name, onnx.load_model(str(fetch(name))), feeds)
