"""The pytest plugin that writes down which C++ mutants each passing test reaches; see native_tests.py."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.mutants.native_switch import SECONDS, SEEN

_found: list[tuple[str, float, list[int]]] = []
_passed: set[str] = set()
_failed: set[str] = set()
_began = time.monotonic()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Read the marks after each test, and wipe them before."""
    marks = Path(os.environ[SEEN])
    size = marks.stat().st_size
    with marks.open("r+b") as file:
        file.write(bytes(size))
    began = time.monotonic()
    result = yield
    numbers = [number for number, byte in enumerate(marks.read_bytes()) if byte]
    if item.nodeid in _passed - _failed:
        _found.append((item.nodeid, time.monotonic() - began, numbers))
    if time.monotonic() - _began > float(os.environ[SECONDS]):
        item.session.shouldstop = "what was asked in this time has to do"
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember which tests pass."""
    if report.failed:
        _failed.add(report.nodeid)
    elif report.when == "call" and report.passed:
        _passed.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Tell the program that started this one."""
    Path(os.environ["MUTANT_REPORT"]).write_text(json.dumps(_found))
