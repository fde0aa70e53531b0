"""How far an output of a compiled model may be from the original's: by its type, or by the original's own spread.

| element type | accepted difference, relative to the largest magnitude in the output (or to 1, if that is larger) |
|---|---|
| float64, float32, complex | 1e-4: onnxruntime's own results move by up to 1.2e-5 with the number of rows in a batch |
| float16 | four steps of the type, 2^-8 (3.9e-3) |
| bfloat16 | four steps, 2^-5 (3.1e-2) |
| float8 | one step: 2^-3 (e4m3), 2^-2 (e5m2) |
| integers, bool, strings | none: they are equal |

An original whose own results vary by more (a quantised model, say) is the judge of what a difference means: see
:class:`Spread`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

#: What is accepted of types that are finer.
FINEST = 1e-4
_BY_NAME = {"float16": 2.0**-8, "bfloat16": 2.0**-5}
_FLOAT8 = {"float8_e4m3": 2.0**-3, "float8_e5m2": 2.0**-2}

#: A difference of no more than this many times the original's own spread is accepted.
SPREAD_MULTIPLE = 2.0
#: Mixing rows up shows as a spread over batch sizes. Of that, no more than this many tolerances count.
BATCH_SPREAD_LIMIT = 10.0


def type_tolerance(dtype: npt.DTypeLike) -> float:
    """Return the relative difference that is accepted of outputs of a type."""
    found = np.dtype(dtype)
    if found.name in _BY_NAME:
        return _BY_NAME[found.name]
    for start, step in _FLOAT8.items():
        if found.name.startswith(start):
            return step
    return FINEST if found.kind in "fc" else 0.0


def is_float(dtype: npt.DTypeLike) -> bool:
    """Whether a type is one of numbers with rounding."""
    return type_tolerance(dtype) > 0


def scale_of(values: npt.NDArray[Any]) -> float:
    """Return what a difference is relative to: the largest finite magnitude, or 1."""
    finite = np.abs(values[np.isfinite(values)])
    return max(1.0, float(finite.max(initial=0.0)))


@dataclass(frozen=True)
class Spread:
    """How far the original's results are from each other on the same rows, per output; largest absolute differences.

    Attributes:
        runtime: Between its graph optimiser on and off, and between one thread and two.
        batch: Between a batch and its rows one at a time, and its halves.
    """

    runtime: Sequence[float] = ()
    batch: Sequence[float] = ()

    def accepts(self, output: int, tolerance_limit: float) -> float:
        """Return the difference that the spread of an output excuses.

        Args:
            output: Its position.
            tolerance_limit: The difference that its tolerance accepts.
        """
        runtime = self.runtime[output] if output < len(self.runtime) else 0.0
        batch = self.batch[output] if output < len(self.batch) else 0.0
        return SPREAD_MULTIPLE * max(runtime, min(batch, BATCH_SPREAD_LIMIT * tolerance_limit))


@dataclass
class OutputDifference:
    """The largest difference of one output to the original's, over all cases.

    Attributes:
        output: Its position.
        case: Where the difference was largest.
        error: That difference.
        scale: What it is relative to.
        tolerance: The relative difference that is accepted.
        spread: The difference that the original's own spread excuses; None: it was not needed.
    """

    output: int
    case: str
    error: float
    scale: float
    tolerance: float
    spread: float | None = None

    @property
    def limit(self) -> float:
        """The difference that is accepted."""
        return max(self.tolerance * self.scale, self.spread or 0.0)

    @property
    def judged_by(self) -> str:
        """What decided: ``tolerance``, or ``spread`` where that is needed to accept it."""
        return "tolerance" if self.error <= self.tolerance * self.scale or self.spread is None else "spread"

    def to_json(self) -> dict[str, Any]:
        """Return the difference as it stands in ``--json`` output."""
        return {
            "output": self.output,
            "case": self.case,
            "max_abs_error": self.error,
            "relative_error": self.error / self.scale,
            "scale": self.scale,
            "tolerance": self.tolerance,
            "spread": self.spread,
            "judged_by": self.judged_by,
        }

    def __str__(self) -> str:
        accepted = f"{self.tolerance * self.scale:.3g} (--tolerance {self.tolerance:g})"
        text = f"{self.case}: output {self.output} differs by {self.error:.3g}, more than {accepted}"
        if self.spread is None:
            return text
        return f"{text} and more than {SPREAD_MULTIPLE:g} times the original's own spread accepts ({self.spread:.3g})"


@dataclass
class Differences:
    """The largest differences of all outputs."""

    by_output: dict[int, OutputDifference] = field(default_factory=dict)

    def add(self, found: OutputDifference) -> None:
        """Take a difference in; what stays is, per output, the one that is furthest beyond its limit."""
        known = self.by_output.get(found.output)
        if known is None or _excess(found) > _excess(known):
            self.by_output[found.output] = found

    def judge(self, spread: Spread) -> None:
        """Give every output beyond its tolerance what the original's spread excuses."""
        for found in self.by_output.values():
            if found.error > found.tolerance * found.scale:
                found.spread = spread.accepts(found.output, found.tolerance * found.scale)

    def failure(self) -> str | None:
        """Return what is beyond its limit, or None."""
        beyond = [found for found in self.by_output.values() if not found.error <= found.limit]
        return str(beyond[0]) if beyond else None


def accepted_by_spread(outputs: Sequence[Mapping[str, Any]], stated: float | None) -> float | None:
    """Return the one relative difference that judges a model from now on; None: the tolerances of the types do.

    Args:
        outputs: What verification found (:meth:`OutputDifference.to_json`).
        stated: The tolerance that the user gave, which goes first.
    """
    if stated is not None:
        return stated
    judged = [found for found in outputs if found["judged_by"] == "spread"]
    return max((found["spread"] / found["scale"] for found in judged), default=None)


def _excess(found: OutputDifference) -> float:
    return found.error - found.limit if np.isfinite(found.error) else float("inf")
