"""Numbers of bytes as people write them."""

from __future__ import annotations

import pytest

from actcache.errors import InvalidOption
from actcache.serve.byte_size import default_budget, format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "count"), [("4096", 4096), ("512MiB", 512 << 20), (" 1.5 gib ", 3 << 29), ("10B", 10), ("2TiB", 2 << 40)]
)
def test_numbers_with_and_without_units(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "-1", "1.2.3", "5 parsec", "MiB", "101%", "9e3", str(1 << 63)])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match="not a number of bytes"):
        parse_bytes(text)


def test_a_percentage_is_of_what_it_is_said_to_be_of() -> None:
    assert parse_bytes("12.5%", 800) == 100
    assert parse_bytes("4KiB", 800) == 4096


def test_the_default_is_what_the_store_holds_where_there_is_memory() -> None:
    assert default_budget() == 256 << 20


def test_they_are_written_for_people() -> None:
    assert [format_bytes(n) for n in (0, 412, 19660, 3 << 20, 5 << 40)] == [
        "0 B",
        "412 B",
        "19.2 KiB",
        "3.0 MiB",
        "5120.0 GiB",
    ]
