"""Lookups as columns: what is counted over millions of rows is counted in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from actcache.audit.log import LookupLine

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

#: A key in a list without spaces: two quotes, 16 digits, a comma.
_STRIDE = 19
_NO_DIGIT = 255
_DIGITS = np.full(256, _NO_DIGIT, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True)
class Rows:
    """The rows of some lookups, in order.

    Attributes:
        line: Per row the lookup that it belongs to, by number.
        outcome: Per row its letter, as a byte.
        key: Per row the first 64 bits of its key; 0 if it has none.
        keyed: Per row whether it has one.
        age: Per row the seconds since its entry was stored; -1 if it has none.
    """

    line: Ints
    outcome: npt.NDArray[np.uint8]
    key: Keys
    keyed: Flags
    age: Floats

    @classmethod
    def of(cls, lookups: Sequence[LookupLine]) -> Rows:
        """Take lookups apart."""
        counts = np.array([lookup.rows for lookup in lookups], np.int64)
        key, keyed = decode_keys(lookups)
        ages: list[float] = []
        for lookup in lookups:
            ages.extend(lookup.ages if lookup.ages is not None else (-1.0,) * lookup.rows)
        outcomes = "".join([lookup.outcomes for lookup in lookups]).encode("ascii", "replace")
        return cls(
            line=np.repeat(np.arange(len(lookups)), counts),
            outcome=np.frombuffer(outcomes, np.uint8),
            key=key,
            keyed=keyed,
            age=np.array(ages, np.float64),
        )

    def among(self, letters: str) -> Flags:
        """Per row whether its outcome is one of `letters`."""
        wanted = np.zeros(256, np.bool_)
        wanted[np.frombuffer(letters.encode(), np.uint8)] = True
        found: Flags = wanted[self.outcome]
        return found


def first_of_row(rows: Rows, length: Ints) -> Ints:
    """Return where the first position of each position's row is; of other rows, where they are themselves.

    Args:
        rows: The rows.
        length: Per row, if it is a position, how many each row of its call has; else 0.
    """
    own = np.arange(len(length))
    begins = np.searchsorted(rows.line, rows.line)  # of each row's line
    first: Ints = own - (own - begins) % np.maximum(length, 1)
    return first


def column(lookups: Sequence[Any], name: str) -> Floats:
    """Return one number of every event."""
    return np.array([getattr(lookup, name) for lookup in lookups], np.float64)


def decode_keys(lookups: Sequence[LookupLine]) -> tuple[Keys, Flags]:
    """Return the keys of all rows of some lookups, and which rows have one. What is no key counts as none."""
    texts = [bytes(lookup.keys) for lookup in lookups]
    regular = [len(text) == _STRIDE * lookup.rows + 1 for text, lookup in zip(texts, lookups, strict=True)]
    if all(regular):
        decoded = _decode_regular(texts)
        if decoded is not None:
            return decoded, np.ones(len(decoded), np.bool_)
    pieces = [_decode_one(text, lookup.rows) for text, lookup in zip(texts, lookups, strict=True)]
    return np.concatenate([key for key, _ in pieces]), np.concatenate([keyed for _, keyed in pieces])


def _decode_regular(texts: Sequence[bytes]) -> Keys | None:
    """Decode lists of nothing but keys, without spaces; None: they are not such lists."""
    joined = b",".join([text[1:-1] for text in texts if len(text) > 2]) + b","
    if len(joined) % _STRIDE:
        return np.zeros(0, np.uint64) if joined == b"," else None
    digits = _DIGITS[np.frombuffer(joined, np.uint8).reshape(-1, _STRIDE)[:, 1:17]]
    if digits.max(initial=0) == _NO_DIGIT:
        return None
    octets = (digits[:, 0::2] << 4) | digits[:, 1::2]
    return octets.view(">u8").reshape(-1).astype(np.uint64)


def _decode_one(text: bytes, rows: int) -> tuple[Keys, Flags]:
    """Decode one line's keys: null, or a list of keys and nulls."""
    key, keyed = np.zeros(rows, np.uint64), np.zeros(rows, np.bool_)
    if text == b"null":
        return key, keyed
    if len(text) == _STRIDE * rows + 1 and (regular := _decode_regular([text])) is not None:
        return regular, ~keyed
    found = msgspec.json.decode(text)
    if isinstance(found, list) and len(found) == rows:
        for row, digits in enumerate(found):
            if isinstance(digits, str) and len(digits) == 16:
                try:
                    key[row], keyed[row] = int(digits, 16), True
                except ValueError:
                    continue
    return key, keyed
