"""What became of one mutant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One mutant, tried.

    Attributes:
        path: The file, from the repository's root.
        scope: The function around the change; for C++ the promise that it breaks.
        change: The code before and after.
        line: Where it is today.
        result: ``killed…`` or ``survived…``.
    """

    path: str
    scope: str
    change: str
    line: int
    result: str

    @property
    def killed(self) -> bool:
        """Whether a test noticed."""
        return self.result.startswith("killed")

    @property
    def key(self) -> tuple[str, str, str]:
        """What the list of survivors knows it by: no line, for lines move."""
        return self.path, self.scope, self.change

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.scope or 'module'}: {self.change}: {self.result}"
