"""Fixtures of the tests that run onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audit_lines import Line, lines_of
from hand_written import LIBRARY, Control


@pytest.fixture
def control() -> Iterator[Control]:
    if not LIBRARY.exists():
        pytest.fail(f"{LIBRARY} is missing: make library")
    interface = Control()
    yield interface
    interface.take_back()


@pytest.fixture
def audited(control: Control, tmp_path: Path) -> Iterator[Callable[[], list[Line]]]:
    """Begins a log; the function ends it and returns its lines."""
    control.invalidate()
    path = tmp_path / "audit.jsonl"
    control.configure("audit_path", str(path))

    def finished() -> list[Line]:
        control.configure("audit_path", "")
        return lines_of(path)

    yield finished
    control.configure("audit_path", "")
