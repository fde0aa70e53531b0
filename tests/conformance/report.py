"""What is printed and what is written of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console

from tests.conformance.subject import Outcome

Found = Mapping[str, Sequence[Outcome]]


def show(found: Found, console: Console) -> None:
    for part, outs in found.items():
        console.print(part, Counter(o.verdict for o in outs), "checks", sum(o.checks for o in outs), "unstable", sum(o.unstable for o in outs))
        for verdict in ("refused", "tensor", "not run"):
            console.print(verdict, Counter(o.rule for o in outs if o.verdict == verdict))


def document(found: Found) -> str:
    return ""
