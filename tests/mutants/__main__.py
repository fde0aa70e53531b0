"""``make mutants``: break each promise on purpose and see whether a test notices. docs/mutants.md says more."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from tests.mutants import native_lists, python, report
from tests.mutants.groups import PYTHON
from tests.mutants.native import Native
from tests.mutants.outcome import Outcome
from tests.mutants.progress import Progress
from tests.mutants.survivors import REVIEWED

#: Of each Python function; with so many a run takes about an hour on two processors.
EACH = 10
PYTHON_SECONDS = 600
#: What each group is for.
GROUPS = {**{name: group.promise for name, group in PYTHON.items()}, **native_lists.PROMISES}


def main() -> int:
    """Try the mutants of the wanted groups; 1 if fewer were killed than should be."""
    options = _options()
    native = Native(options.jobs, options.python_seconds)
    found: dict[str, list[Outcome]] = {}
    for name in options.groups or GROUPS:
        total, everything, outcomes = _python(name, options) if name in PYTHON else _native(native, name, options)
        progress = Progress(name, total)
        found[name] = []
        for outcome in outcomes:
            found[name].append(outcome)
            progress.add(outcome.killed)
            if not outcome.killed and outcome.key not in REVIEWED:
                print(f"{name}: {outcome}", flush=True)
        line = report.line(name, GROUPS[name], found[name], everything)
        print(line)
        if options.write:
            report.write(name, line)
    whole = not (options.each or options.sample or options.only)
    for line in report.outdated([outcome for outcomes in found.values() for outcome in outcomes], whole):
        print(f"tests/mutants/survivors.py: {line}", file=sys.stderr)
    return int(any(report.share(outcomes) < report.WANTED for outcomes in found.values()))


def _python(name: str, options: argparse.Namespace) -> tuple[int, int, Iterator[Outcome]]:
    """How many mutants of a Python group are tried, how many there are, and what becomes of them."""
    group = PYTHON[name]
    if options.sample:
        selection = python.sampled(group, size=options.sample, seed=options.seed, only=options.only)
    else:
        selection = python.chosen(group, each=options.each, only=options.only)
    total, everything = (sum(map(len, some.values())) for some in (selection, python.chosen(group, each=0)))
    return total, everything, python.run(group, selection, jobs=options.jobs, listed=options.listed)


def _native(native: Native, name: str, options: argparse.Namespace) -> tuple[int, int, Iterator[Outcome]]:
    """Likewise, of a C++ group."""
    total, everything = len(native.numbers(name, only=options.only)), len(native_lists.GROUPS[name])
    return total, everything, native.run(name, listed=options.listed, only=options.only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--each", type=int, default=EACH, help="so many of each Python function; 0: all")
    parser.add_argument("--sample", type=int, help="instead: so many of all mutants of each Python group, by chance")
    parser.add_argument("--seed", type=int, default=0, help="which sample; default: 0")
    parser.add_argument("--only", default="", help="only mutants whose line, as it is printed, contains this")
    parser.add_argument("--listed", action="store_true", help="try those that are listed as survivors, too")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    parser.add_argument(
        "--python-seconds",
        type=int,
        default=PYTHON_SECONDS,
        help="how long a C++ group's Python tests run without a mutant at most, before they are asked about what the "
        "C++ tests leave alive; 0: never",
    )
    parser.add_argument("--write", action="store_true", help=f"write the results into the table of {report.PAGE}")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if options.only and options.write:
        parser.error("--write takes whole groups: leave --only out")
    return options


if __name__ == "__main__":
    sys.exit(main())
