"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def bypass_off() -> None:
    """Has the cache look up what a test calls for, however little it saves there. Read when the library is loaded."""
    os.environ.setdefault("ACTCACHE_BYPASS", "off")


@pytest.fixture(scope="session")
def model_path() -> Callable[[str], Path]:
    """Returns the file of a real model of the catalogue, fetched first if it is not in models/cache."""
    from models.fetch import fetch

    return fetch
