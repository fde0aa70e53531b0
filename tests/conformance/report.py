"""What is printed and what is written of a run. The document depends on the outcomes alone: no times, no dates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import onnx
import onnxruntime as ort
from rich.console import Console
from rich.table import Table

from tests.conformance.reviewed import review
from tests.conformance.subject import VERDICTS, Outcome, StrictRefusal

#: Outcomes by the title of their part.
Found: TypeAlias = Mapping[str, Sequence[Outcome]]
_Rows: TypeAlias = list[tuple[str, ...]]

_WORDS = {
    "row": "rows",
    "mixed": "rows and whole calls",
    "prefix": "prefixes",
    "tensor": "whole calls",
    "refused": "refused",
    "not run": "not runnable here",
    "wrong": "**wrong**",
}

_HEAD = """\
# Conformance

Models that nobody here wrote (onnx's own tests, random graphs, real models), compiled and compared with the original in
plain onnxruntime. Everything that is safe is cached here, even if it saves no time. `make conformance` runs this and
writes this page. `python -m tests.conformance --help` says how to run parts of it.

Each model is compiled in four ways: with granularity `auto`, with whole calls alone, and twice with other regions
(nodes are given random times). Each result is run with an empty store, again with everything known (which has to give
the same bits), with some of its inputs changed, and after other sizes. If it is cached by rows, it is also run with
rows in another order, some of the rows, some rows known, equal rows, and row by row. Answers have to equal the
original's up to rounding: 2e-5 of the largest magnitude in the row. A larger difference counts as rounding only if a
change of inputs and weights by a millionth changes the original's answer nearly as much.

What the row analysis says of *every* intermediate tensor is compared with onnxruntime in the same way, for
every assumption about the batch. onnx's checker must accept the result (its full check if the original passes
that). Taking the regions out again must give back the same nodes and constants.

Node tests are run as they are, and with a variable batch: on axis 0 or 1 of all inputs that agree on its size, on
that of the first input alone, or with the other inputs as constants.

"""


def document(found: Found) -> str:
    """Return the page that is kept in docs."""
    outcomes = [o for part in found.values() for o in part]
    sections = [
        _HEAD,
        f"Last written with onnxruntime {ort.__version__} and onnx {onnx.__version__}.\n\n",
        "## Counts\n\n",
        _table(_counts(found)),
        _listed("Wrong", [f"`{o.name}`: {p}" for o in outcomes for p in o.problems[:1]]),
        _reasons("What stopped rows, where whole calls are cached", found, ("mixed", "tensor")),
        _reasons("What stopped everything", found, ("refused",)),
        _reasons("Why models cannot be run here", found, ("not run",)),
        _reviewed(outcomes),
    ]
    return "".join(sections)


def show(found: Found, console: Console) -> None:
    """Print the same counts."""
    _print(console, "Conformance", _counts(found))
    _print(console, "What stopped rows", _by_rule(found, ("mixed", "tensor")))
    _print(console, "What stopped everything", _by_rule(found, ("refused",)))
    _print(console, "Not runnable here", _by_rule(found, ("not run",)))


def _counts(found: Found) -> _Rows:
    head = ("", *found)
    rows = [(_WORDS[v], *(str(sum(o.verdict == v for o in part)) for part in found.values())) for v in VERDICTS]
    rows.append(("all", *(str(len(part)) for part in found.values())))
    rows.append(("comparisons", *(str(sum(o.checks for o in part)) for part in found.values())))
    rows.append(("put down to rounding", *(str(sum(o.unstable for o in part)) for part in found.values())))
    return [head, *rows]


def _by_rule(found: Found, verdicts: Sequence[str]) -> _Rows:
    counted = {part: Counter(o.rule for o in outs if o.rule and o.verdict in verdicts) for part, outs in found.items()}
    total = sum(counted.values(), Counter[str]())
    rules = sorted(total, key=lambda rule: (-total[rule], rule))
    return [("", *found), *((rule, *(str(counted[part][rule]) for part in found)) for rule in rules)]


def _reasons(title: str, found: Found, verdicts: Sequence[str]) -> str:
    rows = _by_rule(found, verdicts)
    return f"\n## {title}\n\n{_table(rows)}" if len(rows) > 1 else ""


# -- refusals that look too strict ---------------------------------------------------------------------


def _reviewed(outcomes: Iterable[Outcome]) -> str:
    kinds: dict[tuple[str, str], dict[str, StrictRefusal]] = defaultdict(dict)
    for outcome in outcomes:
        for candidate in outcome.candidates:
            kinds[candidate.rule, candidate.operator].setdefault(outcome.name, candidate)
    #: Whether needless (None: not looked at), rule, and why, to the operators and their models.
    told: dict[tuple[bool | None, str, str], dict[str, list[str]]] = defaultdict(dict)
    for (rule, operator), found in sorted(kinds.items()):
        verdict, names = review(rule, operator), sorted(found)
        why = verdict.why if verdict else found[names[0]].reason
        told[verdict.needless if verdict else None, rule, why][operator] = names
    return (
        "\n## Refusals that look too strict\n\n"
        "Here rows were refused, although in every trial each output row of the original depended only on its own input"
        " row. Each\nline has the operators and how many models they stopped, the rule with one of these models, and"
        " why. A person looked at\neach kind.\n"
        + _listed("Needless: the rows could be proven independent", _told(told, True))
        + _listed("Rightly refused: with other inputs, rows would be mixed", _told(told, False))
        + _listed("Not looked at yet", _told(told, None))
    )


def _told(told: Mapping[tuple[bool | None, str, str], Mapping[str, list[str]]], needless: bool | None) -> list[str]:
    lines = []
    for (verdict, rule, why), operators in told.items():
        if verdict is needless:
            counted = ", ".join(f"{operator} {len(names)}" for operator, names in operators.items())
            example = min(name for names in operators.values() for name in names)
            lines.append(f"{counted} (`{rule}`; `{example}`): {why}")
    return lines


# -- layout --------------------------------------------------------------------------------------------


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"\n### {title}\n\n" + "".join(f"- {line}\n" for line in lines) if lines else ""


def _table(rows: _Rows) -> str:
    return "".join(_table_lines(rows))


def _table_lines(rows: _Rows) -> Iterator[str]:
    yield _line(rows[0])
    yield "|---" + "|---:" * (len(rows[0]) - 1) + "|\n"
    yield from map(_line, rows[1:])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _print(console: Console, title: str, rows: _Rows) -> None:
    if len(rows) == 1:
        return
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if place else "left")
    for row in rows[1:]:
        table.add_row(*(cell.strip("*") for cell in row))
    console.print(table)
