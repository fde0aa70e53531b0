"""Verification: the compiled model against the original, on samples, in every state that a cache can be in.

Per sample: cold, warm (bit-equal to cold), and for row regions also permuted, partly warm, with equal rows, and one row
alone. The original answers first and is released before the compiled model is loaded, so that both never take memory at
the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.base.tolerance import Differences, OutputDifference, Spread
from actcache.verification.comparison import error_of, identical

Array = npt.NDArray[np.generic]
Feed = dict[str, Any]  # arrays; lists and dicts of them for sequences and maps
Run = Callable[[Feed], list[Any]]


@dataclass
class VerifyReport:
    """What verification found.

    Attributes:
        cases: How many comparisons were made.
        max_abs_error: Largest absolute difference to the original over all of them.
        bit_exact: Whether every output was equal to the original's bit for bit.
        failure: What went beyond the tolerance, or None.
        skipped: Cases that could not be run, and why.
        outputs: What is known of each output that was not equal
        (:meth:`actcache.base.tolerance.OutputDifference.to_json`).
        different: Names of the cases in which an output was not equal.
        region_bits: Per region whether the model with this region alone was equal bit for bit; empty if nobody asked.
    """

    cases: int = 0
    max_abs_error: float = 0.0
    bit_exact: bool = True
    failure: str | None = None
    skipped: list[str] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    region_bits: dict[str, bool] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the report as it stands in ``--json`` output."""
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """One call to compare: `prepare` runs first (from an empty cache) and is what has been seen before."""

    name: str
    feed: Feed
    prepare: tuple[Feed, ...] = ()
    repeat: bool = False


#: Sizes of batches around the widths of vectors, for ``--exact bits``.
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33)


def cases(
    sample: Feed,
    batches: Sequence[Mapping[str, int]],
    cones: Sequence[Sequence[str]] = (),
    sizes: Sequence[int] = (),
) -> Iterator[Case]:
    """Yield the calls that verification makes for one sample.

    Args:
        sample: Inputs for one call.
        batches: Ways to cut the inputs into rows, each input name to its row axis; none for granularity ``tensor``.
        cones: Per region the graph inputs that it depends on.
        sizes: Of batches that are tried besides.
    """
    yield Case("cold and warm", sample, repeat=True)
    for cone in cones:
        other = {name: a if name in cone else _rolled(a) for name, a in sample.items()}
        if not all(identical(other[name], a) for name, a in sample.items()):
            yield Case(f"only {', '.join(cone)} seen before", other, prepare=(sample,))
    given = [{name: axis for name, axis in axes.items() if name in sample} for axes in batches]
    for axes in given:
        if axes:
            yield from _row_cases(sample, axes)
            yield from _sized_cases(sample, axes, sizes)


def _rolled(value: Any) -> Any:
    """Return other values of the same shape, in each part of a sequence; a map stays as it is."""
    if isinstance(value, list):
        return [_rolled(part) for part in value]
    return np.roll(value, 1) if isinstance(value, np.ndarray) else value


