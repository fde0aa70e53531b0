"""Mutants that no test can or need notice, each looked at by a person, with the reason.

A mutant is known by its file, the function around it and the change, as ``make mutants`` prints them. An entry whose
mutant is gone, or is killed now, is told at the end of a run: take it out.
"""

from __future__ import annotations

#: (path, scope, change) → why it is the same program for its users, or not worth a test.
REVIEWED: dict[tuple[str, str, str], str] = {}
