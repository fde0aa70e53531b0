"""What the documentation says that can be checked: its pages, commands, settings and runnable programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_RUNNABLE = re.compile(r"<!-- runnable -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return all pages that are written for people: docs/, examples/ and those of the root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(found)


def shell_commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each command that a page shows at a ``$``, variables before it and comments left out."""
    for block in _FENCED.finditer(page):
        if block[2] != "console":
            continue
        for line in block[3].replace("\\\n", " ").splitlines():
            if line.lstrip().startswith("$ "):
                words = shlex.split(line.lstrip()[2:], comments=True)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                yield words


def fragments(page: str) -> list[str]:
    """Return the Python blocks of a page that are no programs of their own: they leave out what goes before them."""
    programs = _RUNNABLE.findall(page)
    return [block[3] for block in _FENCED.finditer(page) if block[2] == "python" and block[3] not in programs]


def runnable(page: str) -> str:
    """Return the programs of a page that are marked as runnable, one after the other."""
    return "\n".join(_RUNNABLE.findall(page))
