"""How far the original's own results are apart where they should be equal.

The same inputs are run with the graph optimiser on and off, on one thread and two, and in parts. What an
original does not hold to itself cannot be asked of the compiled model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.base.tolerance import Spread
from actcache.passes.cuts.case import Division, Part

Array = npt.NDArray[Any]
Feed = dict[str, Array]
Run = Callable[[Feed], list[Any]]
#: Opens the original: with its graph optimiser or without, on so many threads (0: as usual).
Open = Callable[[bool, int], Run]

_VARIANTS = ((False, 0), (True, 1), (True, 2))


def measure_spread(opened: Open, samples: Sequence[Feed], divisions: Sequence[Division]) -> Spread:
    """Measure the spread of a model.

    Args:
        opened: Loads the model; one at a time is in use.
        samples: Inputs for single calls.
        divisions: How the inputs are divided into units.
    """
    usual = opened(True, 0)
    expected = [usual(sample) for sample in samples]
    batch = [0.0] * len(expected[0])
    for sample, whole in zip(samples, expected, strict=True):
        for part in (part for division in divisions for part in division.parts(sample)):
            try:
                found = usual(part.feed)
            except Exception:  # whatever the runtime raises: such units make no call of their own
                continue
            _widen(batch, (_apart(one, two, part) for one, two in zip(found, whole, strict=True)))
    del usual
    runtime = [0.0] * len(batch)
    for optimised, threads in _VARIANTS:
        run = opened(optimised, threads)
        for sample, whole in zip(samples, expected, strict=True):
            _widen(runtime, (_difference(one, two) for one, two in zip(run(sample), whole, strict=True)))
        del run
    return Spread(tuple(runtime), tuple(batch))


def _apart(found: Any, whole: Any, part: Part) -> float:
    """Return how far units are from the same units of a larger call; 0 where no axis tells the units."""
    if not isinstance(found, np.ndarray) or not isinstance(whole, np.ndarray) or found.ndim != whole.ndim:
        return 0.0
    axes = [axis for axis, (a, b) in enumerate(zip(found.shape, whole.shape, strict=True)) if a != b]
    if len(axes) != 1 or found.shape[axes[0]] * part.count != whole.shape[axes[0]] * (part.end - part.first):
        return 0.0
    block = whole.shape[axes[0]] // part.count
    return _difference(found, np.take(whole, np.arange(part.first * block, part.end * block), axes[0]))


def _difference(one: Any, two: Any) -> float:
    if not isinstance(one, np.ndarray) or not isinstance(two, np.ndarray) or one.shape != two.shape:
        return 0.0
    if one.dtype != two.dtype or one.dtype.kind in "OUSM":
        return 0.0
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(wide) - two.astype(wide))
    return float(apart[np.isfinite(apart)].max(initial=0.0))


def _widen(spread: list[float], found: Iterator[float]) -> None:
    for position, apart in enumerate(found):
        spread[position] = max(spread[position], apart)
