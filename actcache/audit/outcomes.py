"""The letters of an audit log: what became of each row that was looked up, and of each that was computed.

The one table of them on the Python side; ``custom_ops/src/audit/outcomes.h`` has the same names, and a test compares
them. ``docs/audit.md`` says what each stands for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# Of a row in a ``lookup`` line.
HIT: Final = "h"
DUPLICATE: Final = "d"
JOINED: Final = "j"
DISK: Final = "k"
REMOTE: Final = "w"
MISS: Final = "m"
EXPIRED: Final = "e"
VERIFIED: Final = "v"
REFRESHED: Final = "r"
AGAIN: Final = "a"
BYPASSED: Final = "b"

# Of a row in a ``store`` line.
STORED: Final = "s"
REFUSED: Final = "r"
FIRST_SIGHT: Final = "f"
PRESENT: Final = "p"
EQUAL: Final = "="
DIFFERENT: Final = "x"
NOTHING: Final = "n"


class Wording(NamedTuple):
    """A letter in words: as the name of a kind of rows, and as what became of one row."""

    kind: str
    became: str


LOOKED_UP: Final = {
    HIT: Wording("hit", "found"),
    DUPLICATE: Wording("equal to an earlier row of the call", "a duplicate"),
    JOINED: Wording("joined a call that computed it", "found after waiting"),
    DISK: Wording("found on disk", "found on disk"),
    REMOTE: Wording("found on a server", "found on a server"),
    MISS: Wording("miss", "missed"),
    EXPIRED: Wording("expired or too old", "too old"),
    VERIFIED: Wording("computed to verify", "found and verified"),
    REFRESHED: Wording("refreshed", "refreshed"),
    AGAIN: Wording("there, and computed with what follows", "there, and computed with what follows it"),
    BYPASSED: Wording("bypassed", "bypassed"),
}
KEPT: Final = {
    STORED: "stored",
    REFUSED: "not worth storing",
    FIRST_SIGHT: "seen for the first time, and nothing repeated so far",
    PRESENT: "there already",
    EQUAL: "equal to its entry",
    DIFFERENT: "different from its entry",
    NOTHING: "not cacheable",
}

#: Rows whose result came out of a tier, which the log calls by this name.
TIERS: Final = {DISK: "disk", REMOTE: "remote"}
#: Rows whose result came from the cache.
REUSED: Final = HIT + DUPLICATE + JOINED + DISK + REMOTE
#: Of those, the ones whose result was copied out of the store.
FETCHED: Final = HIT + JOINED + DISK + REMOTE
#: Rows that are computed, to be stored or compared: the ``store`` line has a letter for each.
COMPUTED: Final = MISS + EXPIRED + VERIFIED + REFRESHED + AGAIN
#: Rows that had an entry when they were looked up.
HELD: Final = HIT + VERIFIED
#: Rows of which the budget decides what becomes of them; the others are reused, or computed, with any budget.
DECIDED_BY_BUDGET: Final = HIT + MISS + VERIFIED
#: Computed rows whose key is in the store afterwards.
HELD_AFTERWARDS: Final = STORED + PRESENT + EQUAL


def became(letter: str) -> str:
    """Return what became of a row that was looked up, in words."""
    return LOOKED_UP[letter].became if letter in LOOKED_UP else f"'{letter}'"


def kept(letter: str) -> str:
    """Return what became of a row that was computed, in words."""
    return KEPT.get(letter, f"'{letter}'")
