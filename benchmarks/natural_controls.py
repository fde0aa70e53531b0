"""Controls, where nothing repeats: a moving picture, and cells of pages as a scanner would give them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.natural_play import Natural, Played
from models import Feed
from models.drawing import photograph
from models.fetch import fetch
from models.workloads import WORKLOADS

_SIDE, _SCENE = 224, 320
_MEAN = np.array([104, 117, 123], np.float32)


def frames() -> Iterator[NDArray[np.uint8]]:
    """A camera that pans over a drawn scene, with a sensor's noise in every frame; uint8 [224, 224, 3], without end."""
    random = np.random.default_rng(0)
    scene = photograph(random, _SCENE, _SCENE).astype(np.float32)
    number = 0
    while True:
        turn = number / 40
        top, left = (round((_SCENE - _SIDE) / 2 * (1 + wave)) for wave in (np.sin(turn), np.cos(0.7 * turn)))
        seen = scene[top : top + _SIDE, left : left + _SIDE]
        yield np.clip(seen + random.normal(0, 2, seen.shape), 0, 255).astype(np.uint8)
        number += 1


def scanned(count: int) -> Iterator[Feed]:
    """Cells of the drawn table pages, one a call, with a scanner's noise in every pixel: no two are equal."""
    random = np.random.default_rng(0)
    for batch in WORKLOADS["table-cells"].batches(count, 1):
        noise = random.normal(0, 0.03, batch["x"].shape).astype(np.float32)
        yield {"x": np.clip(batch["x"] + noise, -1, 1)}


def _video(_: Path, quick: bool) -> Played:
    count = 18 if quick else 260
    calls = [{"input:0": frame.astype(np.float32)[None] - _MEAN} for frame in islice(frames(), count)]
    return Played(fetch("open_nsfw_resnet"), calls, count // 3)


def _scans(_: Path, quick: bool) -> Played:
    calls = list(scanned(12 if quick else 180))
    return Played(fetch("rapidocr_rec_v6s"), calls, len(calls) // 3)


VIDEO = Natural(
    "video", "frames of a moving picture", "A camera pans over a drawn scene; every frame has noise.", _video, True
)
SCANS = Natural(
    "scans", "cells of scanned pages", "The cells of the drawn table pages, with noise in every pixel.", _scans, True
)
