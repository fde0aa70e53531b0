"""What repeats in a stream of calls, counted without a cache: equal bytes of what a part of a model reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models import Feed

Keys = Callable[[Feed], list[bytes]]


@dataclass(frozen=True)
class Part:
    """A part of a model whose inputs can repeat.

    Attributes:
        name: What it reads, in the plural.
        share: Its share of the model's arithmetic, from 0 to 1. What is in no part is computed in every call.
        keys: Gives the content of each unit that it reads in a call: equal keys, equal results.
        by_rows: Its units are the rows of a batch.
    """

    name: str
    share: float
    keys: Keys
    by_rows: bool = True


def rows_of_inputs(*names: str) -> Keys:
    """Return what gives each row of some inputs, which have their rows on axis 0; of all inputs, if none is named."""

    def keys(feed: Feed) -> list[bytes]:
        columns = [feed[name] for name in names or sorted(feed)]
        return [_digest(*(column[row].tobytes() for column in columns)) for row in range(len(columns[0]))]

    return keys


#: Whole rows: all that repeats in a model whose outputs depend on all of its inputs.
ROWS = Part("rows", 1.0, rows_of_inputs())


def beginnings(name: str) -> Keys:
    """Return what gives each position of a sequence of a batch of one, with all that is before it."""

    def keys(feed: Feed) -> list[bytes]:
        sequence = feed[name][0]
        return [_digest(sequence[: end + 1].tobytes()) for end in range(len(sequence))]

    return keys


@dataclass(frozen=True)
class Repeats:
    """What repeats in some calls.

    Attributes:
        by_part: The share of units that were in an earlier call, or before in the same call.
        total: The share of the model's arithmetic that need not be done again: what a cache of any size could save.
        new: For each call the places of its new rows, and the share of the arithmetic that they need, for each part;
            None where parts do not go by rows.
    """

    by_part: dict[str, float]
    total: float
    new: list[list[tuple[list[int], float]]] | None

    @staticmethod
    def of(calls: Sequence[Feed], parts: Sequence[Part]) -> Repeats:
        """Count them."""
        places = {part.name: _new_places(calls, part.keys) for part in parts}
        units = {part.name: sum(len(part.keys(feed)) for feed in calls) for part in parts}
        by_part = {name: 1 - sum(map(len, new)) / units[name] for name, new in places.items()}
        total = sum(part.share * by_part[part.name] for part in parts)
        new = [[(places[part.name][call], part.share) for part in parts] for call in range(len(calls))]
        rounded = {name: round(share, 4) for name, share in by_part.items()}
        return Repeats(rounded, total, new if all(part.by_rows for part in parts) else None)


def _new_places(calls: Sequence[Feed], keys: Keys) -> list[list[int]]:
    seen: set[bytes] = set()
    found: list[list[int]] = []
    for feed in calls:
        new = []
        for place, key in enumerate(keys(feed)):
            if key not in seen:
                seen.add(key)
                new.append(place)
        found.append(new)
    return found


def _digest(*contents: bytes) -> bytes:
    return hashlib.blake2b(b"".join(contents), digest_size=16).digest()
