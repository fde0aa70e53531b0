"""What the analysis says of samples is what was written down: rows_told.py says how to write it anew."""

from __future__ import annotations

import pytest
from rows_support import Sample
from rows_told import FILE, named, told

WRITTEN = dict(line.split(": ", 1) for line in FILE.read_text().splitlines())


@pytest.mark.parametrize(("name", "tried"), [pytest.param(name, tried, id=name) for name, tried in named()])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_analysis_says_what_is_written_down(name: str, tried: Sample) -> None:
    assert told(tried) == WRITTEN.get(name), "see rows_told.py"


def test_nothing_else_is_written_down() -> None:
    assert WRITTEN.keys() == {name for name, _ in named()}
