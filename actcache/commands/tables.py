"""Tables and long lines on terminals of any width: lines end between values, never within one.

What does not fit side by side, even with its texts wrapped, is printed with a line per field. Where nothing is a
terminal, text is never wrapped: whoever reads it there may search it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

#: A text that may end a line at each space; or values, each of which stays whole, with commas between them.
Cell = str | Text | Sequence[str]

#: Texts are wrapped to columns that are at least so wide.
_NARROWEST = 20
#: What a column takes besides its text: a line and a space on either side.
_BETWEEN = 3


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading.
        right: Whether its values are numbers, which stand at the right and are never wrapped.
    """

    name: str
    right: bool = False


def say(console: Console, text: str) -> None:
    """Print a line; on a terminal its words are wrapped, and what is wrapped is indented by two more."""
    for line in text.split("\n"):
        words = line.lstrip(" ")
        indent = line[: len(line) - len(words)]
        lines = _wrapped(words.split(" "), console.width, indent) if console.is_terminal else [line]
        console.print("\n".join(lines), soft_wrap=True)


def print_table(console: Console, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table that fits the console; nothing if it has no rows."""
    if not rows:
        return
    console.print(Text(f"\n{title}", style="bold"))
    console.print(fitting(columns, rows, console.width, wrap=console.is_terminal), soft_wrap=True)


def fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, wrap: bool = True, lines: bool = True
) -> RenderableType:
    """Return a table that is at most `width` wide; a line per field, if there is none.

    Args:
        columns: The columns.
        rows: Rows of cells. The first cell is a row's name.
        width: Characters of a line.
        wrap: Whether lines that hold one field are wrapped, too.
        lines: Whether the table has lines around its cells.
    """
    widths = _widths(columns, rows, width, lines)
    if widths is None:
        return Group(*_fields(columns, rows, width if wrap else None))
    table = Table() if lines else Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.name, justify="right" if column.right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_in_cell(cell, size) for cell, size in zip(row, widths, strict=False)))
    return table


def fits(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, lines: bool = True) -> bool:
    """Whether they can stand side by side."""
    return _widths(columns, rows, width, lines) is not None


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, lines: bool) -> list[int] | None:
    """Widths that texts are wrapped to, wider ones first; None if whole values do not fit side by side."""
    least, most = [], []
    for index, column in enumerate(columns):
        cells = [_values(row[index]) for row in rows if index < len(row)]
        full = max((cell_len(" ".join(values)) for values in cells), default=0)
        value = max((cell_len(value) for values in cells for value in values), default=0)
        least.append(max(cell_len(column.name), full if column.right else min(full, max(value, _NARROWEST))))
        most.append(max(cell_len(column.name), full))
    room = width - (1 + _BETWEEN * len(columns) if lines else len(columns)) - sum(least)
    if room < 0:
        return None
    for index, (low, high) in enumerate(zip(least, most, strict=True)):
        wanted = sum(high - low for low, high in zip(least[index:], most[index:], strict=True)) or 1
        given = min(high - low, room * (high - low) // wanted)
        least[index] = low + given
        room -= given
    return least


def _in_cell(cell: Cell, width: int) -> Text:
    if isinstance(cell, Text):
        return cell
    return Text("\n".join(_wrapped(_values(cell), width)))


def _fields(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> Iterator[Text]:
    label = max(cell_len(column.name) for column in columns[1:]) + 2
    for row in rows:
        yield Text(" ".join(_values(row[0])), style="bold", overflow="ignore", no_wrap=True)
        for column, cell in zip(columns[1:], row[1:], strict=False):
            head = "  " + column.name + " " * (label - cell_len(column.name))
            values = _values(cell)
            lines = [" ".join(values)] if width is None else list(_wrapped(values, width - len(head)))
            text = f"\n{' ' * len(head)}".join(lines)
            style = cell.style if isinstance(cell, Text) else ""
            yield Text(head, overflow="ignore", no_wrap=True).append(text, style=style)


def _values(cell: Cell) -> list[str]:
    """What may not be cut, commas included."""
    if isinstance(cell, Text):
        return [_printable(cell.plain)]
    if isinstance(cell, str):
        return _printable(cell).split(" ")
    values = [_printable(value) for value in cell]
    return [f"{value}," for value in values[:-1]] + values[-1:]


def _printable(text: str) -> str:
    """Names come from models, which may not write to the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _wrapped(values: Sequence[str], width: int, indent: str | None = None) -> Iterator[str]:
    """Yield lines of whole values; one that is wider than a line has a line of its own.

    With `indent`, the first line begins with it, and the others are indented by two more.
    """
    line = indent or ""
    following = "" if indent is None else f"{indent}  "
    begun = False
    for value in values:
        if begun and cell_len(line) + 1 + cell_len(value) > width:
            yield line
            line = following + value
        else:
            line = f"{line} {value}" if begun else line + value
        begun = True
    yield line
