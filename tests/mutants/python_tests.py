"""Mutants of Python modules, tried in forks of one pytest process that has collected the tests already.

The working tree is never changed: a fork gives the functions of the mutated module their changed code, runs the tests
that executed the mutated line in an unchanged run, the quickest first, and stops at the first failure.
What runs when the module is imported is changed there, in a process of its own. Started by :mod:`tests.mutants.python`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from subprocess import DEVNULL
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from tests.mutants.operators import Mutant, mutants_of

#: A fork that takes so many times the processor time of its tests, and this many seconds, never ends.
PATIENCE, LEAST_SECONDS = 3, 5


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

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn from an unchanged run, then try each mutant in a process of its own."""
        unchanged = _Unchanged(session, list(self.sources))
        if not unchanged.passed:
            raise pytest.UsageError("no test passes without a mutant")
        functions = {module: _functions_of(module) for module in self.sources}
        running: dict[int, tuple[Mutant, subprocess.Popen[str] | None]] = {}
        while self.waiting or running:
            while self.waiting and len(running) < self.jobs:
                mutant, position = self.waiting.pop(0)
                if mutant.at_import:
                    started = self._import(mutant.path, position, unchanged.passed)
                    running[started.pid] = mutant, started
                elif mutant.line in unchanged.tests[mutant.path]:
                    source = self.sources[mutant.path]
                    running[_forked(mutant, source, functions[mutant.path], unchanged)] = mutant, None
                else:
                    say(mutant, "survived: no test runs this line")
            if running:
                pid, status = os.wait()
                mutant, child = running.pop(pid)
                if child is not None:
                    child.returncode = os.waitstatus_to_exitcode(status)
                say(mutant, "survived: all tests pass" if os.waitstatus_to_exitcode(status) == 0 else "killed")
        return True

    def _import(self, module: str, position: int, passing: list[pytest.Item]) -> subprocess.Popen[str]:
        """Try a mutant of what runs at import, in a new process that knows no module yet."""
        call = "import json, sys; from tests.mutants.python_tests import try_import; try_import(*json.load(sys.stdin))"
        child = subprocess.Popen(
            [sys.executable, "-c", call], stdin=subprocess.PIPE, text=True, stdout=DEVNULL, stderr=DEVNULL
        )
        assert child.stdin is not None
        with child.stdin as told:
            json.dump([module, position, [item.nodeid for item in passing], self.tests], told)
        return child


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
        self.passed = [session.items[i] for i in found["passed"]]
        self.seconds = dict(zip(self.passed, found["seconds"], strict=True))
        #: By module and line, the quickest first.
        self.tests = {
            module: {int(line): [session.items[i] for i in items] for line, items in lines.items()}
            for module, lines in found["lines"].items()
        }


def _trace(session: pytest.Session, modules: list[str]) -> dict[str, Any]:
    """Which tests pass, and by module and line those that execute it, in the order of their time."""
    names = {name: module for module in modules for name in _names(module)}
    runs: list[tuple[float, int, set[tuple[str, int]]]] = []
    for position, item in enumerate(session.items):
        seen: set[tuple[str, int]] = set()
        began = time.process_time()
        sys.settrace(_tracer(names, seen))
        try:
            good = _passes(item)
        finally:
            sys.settrace(None)
        if good:
            runs.append((time.process_time() - began, position, seen))
    lines: dict[str, dict[int, list[int]]] = {module: defaultdict(list) for module in modules}
    for _, position, seen in sorted(runs, key=lambda run: run[0]):
        for module, line in seen:
            lines[module][line].append(position)
    passed = [position for _, position, _ in runs]
    return {"passed": passed, "lines": lines, "seconds": [seconds for seconds, _, _ in runs]}


def _tracer(names: dict[str, str], seen: set[tuple[str, int]]) -> Any:
    def on_line(frame: FrameType, event: str, _: object) -> Any:
        seen.add((names[frame.f_code.co_filename], frame.f_lineno))
        return on_line

    return lambda frame, event, _: on_line if frame.f_code.co_filename in names else None


def _names(module: str) -> list[str]:
    """The names that a module's file has: ``actcache/passes`` is a link, and the module is imported by it."""
    return [str(Path.cwd() / "actcache" / module), str(Path.cwd() / module)]


def _passes(item: pytest.Item) -> bool:
    """Run one test, output and reports left away."""
    from _pytest.runner import runtestprotocol

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        reports = runtestprotocol(item, log=False, nextitem=None)
    return all(report.outcome != "failed" for report in reports)


def _functions_of(module: str) -> dict[tuple[str, int], list[FunctionType]]:
    """The living functions of a module, by name and line; lambdas and inner functions are made anew by their outer."""
    names = _names(module)
    found = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename in names:
            found[thing.__code__.co_name, thing.__code__.co_firstlineno].append(thing)
    return found


def _codes(code: CodeType) -> list[CodeType]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [*inner, *(deeper for one in inner for deeper in _codes(one))]


def _forked(
    mutant: Mutant,
    source: str,
    functions: dict[tuple[str, int], list[FunctionType]],
    unchanged: _Unchanged,
) -> int:
    """Start the trial of one mutant; it ends with status 0 if no test notices."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        tests = unchanged.tests[mutant.path][mutant.line]
        limit = LEAST_SECONDS + int(PATIENCE * sum(unchanged.seconds[test] for test in tests))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.alarm(20 * limit)
        for code in _codes(mutant.compiled(source, _names(mutant.path)[0])):
            for function in functions.get((code.co_name, code.co_firstlineno), []):
                if code.co_name != "<lambda>" and function.__code__.co_freevars == code.co_freevars:
                    function.__code__ = code
        status = 0 if all(_passes(item) for item in tests) else 1
    finally:
        os._exit(status)


class ChangedImport:
    """Imports one module in its changed form, for mutants of what runs at import."""

    def __init__(self, mutant: Mutant, source: str) -> None:
        self.name = "actcache." + mutant.path.removesuffix(".py").replace("/", ".")
        self.mutant, self.source = mutant, source

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """As importlib asks of a finder."""
        if name != self.name:
            return None
        loader: Any = self
        return importlib.util.spec_from_loader(name, loader, origin=_names(self.mutant.path)[0])

    def create_module(self, spec: Any) -> None:
        """Leave it to importlib."""

    def exec_module(self, module: Any) -> None:
        """Run the changed code."""
        module.__file__ = module.__spec__.origin
        exec(self.mutant.compiled(self.source, module.__file__), module.__dict__)  # noqa: S102


class _Only:
    """The pytest plugin that leaves out tests which fail without a mutant."""

    def __init__(self, names: list[str]) -> None:
        self.names = set(names)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """As pytest asks."""
        items[:] = [item for item in items if item.nodeid in self.names]


def try_import(module: str, position: int, passing: list[str], tests: list[str]) -> None:
    """Try one mutant of what runs at import; ends with status 0 if no test notices."""
    source = Path(module).read_text()
    mutant = mutants_of(module, source)[position]
    sys.meta_path.insert(0, ChangedImport(mutant, source))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = pytest.main(["-q", "-p", "no:cacheprovider", "-x", *tests], plugins=[_Only(passing)])
    sys.exit(int(status))


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
