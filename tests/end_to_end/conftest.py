"""Fixtures of the tests that run onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hand_written import LIBRARY, Control


@pytest.fixture
def control() -> Iterator[Control]:
    if not LIBRARY.exists():
        pytest.fail(f"{LIBRARY} is missing: make library")
    interface = Control()
    yield interface
    interface.take_back()
