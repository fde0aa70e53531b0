"""Where two arrays of one type and shape differ first, bit for bit, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Element:
    """The first of the elements in which two arrays differ.

    Attributes:
        index: Its index.
        values: What it is in the one and in the other.
        differing: How many elements differ, of `elements`.
        elements: How many elements there are.
        bits: The bits of numbers, in hex.
        ulps: For floats, how many representable numbers they are apart (0: -0.0 and 0.0); None, where one is no number.
        byte: For strings, the first byte in UTF-8 that differs, or the length of the shorter.
    """

    index: tuple[int, ...]
    values: tuple[np.generic | str, np.generic | str]
    differing: int
    elements: int
    bits: tuple[str, str] | None = None
    ulps: int | None = None
    byte: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the element as ``--json`` prints it."""
        bits = None if self.bits is None else list(self.bits)
        values = [value.item() if isinstance(value, np.generic) else value for value in self.values]
        known = {"index": list(self.index), "values": values, "bits": bits, "ulps": self.ulps}
        return {**known, "byte": self.byte, "differing": self.differing, "elements": self.elements}

    def __str__(self) -> str:
        one, two = (_shown(value) for value in self.values)
        text = f"{one} there, {two} here"
        if self.byte is not None:
            return f"{text}, from byte {self.byte} on"
        if isinstance(self.values[0], np.floating) and self.bits is not None:
            apart = "" if self.ulps is None else f", {self.ulps} ulp{'' if self.ulps == 1 else 's'} apart"
            return f"{text}{apart} ({self.bits[0]}, {self.bits[1]})"
        return text


def row_bits(array: Array, axis: int | None) -> Array:
    """Return what the keys see of an array: ``[rows, elements]`` of unsigned integers, or of UTF-8 strings.

    Args:
        array: Numbers, booleans, or Python strings.
        axis: The axis of the rows; None: all of it is one row.
    """
    rows = array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)
    flat = rows.reshape(rows.shape[0], -1) if rows.size else rows.reshape(rows.shape[0], 0)
    if array.dtype.kind == "O":
        encoded = np.empty(flat.shape, dtype=object)
        encoded.reshape(-1)[:] = [str(text).encode(errors="surrogatepass") for text in flat.reshape(-1)]
        return encoded
    return np.ascontiguousarray(flat).view(f"u{array.dtype.itemsize}")


def first_difference(one: Array, two: Array) -> Element | None:
    """Return the first element in which two arrays of one type and shape differ; None: they are equal."""
    left, right = row_bits(one, None)[0], row_bits(two, None)[0]
    places = np.flatnonzero(left != right)
    if not len(places):
        return None
    place = int(places[0])
    index = tuple(int(i) for i in np.unravel_index(place, one.shape)) if one.ndim else ()
    values = (one[index], two[index])
    if one.dtype.kind == "O":
        return Element(index, values, len(places), len(left), byte=_first_byte(left[place], right[place]))
    digits = 2 * one.dtype.itemsize
    bits = (f"0x{int(left[place]):0{digits}x}", f"0x{int(right[place]):0{digits}x}")
    finite = one.dtype.kind == "f" and all(np.isfinite(values))
    ulps = abs(_order(int(left[place]), 4 * digits) - _order(int(right[place]), 4 * digits)) if finite else None
    return Element(index, values, len(places), len(left), bits, ulps)


def _order(bits: int, width: int) -> int:
    """Number the floats of a width in their order: from bits with a sign to a signed integer."""
    sign = 1 << (width - 1)
    return sign - bits if bits & sign else bits


def _first_byte(one: bytes, two: bytes) -> int:
    shorter = min(len(one), len(two))
    return next((i for i in range(shorter) if one[i] != two[i]), shorter)


def _shown(value: np.generic | str) -> str:
    text = str(value) if isinstance(value, np.generic) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
