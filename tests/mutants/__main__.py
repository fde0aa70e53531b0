"""``make mutants``: break each promise on purpose and see whether a test notices. docs/mutants.md says more."""

from __future__ import annotations

import argparse
import os
import sys

from tests.mutants import native_lists, python, report
from tests.mutants.groups import PYTHON
from tests.mutants.native import Native
from tests.mutants.outcome import Outcome
from tests.mutants.progress import Progress
from tests.mutants.survivors import REVIEWED

#: Of each Python function; with so many a run takes about an hour on two processors.
EACH = 10
PYTHON_SECONDS = 600


def main() -> int:
    """Try the mutants of the wanted groups; 1 if fewer were killed than should be."""
    groups = {**{name: group.promise for name, group in PYTHON.items()}, **native_lists.PROMISES}
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(groups)}; default: all")
    parser.add_argument("--each", type=int, default=EACH, help="so many of each Python function; 0: all")
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
    if unknown := set(options.groups) - set(groups):
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are {', '.join(groups)}")

    native = Native(options.jobs, options.python_seconds)
    found: dict[str, list[Outcome]] = {}
    for name in options.groups or groups:
        if name in PYTHON:
            selection = python.chosen(PYTHON[name], each=options.each)
            total = sum(map(len, selection.values()))
            outcomes = python.run(PYTHON[name], selection, jobs=options.jobs, listed=options.listed)
        else:
            total = len(native_lists.GROUPS[name])
            outcomes = native.run(name, listed=options.listed)
        progress = Progress(name, total)
        found[name] = []
        for outcome in outcomes:
            found[name].append(outcome)
            progress.add(outcome.killed)
            if not outcome.killed and outcome.key not in REVIEWED:
                print(f"{name}: {outcome}", flush=True)
        line = report.line(name, groups[name], found[name])
        print(line)
        if options.write:
            report.write(name, line)
    for line in report.outdated([outcome for outcomes in found.values() for outcome in outcomes], not options.each):
        print(f"tests/mutants/survivors.py: {line}", file=sys.stderr)
    return int(any(report.share(outcomes) < report.WANTED for outcomes in found.values()))


if __name__ == "__main__":
    sys.exit(main())
