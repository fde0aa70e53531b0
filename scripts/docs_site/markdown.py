"""What a Markdown page links to, and what can be linked to in it. Code is no part of either."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^ *(```+|~~~+)")
_CODE = re.compile(r"(`+)((?:(?!\n\n).)+?)\1", re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Link:
    """``[text](target#anchor)``; `target` is empty for a place in the same page."""

    text: str
    target: str
    anchor: str

    @property
    def is_external(self) -> bool:
        """Whether it leads out of the repository."""
        return "://" in self.target or self.target.startswith("mailto:")


def parts(page: str) -> Iterator[tuple[str, bool]]:
    """Yield the page in parts of whole lines, and whether each is code: a fenced block, its fences included."""
    part: list[str] = []
    fence = ""
    for line in page.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if mark and not fence:
            yield "".join(part), False
            part, fence = [line], mark[1]
        elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            yield "".join([*part, line]), True
            part, fence = [], ""
        else:
            part.append(line)
    yield "".join(part), bool(fence)


def inline_code(page: str) -> Iterator[str]:
    """Yield what stands between backticks in the text of a page, line breaks as spaces."""
    for text, is_block in parts(page):
        if not is_block:
            yield from (" ".join(match[2].split()) for match in _CODE.finditer(text))


def replace_links(page: str, replace: Callable[[Link], str | None]) -> str:
    """Return the page with each link as `replace` gives it; None leaves it alone."""

    def one(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        new = replace(Link(match[1], target, anchor))
        return match[0] if new is None else new

    return "".join(text if is_block else _outside_code(text, one) for text, is_block in parts(page))


def links(page: str) -> list[Link]:
    """Return the links of a page, in order."""
    found: list[Link] = []
    replace_links(page, found.append)
    return found


def anchors(page: str) -> set[str]:
    """Return what stands behind ``#`` in links to the page's headings."""
    found: set[str] = set()
    for text, is_block in parts(page):
        for heading in () if is_block else _HEADING.findall(text):
            slug = re.sub(r"[^\w\- ]", "", _LINK.sub(r"\1", heading).lower()).replace(" ", "-")
            number = 1
            while (numbered := slug if number == 1 else f"{slug}-{number - 1}") in found:
                number += 1
            found.add(numbered)
    return found


def _outside_code(text: str, replace: Callable[[re.Match[str]], str]) -> str:
    """Replace links, also those whose text is code, but none inside of code."""
    code = [match.span() for match in _CODE.finditer(text)]

    def one(match: re.Match[str]) -> str:
        return match[0] if any(start < match.start() < end for start, end in code) else replace(match)

    return _LINK.sub(one, text)
