"""Puts many breaks into one C++ file, each behind a switch, so that one build serves all of them.

The body of a function becomes ``{ if (Active(7)) {a changed body} else if (Active(8)) {…} else {the body} }``: whole
bodies, so that a change may be any piece of code, in a condition or over several statements.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tests.mutants.native_break import NUMBERS, Break

#: The environment's number of the mutant to be, and the file where each mutant leaves a byte that could have been one.
ACTIVE, SEEN = "MUTANT_ACTIVE", "MUTANT_SEEN"
#: The environment's limit of the time in which Python tests run without a mutant.
SECONDS = "MUTANT_SECONDS"

#: Included before all else in each file of the copy.
HEADER = f"""#pragma once
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
namespace mutants {{
struct State {{
  int active = 0;
  char* seen = nullptr;
  State() noexcept {{
    if (const char* number = std::getenv("{ACTIVE}")) active = std::atoi(number);
    const char* path = std::getenv("{SEEN}");
    const int file = path == nullptr ? -1 : ::open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void* bytes = ::mmap(nullptr, {NUMBERS}, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes != MAP_FAILED) seen = static_cast<char*>(bytes);
    ::close(file);
  }}
}};
inline bool Active(int number) noexcept {{
  static const State state;
  if (state.seen != nullptr) state.seen[number] = 1;
  return number == state.active;
}}
}}  // namespace mutants
"""

#: Comments, strings and characters, in which a brace is none.
_WORDS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)
#: What stands before a function's body; a brace that follows at once is an initializer's.
_BEFORE_BODY = re.compile(r"(\)|\bconst|\bnoexcept|\boverride|\})\s+$")


@dataclass(frozen=True)
class Switched:
    """A file with its mutants.

    Attributes:
        text: The code.
        lines: By the mutant's number the first and the last line of its body.
    """

    text: str
    lines: dict[int, tuple[int, int]]

    def mutant_at(self, line: int) -> int | None:
        """Return the number of the mutant that stands at a line."""
        return next((number for number, (first, last) in self.lines.items() if first <= line <= last), None)


def switched(source: str, breaks: Mapping[int, Break]) -> Switched:
    """Return the text of a file with breaks, by their numbers, behind switches.

    Raises:
        LookupError: A break finds nothing to change, or what it changes is not in one function's body.
    """
    bodies: dict[tuple[int, int], list[int]] = defaultdict(list)
    places = {number: one.place(source) for number, one in breaks.items()}
    functions = function_bodies(source)
    for number, (begin, end, _) in places.items():
        around = [body for body in functions if body[0] < begin and end < body[1]]
        if not around:
            raise LookupError(
                f"{breaks[number].path}: what a mutant changes is not in a function: {breaks[number].change}"
            )
        bodies[around[0]].append(number)

    text, at = "", 0
    lines = {}
    for (begin, end), numbers in sorted(bodies.items()):
        text += source[at:begin] + "{\n"
        for number in numbers:
            first, last, replacement = places[number]
            text += f"if (::mutants::Active({number}))\n"
            top = text.count("\n") + 1
            text += source[begin:first] + replacement + source[last:end]
            lines[number] = top, text.count("\n") + 1
            text += "\nelse\n"
        text += source[begin:end] + "\n}"
        at = end
    return Switched(text + source[at:], lines)


def function_bodies(source: str) -> list[tuple[int, int]]:
    """Return where the bodies of functions begin and end, braces included; what is inside of one is not listed."""
    code = _WORDS.sub(lambda match: re.sub(r"[^\n]", "_", match.group()), source)
    found: list[tuple[int, int]] = []
    depth, begin, outside = 0, None, 0
    for brace in re.finditer(r"[{}]", code):
        if brace.group() == "{":
            if begin is None and _BEFORE_BODY.search(code, max(0, brace.start() - 40), brace.start()):
                begin, outside = brace.start(), depth
            depth += 1
        else:
            depth -= 1
            if begin is not None and depth == outside:
                found.append((begin, brace.end()))
                begin = None
    return found


def line_of(source: str, one: Break) -> int:
    """Return the line of a break in the unchanged file."""
    return source.count("\n", 0, one.place(source)[0]) + 1
