"""The file in which the keys of a trace come from the process that hashed it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.passes.choice.trace_keys import Place, TraceKeys
from actcache.passes.cuts import TensorShape


def save_keys(path: Path, keys: TraceKeys) -> None:
    """Write the keys of a trace."""
    arrays: dict[str, npt.NDArray[Any]] = {"seconds": keys.seconds}
    for number, parts in enumerate(keys.hashes.values()):
        arrays[f"hashes{number}"] = np.concatenate(parts)
        arrays[f"counts{number}"] = np.array([len(part) for part in parts])
    for number, shapes in enumerate(keys.shapes.values()):
        arrays[f"sizes{number}"] = np.array([size for shape in shapes for size in shape.sizes], np.int64)
        arrays[f"ranks{number}"] = np.array([len(shape.sizes) for shape in shapes])
        arrays[f"dtypes{number}"] = np.array([shape.dtype for shape in shapes])
    for number, masks in enumerate(keys.masks.values()):
        arrays[f"masks{number}"] = np.array(masks, np.uint8)
    np.savez(path, allow_pickle=False, **arrays)


def load_keys(path: Path, places: Sequence[Place]) -> TraceKeys:
    """Read what :func:`save_keys` wrote for these places, in their order."""
    with np.load(path) as arrays:
        hashes = {
            place: _split(arrays[f"hashes{number}"], arrays[f"counts{number}"]) for number, place in enumerate(places)
        }
        shapes = {
            name: [
                TensorShape(tuple(map(int, sizes)), int(dtype))
                for sizes, dtype in zip(
                    _split(arrays[f"sizes{number}"], arrays[f"ranks{number}"]), arrays[f"dtypes{number}"], strict=True
                )
            ]
            for number, name in enumerate(dict.fromkeys(place.tensor for place in places))
        }
        sequences = [place for place in places if place.positions is not None]
        masks = {place: arrays[f"masks{number}"].tolist() for number, place in enumerate(sequences)}
        return TraceKeys(arrays["seconds"], hashes, shapes, masks)


def _split(values: npt.NDArray[Any], counts: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return np.split(values, np.cumsum(counts)[:-1])
