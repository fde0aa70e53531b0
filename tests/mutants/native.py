"""Tries mutants of the C++ library: all are built once into a copy of its sources, and chosen when a test starts.

A change that does not compile is no mutant: it is told as such, and counts as not noticed until the list is mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path

from tests.mutants import native_locks
from tests.mutants.groups import native_python_tests
from tests.mutants.native_break import numbered
from tests.mutants.native_copy import Copy
from tests.mutants.native_lists import GROUPS
from tests.mutants.native_switch import line_of
from tests.mutants.native_tests import Test, native_tests, noticed, python_tests
from tests.mutants.outcome import Outcome
from tests.mutants.survivors import REVIEWED


class Native:
    """The C++ groups, which share one build and one run of the C++ tests without a mutant.

    Args:
        jobs: Processes at a time.
        python_seconds: How long a group's Python tests run without a mutant at most; 0: they are not asked at all.
    """

    def __init__(self, jobs: int, python_seconds: int) -> None:
        self.jobs, self.python_seconds = jobs, python_seconds
        self.breaks = numbered(one for group in GROUPS.values() for one in group)

    @cached_property
    def copy(self) -> Copy:
        """The copy with all mutants of all groups."""
        return Copy(self.breaks)

    @cached_property
    def native_tests(self) -> list[Test]:
        """What the C++ tests reach."""
        return native_tests(self.copy.build, self.jobs)

    def numbers(self, group: str, *, only: str = "") -> list[int]:
        """Return the numbers of a group's breaks, or of those whose description contains `only`."""
        numbers = [number for number, one in self.breaks.items() if one in GROUPS[group]]
        return [number for number in numbers if only in str(self._outcome(number, ""))] if only else numbers

    def run(self, group: str, *, listed: bool, only: str = "") -> Iterator[Outcome]:
        """Try the breaks of a group; the reviewed survivors are told as such at once if they are not `listed`."""
        numbers = self.numbers(group, only=only)
        outcomes = {number: self._outcome(number, "survived: listed") for number in numbers}
        skipped = [number for number in numbers if not listed and outcomes[number].key in REVIEWED]
        yield from (outcomes[number] for number in skipped)
        numbers = [number for number in numbers if number not in skipped]
        sound = [number for number in numbers if number not in self.copy.broken]
        for number in set(numbers) - set(sound):
            yield self._outcome(number, f"no mutant, for it does not compile: {self.copy.broken[number]}")
        locks = {number: self.breaks[number] for number in sound if self.breaks[number].lock}
        missed = native_locks.noticed(self.copy, locks, self.jobs) if locks else set()
        for number in locks:
            yield self._outcome(number, "killed" if number in missed else "survived: no warning")
        yield from self._tested(group, [number for number in sound if number not in locks])

    def _tested(self, group: str, numbers: list[int]) -> Iterator[Outcome]:
        left = []
        for number, killed in self._tried(numbers, self.native_tests if numbers else []):
            if killed:
                yield self._outcome(number, "killed")
            else:
                left.append(number)
        tests: list[Test] = []
        if left and self.python_seconds:
            tests = python_tests(self.copy.build, group, native_python_tests(group), self.python_seconds)
        for number, killed in self._tried(left, tests):
            yield self._outcome(number, "killed by Python tests" if killed else "survived: all tests pass")

    def _tried(self, numbers: list[int], tests: list[Test]) -> Iterator[tuple[int, bool]]:
        with ThreadPoolExecutor(self.jobs) as pool:
            trials = {pool.submit(noticed, number, tests, self.copy.build): number for number in numbers}
            for trial in as_completed(trials):
                yield trials[trial], trial.result()

    def _outcome(self, number: int, result: str) -> Outcome:
        one = self.breaks[number]
        return Outcome(one.path, one.promise, one.change, line_of(Path(one.path).read_text(), one), result)
