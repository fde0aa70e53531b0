"""How far the original's own results are apart where they should be equal.

The same rows are run with the graph optimiser on and off, on one thread and two, and in batches of other sizes. What an
original does not hold to itself cannot be asked of the compiled model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.base.tolerance import Spread

Array = npt.NDArray[Any]
Feed = dict[str, Array]
Run = Callable[[Feed], list[Any]]
#: Opens the original: with its graph optimiser or without, on so many threads (0: as usual).
Open = Callable[[bool, int], Run]

_VARIANTS = ((False, 0), (True, 1), (True, 2))
#: Rows that are run one at a time.
_SINGLE_ROWS = 4


def measure_spread(opened: Open, samples: Sequence[Feed], batches: Sequence[Mapping[str, int]]) -> Spread:
    """Measure the spread of a model.

    Args:
        opened: Loads the model; one at a time is in use.
        samples: Inputs for single calls.
        batches: Ways to cut the inputs into rows, each input name to its row axis.
    """
    usual = opened(True, 0)
    expected = [usual(sample) for sample in samples]
    batch = [0.0] * len(expected[0])
    for sample, whole in zip(samples, expected, strict=True):
        for axes in batches:
            for rows, part in _parts(usual, sample, axes):
                _widen(batch, (_apart(one, two, rows) for one, two in zip(part, whole, strict=True)))
    del usual
    runtime = [0.0] * len(batch)
    for optimised, threads in _VARIANTS:
        run = opened(optimised, threads)
        for sample, whole in zip(samples, expected, strict=True):
            _widen(runtime, (_difference(one, two) for one, two in zip(run(sample), whole, strict=True)))
        del run
    return Spread(tuple(runtime), tuple(batch))


def _parts(run: Run, sample: Feed, axes: Mapping[str, int]) -> Iterator[tuple[tuple[int, int, int], list[Any]]]:
    """Yield some rows of a sample (first, end, of how many) with what the model makes of them alone."""
    given = {name: axis for name, axis in axes.items() if name in sample}
    counts = {int(sample[name].shape[axis]) for name, axis in given.items()}
    if len(counts) != 1 or (count := counts.pop()) < 2:
        return
    half = (count + 1) // 2
    for first, end in [*((i, i + 1) for i in range(min(count, _SINGLE_ROWS))), (0, half), (half, count)]:
        feed = {n: np.take(a, np.arange(first, end), given[n]) if n in given else a for n, a in sample.items()}
        try:
            yield (first, end, count), run(feed)
        except Exception:  # whatever the runtime raises: such rows make no call of their own
            continue


def _apart(part: Any, whole: Any, rows: tuple[int, int, int]) -> float:
    """Return how far rows are from the same rows of a batch; 0 where no axis tells the rows."""
    first, end, count = rows
    if not isinstance(part, np.ndarray) or not isinstance(whole, np.ndarray) or part.ndim != whole.ndim:
        return 0.0
    axes = [axis for axis, (a, b) in enumerate(zip(part.shape, whole.shape, strict=True)) if a != b]
    if len(axes) != 1 or part.shape[axes[0]] * count != whole.shape[axes[0]] * (end - first):
        return 0.0
    block = whole.shape[axes[0]] // count
    return _difference(part, np.take(whole, np.arange(first * block, end * block), axes[0]))


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
