"""``make mutants``: break each promise on purpose and see whether a test notices. docs/mutants.md says more."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from tests.mutants import native, native_lists, python, report
from tests.mutants.groups import PYTHON
from tests.mutants.outcome import Outcome
from tests.mutants.survivors import REVIEWED


def main() -> int:
    """Try the mutants of the wanted groups; 1 if fewer were killed than should be."""
    groups = {**{name: group.promise for name, group in PYTHON.items()}, **native_lists.PROMISES}
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(groups)}; default: all")
    parser.add_argument("--sample", type=int, default=0, help="try so many of each group; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones a sample takes")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at a time")
    parser.add_argument("--write", action="store_true", help=f"write the table into {report.PAGE}")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(groups):
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are {', '.join(groups)}")

    found: dict[str, tuple[str, list[Outcome]]] = {}
    for name in options.groups or groups:
        found[name] = groups[name], []
        for outcome in _outcomes(name, options):
            found[name][1].append(outcome)
            if not outcome.killed and outcome.key not in REVIEWED:
                print(f"{name}: {outcome}", flush=True)
    how = f"make mutants{f' MUTANTS_SAMPLE={options.sample} MUTANTS_SEED={options.seed}' if options.sample else ''}"
    text = report.table(found, how)
    print(text)
    if options.write:
        report.write(text)
    everything = [outcome for _, outcomes in found.values() for outcome in outcomes]
    for line in report.outdated(everything, whole=not options.sample):
        print(f"tests/mutants/survivors.py: {line}", file=sys.stderr)
    return int(any(report.share(outcomes) < report.WANTED for _, outcomes in found.values()))


def _outcomes(name: str, options: argparse.Namespace) -> Iterator[Outcome]:
    if name in PYTHON:
        return python.run(PYTHON[name], sample=options.sample, seed=options.seed, jobs=options.jobs)
    return native.run(native_lists.GROUPS[name], sample=options.sample, seed=options.seed, jobs=options.jobs)


if __name__ == "__main__":
    sys.exit(main())
