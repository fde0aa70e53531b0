"""``python -m tests.conformance``: every part, in worker processes; ends with 1 when anything is wrong.

A complete run writes ``docs/conformance.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.conformance import report
from tests.conformance.parts import PARTS
from tests.conformance.pool import outcomes
from tests.conformance.subject import Outcome

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def main() -> int:
    """Run, print the counts, and write the document when everything was run."""
    asked = _arguments()
    console = Console()
    found: dict[str, list[Outcome]] = {}
    for part in asked.part or PARTS:
        names = [name for name in PARTS[part].names(asked.examples, asked.seed) if asked.filter in name]
        found[PARTS[part].title] = _run(part, names, asked.workers, console)
    report.show(found, console)
    if asked.json:
        lines = [json.dumps(o.to_json()) for outcomes_of in found.values() for o in outcomes_of]
        Path(asked.json).write_text("".join(f"{line}\n" for line in lines))
    if {**vars(asked), "workers": 0, "json": None} == {**vars(_arguments([])), "workers": 0}:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(report.document(found))
    return 1 if any(o.verdict == "wrong" for outcomes_of in found.values() for o in outcomes_of) else 0


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS), help="one part alone; may be repeated")
    parser.add_argument("--filter", default="", metavar="TEXT", help="subjects whose name has this in it")
    parser.add_argument("--examples", type=int, default=2000, metavar="N", help="how many random graphs")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which random graphs")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--json", metavar="PATH", help="write every outcome, one a line")
    return parser.parse_args(given)


def _run(part: str, names: list[str], workers: int, console: Console) -> list[Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    found: list[Outcome] = []
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(PARTS[part].title, total=len(names))
        for outcome in outcomes(part, names, workers):
            progress.advance(bar)
            if outcome is None:
                continue
            found.append(outcome)
            if outcome.verdict == "wrong":
                console.print("wrong", outcome.name, style="bold red", markup=False)
                console.print(*outcome.problems, sep="\n", markup=False)
    return sorted(found, key=lambda outcome: outcome.name)


if __name__ == "__main__":
    sys.exit(main())
