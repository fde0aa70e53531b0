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

from actcache.base.tolerance import Differences, OutputDifference, Spread
from actcache.passes.cuts.case import Case, Division
from actcache.passes.cuts.feeds import Feed, take
from actcache.verification.cases import Run, cases
from actcache.verification.comparison import error_of, identical


@dataclass
class Verification:
    """What verification found.

    Attributes:
        cases: How many comparisons were made.
        max_abs_error: Largest absolute difference to the original over all of them.
        bit_exact: Whether every output was equal to the original's bit for bit.
        failure: What went beyond the tolerance, or None.
        skipped: Cases that could not be run, and why.
        outputs: What is known of each output that was not equal: the members of
            :class:`actcache.base.tolerance.OutputDifference`.
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


def given_cases(
    samples: Sequence[Feed],
    divisions: Sequence[Division],
    cones: Sequence[Sequence[str]],
    sequences: Sequence[Sequence[int]],
) -> Iterator[Iterator[Case]]:
    """Yield the calls per sample. The first sample alone is tried in calls of many sizes."""
    for number, sample in enumerate(samples):
        yield cases(sample, divisions, cones, sequences if number == 0 else ())


def references(
    run: Run,
    samples: Sequence[Feed],
    divisions: Sequence[Division],
    cones: Sequence[Sequence[str]] = (),
    sequences: Sequence[Sequence[int]] = (),
    progress: Callable[[str], object] = lambda _: None,
) -> list[list[tuple[Case, Any]]]:
    """Ask the original model. A case that it refuses is kept with the exception as its answer. The first sample alone
    is tried in calls of many sizes.

    Some calls may be divided in ways that make no valid call (rows of one input without those of another): the original
    is the judge of that, also of the calls that prepare a case.
    """
    answers: list[list[tuple[Case, Any]]] = []
    for made in given_cases(samples, divisions, cones, sequences):
        known: dict[int, tuple[Feed, Any]] = {}  # by id: what is kept alive has an id of its own

        def answer(feed: Feed, known: dict[int, tuple[Feed, Any]] = known) -> Any:
            if id(feed) not in known:
                try:
                    known[id(feed)] = feed, run(feed)
                except Exception as error:  # whatever the runtime raises
                    known[id(feed)] = feed, error
            return known[id(feed)][1]

        answered: list[tuple[Case, Any]] = []
        for case in made:
            progress(f"the original: {case.name}")
            given = [answer(feed) for feed in (*case.prepare, case.feed)]
            refused = next((found for found in given if isinstance(found, Exception)), None)
            answered.append((case, refused or given[-1]))
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
    progress: Callable[[str], object] = lambda _: None,
) -> Verification:
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
        progress: Told which case is next.
    """
    total, done = sum(map(len, answers)), 0
    report, found = Verification(), Differences()
    for answered in answers:
        skipped = True
        for case, expected in answered:
            done += 1
            progress(f"{done} of {total}: {case.name}")
            if skipped or not case.follows:
                clear()
            skipped = isinstance(expected, Exception)
            if skipped:
                report.skipped.append(f"{case.name}: the original model refuses it")
                continue
            try:
                report.failure = _check(run, case, expected, tolerance, ignore, report, found)
            except Exception as error:
                report.failure = f"{case.name}: the compiled model fails: {error}"
            if exact and report.different and not report.failure:
                report.failure = _not_exact(report)  # the rest would change nothing
            if report.failure:
                return report
    if found.failure() and spread is not None and tolerance is None and not exact:
        found.judge(spread())
    report.outputs = [known.to_json() for _, known in sorted(found.by_output.items())]
    report.failure = found.failure()
    return report


def _not_exact(report: Verification) -> str:
    where = ", ".join(report.different)
    return f"results are not the original's bit for bit in: {where}; the difference is {report.max_abs_error:.3g}"


def _check(
    run: Run,
    case: Case,
    expected: list[Any],
    tolerance: float | None,
    ignore: frozenset[int],
    report: Verification,
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
        if case.anew:
            _note(case.name, again, expected, tolerance, ignore, report, found)
            got, again = again, run(case.feed)
        if any(i not in ignore and not identical(a, b) for i, (a, b) in enumerate(zip(got, again, strict=True))):
            return f"{case.name}: the second, cached answer is not the first one bit for bit"
    return None


def differences(
    name: str,
    got: list[Any],
    expected: list[Any],
    tolerance: float | None,
    ignore: frozenset[int],
    report: Verification,
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
    report: Verification,
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