def _row_cases(sample: Feed, axes: Mapping[str, int]) -> Iterator[Case]:
    full = sample if row_count(sample, axes) > 1 else more_rows(sample, axes, 4)
    count = row_count(full, axes)
    rows = np.arange(count)
    yield Case("permuted", take(full, axes, rows[::-1]), prepare=(full,))
    yield Case("partly warm", full, prepare=(take(full, axes, rows[: (count + 1) // 2]),))
    yield Case("equal rows", take(full, axes, np.concatenate([rows, rows[:1], rows[-1:]])), repeat=True)
    yield Case("one row", take(full, axes, rows[-1:]), repeat=True)
    yield Case("one row of a known batch", take(full, axes, rows[:1]), prepare=(full,))


def _sized_cases(sample: Feed, axes: Mapping[str, int], sizes: Sequence[int]) -> Iterator[Case]:
    """Batches of many sizes: from an empty cache, with the first row known, and with all but one row known."""
    if not sizes:
        return
    count = row_count(sample, axes)
    grown = more_rows(sample, axes, -(-max(sizes) // count))
    for size in sizes:
        full = take(grown, axes, np.arange(size))
        yield Case(f"{size} rows", full, repeat=True)
        if size > 1:
            known = np.arange(size) != size // 2
            yield Case(f"{size} rows, one known", full, prepare=(take(full, axes, np.arange(1)),))
            yield Case(f"{size} rows, one new", full, prepare=(take(full, axes, np.flatnonzero(known)),))


def row_count(feed: Feed, axes: Mapping[str, int]) -> int:
    """Return the size of the batch."""
    return min(int(feed[name].shape[axis]) for name, axis in axes.items())


def take(feed: Feed, axes: Mapping[str, int], rows: npt.NDArray[np.int64]) -> Feed:
    """Return the feed with only (or in another order, or repeated) the given rows."""
    return {name: np.take(a, rows, axes[name]) if name in axes else a for name, a in feed.items()}


def more_rows(feed: Feed, axes: Mapping[str, int], count: int) -> Feed:
    """Make a batch `count` times as large: each further copy of the rows has its values rotated."""
    result = dict(feed)
    for name, axis in axes.items():
        row = feed[name]
        rotated = [np.roll(row.reshape(-1), shift).reshape(row.shape) for shift in range(count)]
        result[name] = np.concatenate(rotated, axis)
    return result


def in_batches(run: Run, size: int, row_axes: Mapping[str, int], output_axes: Sequence[int | None]) -> Run:
    """Return what runs a model that takes batches of one size only on any number of rows.

    Rows are run in groups of `size`, the last one filled up with its last row, and put together again.

    Args:
        run: Runs the model.
        size: The size of its batches.
        row_axes: Input name to its row axis.
        output_axes: Per output its row axis; None: it does not depend on the rows.
    """

    def run_groups(feed: Feed) -> list[Any]:
        counts = {int(feed[name].shape[axis]) for name, axis in row_axes.items() if name in feed}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(f"the inputs have {sorted(counts)} rows")
        count = counts.pop()
        groups = [
            run(take(feed, row_axes, np.minimum(np.arange(s, s + size), count - 1))) for s in range(0, count, size)
        ]
        return [
            _joined(parts, axis, size, count)
            for parts, axis in zip(zip(*groups, strict=True), output_axes, strict=True)
        ]

    return run_groups


def _joined(parts: Sequence[Any], axis: int | None, size: int, count: int) -> Any:
    """Put one output of several groups together; a row may have several entries."""
    if axis is None:
        return parts[0]
    entries = parts[0].shape[axis] // size
    return np.take(np.concatenate(parts, axis), np.arange(count * entries), axis)


def references(
    run: Run,
    samples: Sequence[Feed],
    batches: Sequence[Mapping[str, int]],
    cones: Sequence[Sequence[str]] = (),
    sizes: Sequence[int] = (),
) -> list[list[tuple[Case, Any]]]:
    """Ask the original model. A case that it refuses is kept with the exception as its answer. The first sample alone
    is tried in batches of many sizes.

    Some batches may be cut in ways that make no valid call (rows of one input without those of another): the original
    is the judge of that, also of the calls that prepare a case.
    """
    answers: list[list[tuple[Case, Any]]] = []
    for number, sample in enumerate(samples):
        answered: list[tuple[Case, Any]] = []
        for case in cases(sample, batches, cones, sizes if number == 0 else ()):
            try:
                for feed in case.prepare:
                    run(feed)
                answered.append((case, run(case.feed)))
            except Exception as error:
                answered.append((case, error))
        answers.append(answered)
    return answers


def varying_outputs(run: Run, sample: Feed) -> frozenset[int]:
    """Return the positions of outputs that two runs of the original on the same inputs do not agree on."""
    first, second = run(sample), run(sample)
    return frozenset(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if not identical(a, b))


def compare(
    run: Run,
    clear: Callable[[], object],
    answers: Sequence[Sequence[tuple[Case, Any]]],
    *,
    tolerance: float | None = None,
    exact: bool = False,
    ignore: frozenset[int] = frozenset(),
    spread: Callable[[], Spread] | None = None,
) -> VerifyReport:
    """Run the compiled model through every case and compare.

    Args:
        run: Runs the compiled model.
        clear: Empties its cache.
        answers: The original's (:func:`references`).
        tolerance: Largest accepted difference, relative to the largest magnitude in an output (or to 1); None: by its
            type (:mod:`actcache.base.tolerance`).
        exact: Accept no difference, not in one bit.
        ignore: Outputs that the original itself does not repeat.
        spread: Measures the original's own spread; asked if an output is beyond the tolerance of its type.
    """
    report, found = VerifyReport(), Differences()
    for answered in answers:
        for case, expected in answered:
            if isinstance(expected, Exception):
                report.skipped.append(f"{case.name}: the original model refuses it")
                continue
            clear()
            try:
                report.failure = _check(run, case, expected, tolerance, ignore, report, found)
            except Exception as error:
                report.failure = f"{case.name}: the compiled model fails: {error}"
            if report.failure:
                return report
    if found.failure() and spread is not None and tolerance is None and not exact:
        found.judge(spread())
    report.outputs = [known.to_json() for _, known in sorted(found.by_output.items())]
    report.failure = found.failure()
    if exact and not report.bit_exact:
        report.failure = _not_exact(report)
    return report


def _not_exact(report: VerifyReport) -> str:
    where = ", ".join(report.different[:4]) + (", ..." if len(report.different) > 4 else "")
    return (
        f"results are not the original's bit for bit in: {where}; the largest difference is {report.max_abs_error:.3g}"
    )


def _check(
    run: Run,
    case: Case,
    expected: list[Any],
    tolerance: float | None,
    ignore: frozenset[int],
    report: VerifyReport,
    found: Differences,
) -> str | None:
    for feed in case.prepare:
        run(feed)
    got = run(case.feed)
    _note(case.name, got, expected, tolerance, ignore, report, found)
    if any(not np.isfinite(known.error) for known in found.by_output.values()):
        return found.failure()
    if case.repeat:
        again = run(case.feed)
        report.cases += 1
        if any(i not in ignore and not identical(a, b) for i, (a, b) in enumerate(zip(got, again, strict=True))):
            return f"{case.name}: the second, cached answer is not the first one bit for bit"
    return None


def differences(
    name: str,
    got: list[Any],
    expected: list[Any],
    tolerance: float | None,
    ignore: frozenset[int],
    report: VerifyReport,
) -> str | None:
    """Compare one answer with the original's, note it in `report`, and return what is beyond the tolerance, or None."""
    found = Differences()
    _note(name, got, expected, tolerance, ignore, report, found)
    return found.failure()


def _note(
    name: str,
    got: list[Any],
    expected: list[Any],
    tolerance: float | None,
    ignore: frozenset[int],
    report: VerifyReport,
    found: Differences,
) -> None:
    """Compare one answer with the original's and note what differs in `report` and `found`."""
    report.cases += 1
    for position, (mine, original) in enumerate(zip(got, expected, strict=True)):
        if position in ignore or identical(mine, original):
            continue
        report.bit_exact = False
        if name not in report.different:
            report.different.append(name)
        error, scale, accepted = error_of(mine, original, tolerance)
        report.max_abs_error = max(report.max_abs_error, error)
        found.add(OutputDifference(position, name, error, scale, accepted))
