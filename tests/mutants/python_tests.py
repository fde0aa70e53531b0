"""Mutants of Python modules, tried in forks of one pytest process that has collected the tests already.

The working tree is never changed: a fork gives the functions of the mutated module their changed code, runs the tests
that executed the mutated line in an unchanged run, the quickest first, and stops at the first failure.
What runs when the module is imported is changed as :mod:`tests.mutants.python_imports` says. Started by
:mod:`tests.mutants.python`.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.python_imports import file_names, in_new_process, may_run_again, run_again
from tests.mutants.python_marks import REACHED, marked, statements

#: A fork that takes so many times the processor time of its tests, and this many seconds, never ends.
PATIENCE, LEAST_SECONDS = 3, 5
SURVIVED = "survived: all tests pass"


class MutantRun:
    """The pytest plugin: takes the place of the run.

    Args:
        chosen: Positions in the list of mutants, by the path of the mutated module.
        jobs: How many processes at a time.
        tests: What pytest is asked to run.
    """

    def __init__(self, chosen: dict[str, list[int]], jobs: int, tests: list[str]) -> None:
        self.jobs, self.tests = jobs, tests
        self.sources = {module: Path(module).read_text() for module in chosen}
        everything = {module: mutants_of(module, source) for module, source in self.sources.items()}
        self.waiting = [
            (everything[m][position], position) for m, positions in chosen.items() for position in positions
        ]
        #: Modules whose mutants at import may be tried the quick way.
        self.again: dict[str, CodeType] = {}
        #: Survivors of the quick way, which wait for the slow one.
        self.doubtful: set[Mutant] = set()
        #: Tests that noticed a mutant, by function, the last one first: they notice its other mutants most often.
        self.killers: dict[tuple[str, str], list[pytest.Item]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn from an unchanged run, then try each mutant in a process of its own."""
        unchanged = _Unchanged(session, list(self.sources))
        if not unchanged.passed:
            raise pytest.UsageError("no test passes without a mutant")
        self.again = self._repeatable(unchanged)
        functions = {module: _functions_of(module) for module in self.sources}
        running: dict[int, tuple[Mutant, int, _Trial]] = {}
        while self.waiting or running:
            while self.waiting and len(running) < self.jobs:
                mutant, position = self.waiting.pop(0)
                trial = self._started(mutant, position, functions[mutant.path], unchanged)
                if trial is None:
                    say(mutant, "survived: no test runs this line")
                else:
                    running[trial.pid] = mutant, position, trial
            if running:
                pid, status = os.wait()
                mutant, position, trial = running.pop(pid)
                self._ended(mutant, position, trial, trial.ended(status))
        return True

    def _started(
        self,
        mutant: Mutant,
        position: int,
        functions: dict[tuple[str, int], list[FunctionType]],
        unchanged: _Unchanged,
    ) -> _Trial | None:
        """Start the trial of a mutant, in a fork or a new process; None if no test runs its line."""
        code = mutant.compiled(self.sources[mutant.path], file_names(mutant.path)[0])
        reaching = unchanged.tests_of(mutant.path, None if mutant.at_import else mutant.line)
        first = [test for test in self.killers[mutant.path, mutant.scope] if test in reaching]
        tests = [*first, *(test for test in reaching if test not in first)]
        if not mutant.at_import:
            return unchanged.forked(tests, lambda: _change(functions, code)) if tests else None
        if mutant.path in self.again and mutant not in self.doubtful:
            return unchanged.forked(tests, lambda: run_again(mutant.path, code, self.again[mutant.path]))
        return _Trial(in_new_process(mutant.path, position, [item.nodeid for item in tests]))

    def _ended(self, mutant: Mutant, position: int, trial: _Trial, killer: pytest.Item | bool) -> None:
        if isinstance(killer, pytest.Item):
            known = self.killers[mutant.path, mutant.scope]
            known[:] = [killer, *(test for test in known if test is not killer)]
        if not killer and mutant.at_import and trial.child is None and mutant.path in self.again:
            self.doubtful.add(mutant)
            self.waiting.append((mutant, position))
        else:
            say(mutant, "killed" if killer else SURVIVED)

    def _repeatable(self, unchanged: _Unchanged) -> dict[str, CodeType]:
        """The modules that may run again: all tests pass if all of them do, without a change."""
        modules = {mutant.path for mutant, _ in self.waiting if mutant.at_import}
        codes = {
            module: compile(self.sources[module], file_names(module)[0], "exec", dont_inherit=True)
            for module in sorted(modules)
            if may_run_again(self.sources[module])
        }
        reaching = {test for module in codes for test in unchanged.tests_of(module, None)}
        tests = [test for test in unchanged.passed if test in reaching]

        def run_all_again() -> None:
            for module, code in codes.items():
                run_again(module, code, code)

        trial = unchanged.forked(tests, run_all_again)
        _, status = os.waitpid(trial.pid, 0)
        return {} if trial.ended(status) else codes


