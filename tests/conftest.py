"""Fixtures that several kinds of tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_path() -> Callable[[str], Path]:
    """Returns the file of a real model of the catalogue, fetched first if it is not in models/cache."""
    from models.fetch import fetch

    return fetch
