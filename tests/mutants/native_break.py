"""One way in which C++ code is broken on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from tests.mutants.groups import NATIVE

#: Numbers of mutants are below this.
NUMBERS = 65536


@dataclass(frozen=True)
class Break:
    """A change of C++ code.

    Attributes:
        file: Below ``custom_ops/src``.
        find: Code that stands there exactly once; white space of any kind and length matches any other.
        replace: What stands there instead.
        promise: What this breaks, in a few words.
        lock: A lock is left out: clang's thread safety analysis has to notice, not a test.
    """

    file: str
    find: str
    replace: str
    promise: str
    lock: bool = False

    @property
    def path(self) -> str:
        """The file, from the repository's root."""
        return f"{NATIVE}/{self.file}"

    @property
    def change(self) -> str:
        """The change in one line."""
        return " → ".join(" ".join(text.split())[:90] or "nothing" for text in (self.find, self.replace))

    def place(self, source: str) -> tuple[int, int, str]:
        """Return where the change begins and ends in the text of the file, and what stands there instead.

        What `find` and `replace` have in common at both ends is no part of it.

        Raises:
            LookupError: The code to find is not there, or is there more than once.
        """
        found = places(source, self.find)
        if len(found) != 1:
            where = "is not there any more" if not found else f"is there {len(found)} times"
            raise LookupError(f"{self.path}: what a mutant changes {where}: {' '.join(self.find.split())}")
        begin, end = found[0]
        old, new = source[begin:end], self.replace
        before = _common(old, new)
        after = _common(old[before[0] :][::-1], new[before[1] :][::-1])
        return begin + before[0], end - after[0], new[before[1] : len(new) - after[1]]


def numbered(breaks: Iterable[Break]) -> dict[int, Break]:
    """Give each break a number that stays the same while others come and go, so that only changed files are rebuilt."""
    found: dict[int, Break] = {}
    for one in breaks:
        number = crc32(f"{one.file}\0{one.change}\0{one.promise}".encode()) % (NUMBERS - 1) + 1
        while number in found:
            number = number % (NUMBERS - 1) + 1
        found[number] = one
    return found


def _common(one: str, other: str) -> tuple[int, int]:
    """How many characters of each text are the same, white space aside."""
    i = j = 0
    same = 0, 0
    while i < len(one) and j < len(other):
        if one[i].isspace():
            i += 1
        elif other[j].isspace():
            j += 1
        elif one[i] == other[j]:
            i, j = i + 1, j + 1
            same = i, j
        else:
            break
    return same


def places(source: str, wanted: str) -> list[tuple[int, int]]:
    """Return where a text begins and ends, however it is broken into lines."""
    kept = [i for i, character in enumerate(source) if not character.isspace()]
    dense, pattern = "".join(source[i] for i in kept), "".join(wanted.split())
    found = []
    at = dense.find(pattern)
    while at >= 0:
        found.append((kept[at], kept[at + len(pattern) - 1] + 1))
        at = dense.find(pattern, at + 1)
    return found
