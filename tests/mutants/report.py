"""The table of docs/mutants.md, written by the program that measured it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.outcome import Outcome
from tests.mutants.survivors import REVIEWED

PAGE = Path("docs/mutants.md")
BEGIN, END = "<!-- table: written by make mutants -->", "<!-- end of the table -->"
HEAD = """| group | what it holds | tried | killed | listed | survived | killed of those not listed |
|---|---|---:|---:|---:|---:|---:|"""

#: What has to be reached, of the mutants that are not reviewed survivors.
WANTED = 0.95


def share(outcomes: Sequence[Outcome]) -> float:
    """Return the killed share of mutants that are not listed as equivalent."""
    counted = [outcome for outcome in outcomes if outcome.killed or outcome.key not in REVIEWED]
    return sum(outcome.killed for outcome in counted) / len(counted) if counted else 1.0


def line(name: str, promise: str, outcomes: Sequence[Outcome], everything: int) -> str:
    """Return a group's line of the table; `everything` is how many mutants it has, tried or not."""
    counts = Counter(_kind(outcome) for outcome in outcomes)
    numbers = " | ".join(str(counts[kind]) for kind in ("killed", "listed", "survived"))
    tried = len(outcomes) if len(outcomes) == everything else f"{len(outcomes)} of {everything:,}"
    return f"| {name} | {promise} | {tried} | {numbers} | {share(outcomes):.1%} |"


def _kind(outcome: Outcome) -> str:
    return "killed" if outcome.killed else "listed" if outcome.key in REVIEWED else "survived"


def write(name: str, new: str) -> None:
    """Put a group's line into the table of the page; the lines of other groups stay."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    lines = [old for old in table.strip().splitlines()[2:] if not old.startswith(f"| {name} |")]
    PAGE.write_text("\n".join([f"{before}{BEGIN}", HEAD, *lines, new, f"{END}{after}"]))


def outdated(outcomes: Sequence[Outcome], whole: bool) -> list[str]:
    """Entries of the list of survivors that are killed now or, after a `whole` run of their files, gone."""
    killed = {outcome.key for outcome in outcomes if outcome.killed}
    tried, paths = {outcome.key for outcome in outcomes}, {outcome.path for outcome in outcomes}
    found = [f"is killed now: {key}" for key in REVIEWED if key in killed]
    if whole:
        found += [f"is gone: {key}" for key in REVIEWED if key[0] in paths and key not in tried]
    return found