class _Trial:
    """A process in which one mutant is tried.

    Args:
        process: A process of its own, or the number of a fork.
        tests: What the fork runs, in this order.
        answer: Where the fork writes which of them failed.
    """

    def __init__(
        self, process: subprocess.Popen[str] | int, tests: Sequence[pytest.Item] = (), answer: int | None = None
    ) -> None:
        self.child = None if isinstance(process, int) else process
        self.pid = process if isinstance(process, int) else process.pid
        self._tests, self._answer = tests, answer

    def ended(self, status: int) -> pytest.Item | bool:
        """Return the test that noticed, or whether any did, from what os.wait says."""
        code = os.waitstatus_to_exitcode(status)
        if self.child is not None:
            self.child.returncode = code
        if self._answer is None:
            return code != 0
        with os.fdopen(self._answer) as answer:
            said = answer.read()
        return self._tests[int(said)] if said else code != 0


class _Unchanged:
    """A run without a mutant: which tests pass, and which of them execute which lines of the modules."""

    def __init__(self, session: pytest.Session, modules: list[str]) -> None:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            with os.fdopen(write, "w") as out:
                json.dump(_trace(session, modules), out)
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            found = json.load(answer)
        os.waitpid(pid, 0)
        self._statements = {module: statements(Path(module).read_text()) for module in modules}
        #: The quickest first, here and below.
        self.passed = [session.items[i] for i in found["passed"]]
        self.seconds = dict(zip(self.passed, found["seconds"], strict=True))
        #: By module and the line where a statement begins.
        self.tests = {
            module: {int(line): [session.items[i] for i in items] for line, items in lines.items()}
            for module, lines in found["lines"].items()
        }

    def tests_of(self, module: str, line: int | None) -> list[pytest.Item]:
        """The tests that execute a line of a module; for None any of its lines, or all tests, if there is none."""
        if line is not None:
            return self.tests[module].get(self._statements[module].get(line, line), [])
        some = {item for items in self.tests[module].values() for item in items}
        return [item for item in self.passed if item in some] or self.passed

    def forked(self, tests: Sequence[pytest.Item], change: Callable[[], None]) -> _Trial:
        """Start a trial in a fork, which first makes a change; it ends with status 0 if no test notices."""
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            return _Trial(pid, tests, read)
        status = 1
        try:
            limit = LEAST_SECONDS + int(PATIENCE * sum(self.seconds[test] for test in tests))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            signal.alarm(20 * limit)
            change()
            failed = next((place for place, test in enumerate(tests) if not _passes(test)), None)
            os.write(write, b"" if failed is None else str(failed).encode())
            status = 0 if failed is None else 1
        finally:
            os._exit(status)


def _trace(session: pytest.Session, modules: list[str]) -> dict[str, Any]:
    """Which tests pass, and by module and line those that execute it, in the order of their time."""
    reached: set[tuple[str, int]] = set()
    setattr(builtins, REACHED, reached)
    for module in modules:
        source, filename = Path(module).read_text(), file_names(module)[0]
        _change(_functions_of(module), compile(marked(source, module), filename, "exec", dont_inherit=True))
    runs: list[tuple[float, int, set[tuple[str, int]]]] = []
    for position, item in enumerate(session.items):
        reached.clear()
        began = time.process_time()
        if _passes(item):
            runs.append((time.process_time() - began, position, set(reached)))
    lines: dict[str, dict[int, list[int]]] = {module: defaultdict(list) for module in modules}
    runs.sort(key=lambda run: run[0])
    for _, position, seen in runs:
        for module, line in seen:
            lines[module][line].append(position)
    passed = [position for _, position, _ in runs]
    return {"passed": passed, "lines": lines, "seconds": [seconds for seconds, _, _ in runs]}


def _passes(item: pytest.Item) -> bool:
    """Run one test, output and reports left away."""
    from _pytest.runner import runtestprotocol

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reports = runtestprotocol(item, log=False, nextitem=None)
    return all(report.outcome != "failed" for report in reports)


def _functions_of(module: str) -> dict[tuple[str, int], list[FunctionType]]:
    """The living functions of a module, by name and line; lambdas and inner functions are made anew by their outer."""
    names = file_names(module)
    found = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename in names:
            found[thing.__code__.co_name, thing.__code__.co_firstlineno].append(thing)
    return found


def _codes(code: CodeType) -> list[CodeType]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [*inner, *(deeper for one in inner for deeper in _codes(one))]


def _change(functions: dict[tuple[str, int], list[FunctionType]], changed: CodeType) -> None:
    """Give the living functions of a module their changed code."""
    for code in _codes(changed):
        for function in functions.get((code.co_name, code.co_firstlineno), []):
            if code.co_name != "<lambda>" and function.__code__.co_freevars == code.co_freevars:
                function.__code__ = code


def say(mutant: Mutant, result: str) -> None:
    """Tell the program that started this one."""
    line = json.dumps({"key": mutant.key, "line": mutant.line, "result": result})
    print(line, file=sys.__stdout__, flush=True)


def main() -> None:
    """Read what to do as JSON from stdin; a line of JSON for each mutant goes to stdout."""
    task = json.load(sys.stdin)
    run = MutantRun(task["chosen"], task["jobs"], task["tests"])
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main(["-q", "-p", "no:cacheprovider", *task["tests"]], plugins=[run])
    if run.waiting:
        sys.exit(f"the tests could not be collected (pytest's status {int(status)}):\n{said.getvalue()}")


if __name__ == "__main__":
    main()
