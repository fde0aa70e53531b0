"""Comparing results of two models: tensors, and sequences and maps of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from actcache.base.tolerance import is_float, scale_of, type_tolerance


def identical(a: Any, b: Any) -> bool:
    """Whether two results are equal in type, shape and every bit."""
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(identical, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(identical(a[k], b[k]) for k in a)
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return bool(a == b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool((a == b).all()) if a.dtype.kind == "O" else a.tobytes() == b.tobytes()


def error_of(mine: Any, original: Any, tolerance: float | None) -> tuple[float, float, float]:
    """Return the largest difference, what it is relative to, and the relative difference that is accepted.

    Args:
        mine: A result of the compiled model.
        original: The original's. The difference is infinite where the two are not comparable.
        tolerance: What is accepted; None: by type.
    """
    if isinstance(mine, (list, tuple, dict)):
        return _parts_error(dict(_leaves(mine)), dict(_leaves(original)), tolerance)
    if not isinstance(mine, np.ndarray) or not isinstance(original, np.ndarray):
        return float("inf"), 1.0, 0.0
    accepted = type_tolerance(original.dtype) if tolerance is None else tolerance
    if mine.dtype != original.dtype or mine.shape != original.shape or not _is_number(mine.dtype):
        return float("inf"), 1.0, accepted
    wide = np.complex128 if mine.dtype.kind == "c" else np.float64
    a, b = mine.astype(wide), original.astype(wide)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    largest = float(difference.max(initial=0.0))
    return (float("inf") if np.isnan(difference).any() else largest), scale_of(b), accepted


def _is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind not in "OUSV" or is_float(dtype)


def _parts_error(
    mine: Mapping[tuple[Any, ...], Any], original: Mapping[tuple[Any, ...], Any], tolerance: float | None
) -> tuple[float, float, float]:
    """As :func:`error_of`, of the parts of a sequence or map: relative to the largest magnitude in any of them."""
    if mine.keys() != original.keys():
        return float("inf"), 1.0, 0.0
    found = [(0.0, 1.0, 0.0)]
    for key, part in mine.items():
        one, two = np.asarray(part), np.asarray(original[key])
        if one.dtype.kind not in "OUSV" or not identical(one.astype(object), two.astype(object)):
            found.append(error_of(one, two, tolerance))
    error, scale, accepted = (max(values) for values in zip(*found, strict=True))
    return error, scale, accepted


def _leaves(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield the parts of a sequence or map at any depth, each with its place; a value that is neither stands alone."""
    if isinstance(value, (list, tuple, dict)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            for place, leaf in _leaves(part):
                yield (key, *place), leaf
    else:
        yield (), value
