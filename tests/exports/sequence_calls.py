"""An exported decoder compiled with prefixes: calls that begin alike, held to the original in onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

import actcache
from tests.conformance.causal.sketches import Sketch
from tests.conformance.causal.truth import cut, feed

Feed = dict[str, npt.NDArray[Any]]
#: Largest difference, relative to the largest value: of a few positions onnxruntime's kernels differ by this from many.
TOLERANCE = 2e-4
_MOST = 14


def calls(sketch: Sketch) -> Iterator[Feed]:
    """Yield calls: a text, the same again, longer, with another end, shorter, of other rows, with padding."""
    whole, other = feed(sketch, _MOST, seed=2), feed(sketch, _MOST, seed=3)
    for made in (whole, other):
        made |= {name: np.ones_like(array) for name, array in made.items() if "mask" in name}
    for count in (6, 6, 7, 8, 12):
        yield cut(whole, sketch, 0, count)
    for shared in (9, 5):
        yield {
            name: np.concatenate([array[:, :shared], cut(other, sketch, shared, None)[name]], 1)
            if name in sketch.positions
            else array
            for name, array in whole.items()
        }
    yield cut(whole, sketch, 0, 4)
    yield cut(other, sketch, 0, 8)
    padded = {name: array.copy() for name, array in cut(whole, sketch, 0, 10).items()}
    for name, array in padded.items():
        if "mask" in name and name in sketch.positions:
            array[0, -3:] = 0
    yield padded
    yield cut(whole, sketch, 0, _MOST)


def compiled(path: Path, sketch: Sketch, folder: Path) -> list[str]:
    """Compile, make the calls with the original and with the result, and return what is wrong."""
    given = list(calls(sketch))
    target = folder / f"{path.stem}.cached.onnx"
    try:
        result = actcache.compile_model(path, target, samples=given[:1], granularity="prefix", min_saving=0)
    except actcache.NothingToCache as nothing:
        return [f"not compiled: {nothing}"]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    plain = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    cached = actcache.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
    for number, each in enumerate(given):
        for value, mine, right in zip(plain.get_outputs(), cached.run(None, each), plain.run(None, each), strict=True):
            if not _agree(mine, right):
                return [f"wrong: '{value.name}' of call {number + 1} is not what the original gives"]
    counts = actcache.stats()["regions"]
    hits = sum(counts[region.candidate.region.id]["hits"] for region in result.regions)
    return [] if hits else ["nothing was found again"]


def _agree(mine: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    scale = max(1.0, float(np.abs(np.nan_to_num(right)).max(initial=0)))
    return mine.shape == right.shape and np.allclose(mine, right, rtol=0, atol=TOLERANCE * scale, equal_nan=True)
