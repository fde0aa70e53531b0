"""One way in which C++ code is broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.mutants.groups import NATIVE


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

    def applied(self, root: Path) -> tuple[str, int]:
        """Return the changed text of the file, and the line of the change.

        Raises:
            LookupError: The code to find is not there, or is there more than once.
        """
        source = (root / self.path).read_text()
        found = places(source, self.find)
        if len(found) != 1:
            where = "is not there any more" if not found else f"is there {len(found)} times"
            raise LookupError(f"{self.path}: what a mutant changes {where}: {' '.join(self.find.split())}")
        begin, end = found[0]
        return f"{source[:begin]}{self.replace}{source[end:]}", source.count("\n", 0, begin) + 1


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
