"""Numbers of bytes as people write them."""

from __future__ import annotations

import pytest

from actcache.serve.byte_size import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"), [("4096", 4096), ("512MiB", 512 << 20), (" 1.5 gib ", 3 << 29), ("10B", 10), ("2TiB", 2 << 40)]
)
def test_numbers_with_and_without_units(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1", "1.2.3", "5 parsec", "MiB"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number of bytes"):
        parse_bytes(text)


def test_they_are_written_for_people() -> None:
    assert [format_bytes(n) for n in (0, 412, 19660, 3 << 20, 5 << 40)] == [
        "0 B",
        "412 B",
        "19.2 KiB",
        "3.0 MiB",
        "5120.0 GiB",
    ]
