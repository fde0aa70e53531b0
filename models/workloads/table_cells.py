"""Pages of a printed table, cut into its cells, for the models that read text in images.

The table is the log of flights from New York City in 2013. It is drawn, not scanned: the words and
numbers are real, the pixels are ours. So the stream stands for documents that were born digital
(screenshots, PDFs made into images), where equal text in one column is equal pixel for pixel; a
scanner's noise would leave no two crops equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fetch import fetch
from models.workloads.frames import read_frame
from models.workloads.stream import Row, Workload

_HEIGHT = 48  # of a cell: what PP-OCR scales a line of text to, so nothing has to be scaled
_FONT_SIZE = 30
_MARGIN = 10
_ROWS_PER_PAGE = 30

Cells = list[str]


def _whole(value: Any) -> str:
    """A number as the table prints it; nothing where it is missing (NaN)."""
    return "" if np.isnan(value) else str(int(value))


def _clock(value: Any) -> str:
    """517 to 5:17, as the log's own columns mean it."""
    return "" if np.isnan(value) else f"{int(value) // 100}:{int(value) % 100:02d}"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


# What is printed, from the left, with its width in pixels. Year, month and day are left out: equal
# on whole pages, they would add repeats that prove nothing.
_COLUMNS: tuple[tuple[str, Callable[[Any], str], int], ...] = (
    ("carrier", _word, 80),
    ("flight", _whole, 110),
    ("tailnum", _word, 160),
    ("origin", _word, 100),
    ("dest", _word, 100),
    ("dep_time", _clock, 120),
    ("arr_time", _clock, 120),
    ("air_time", _whole, 90),
    ("distance", _whole, 110),
    ("arr_delay", _whole, 90),
)


def _table() -> Iterator[Cells]:
    """The printed rows, in the log's order: that of departure."""
    frame = read_frame(fetch("nycflights13_flights"))
    columns = [frame[name] for name, _, _ in _COLUMNS]
    for values in zip(*columns, strict=True):
        yield [text(value) for (_, text, _), value in zip(_COLUMNS, values, strict=True)]


def draw_page(rows: list[Cells]) -> NDArray[np.uint8]:
    """A page with these rows, black on white between thin lines, uint8 [height, width]."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("table-cells draws its pages with Pillow: pip install pillow") from error
    font = ImageFont.load_default(_FONT_SIZE)
    size = (sum(width for _, _, width in _COLUMNS), _HEIGHT * len(rows))
    page = Image.new("L", size, 255)
    pen = ImageDraw.Draw(page)
    for index, cells in enumerate(rows):
        left, top = 0, index * _HEIGHT
        for text, (_, _, width) in zip(cells, _COLUMNS, strict=True):
            pen.rectangle((left, top, left + width - 1, top + _HEIGHT - 1), outline=160)
            pen.text((left + _MARGIN, top + _HEIGHT // 2), text, fill=0, font=font, anchor="lm")
            left += width
    return np.asarray(page)


def cells() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """What each cell says and how it looks, uint8 [48, width], row by row; empty cells left out."""
    table = _table()
    while rows := [row for row, _ in zip(table, range(_ROWS_PER_PAGE), strict=False)]:
        page = draw_page(rows)
        for index, texts in enumerate(rows):
            left, top = 0, index * _HEIGHT
            for text, (_, _, width) in zip(texts, _COLUMNS, strict=True):
                if text:
                    yield text, page[top : top + _HEIGHT, left : left + width]
                left += width


def _crops(width: int) -> Iterator[Row]:
    """Crops as PP-OCR takes them, float32 [3, 48, width] in [-1, 1], zeros to the right.

    Always of one width: a recogniser that pads each batch to its widest crop makes a crop's bytes
    depend on its neighbours, and no cache could find it again.
    """
    for _, cell in cells():
        crop = np.zeros((3, _HEIGHT, width), np.float32)
        crop[:, :, : cell.shape[1]] = (cell.astype(np.float32) / 255 - 0.5) / 0.5
        yield {"x": crop}


_REPEATS = (
    "Carriers, airports, distances and delays recur from flight to flight. The pages are drawn, "
    "so equal text in one column is equal pixel for pixel; scanned pages would not repeat."
)

TABLE_CELLS = Workload(
    name="table-cells",
    model="rapidocr_rec_v6s",
    description="Pages with the 336,776 flights that left New York City in 2013, cut into cells of "
    "48 x 320 pixels: reading a table with a text recogniser.",
    repeats=_REPEATS,
    data=("nycflights13_flights",),
    stream=lambda: _crops(320),
)

CELL_DIRECTIONS = Workload(
    name="cell-directions",
    model="rapidocr_cls_v2",
    description="The same cells at 48 x 192 pixels: is the text upright? (the step before reading it)",
    repeats=_REPEATS,
    data=("nycflights13_flights",),
    stream=lambda: _crops(192),
)
