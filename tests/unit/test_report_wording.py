"""Numbers as the report and the command line write them."""

from __future__ import annotations

import pytest

from actcache.report.wording import duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"), (3e-9, "3 ns"), (2.4e-6, "2.4 µs"), (0.318, "318 ms"), (0.99949, "999 ms"), (0.9997, "1 s"),
        (9.997e-7, "1 µs"), (42.1, "42.1 s"), (-1.5, "−1.5 s"), (125, "2 min 5 s"), (11520, "3 h 12 min"),
    ],
)  # fmt: skip
def test_durations_have_three_digits_and_a_unit(seconds: float, written: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == written
