"""Tries mutants of the Python groups: chooses some, hands them to a pytest process, collects what it says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.mutants.groups import PythonGroup
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.outcome import Outcome
from tests.mutants.survivors import REVIEWED

#: One thread for each library: as many processes as processors run at a time.
_QUIET = {"OMP_NUM_THREADS": "1", "PYTHONPATH": ".", "PYTHONHASHSEED": "0"}

#: Positions in the list of a module's mutants, by the module's path.
Chosen = dict[str, list[int]]


def chosen(group: PythonGroup, *, each: int, only: str = "") -> Chosen:
    """Choose at most `each` mutants of every function, spread over it, always the same; 0: all of them.

    Outside of functions each statement counts by itself: a registration, a table. Only those whose description
    contains `only` are looked at.
    """
    found: Chosen = {}
    for path in group.paths():
        functions: dict[tuple[str, int], list[int]] = defaultdict(list)
        for position, mutant in enumerate(mutants_of(path, Path(path).read_text())):
            if only in str(mutant):
                functions[mutant.scope, 0 if mutant.scope else mutant.line].append(position)
        picked = [position for positions in functions.values() for position in _spread(positions, each)]
        found[path] = sorted(picked)
    return found


def sampled(group: PythonGroup, *, size: int, seed: int, only: str = "") -> Chosen:
    """Choose `size` of all mutants of a group by chance, the same ones for each `seed`; all if there are fewer."""
    everything = [(path, position) for path, some in chosen(group, each=0, only=only).items() for position in some]
    found: Chosen = defaultdict(list)
    for path, position in sorted(random.Random(seed).sample(everything, min(size, len(everything)))):
        found[path].append(position)
    return found


def _spread(positions: list[int], most: int) -> list[int]:
    if not most or len(positions) <= most:
        return positions
    return [positions[place * len(positions) // most] for place in range(most)]


def run(group: PythonGroup, selection: Mapping[str, list[int]], *, jobs: int, listed: bool) -> Iterator[Outcome]:
    """Try a group's mutants.

    Args:
        group: What is mutated, and its tests.
        selection: As :func:`chosen` gives it.
        jobs: Processes at a time.
        listed: Try the reviewed survivors, too; otherwise they are told as survivors at once.
    """
    waiting: Chosen = {}
    for path, positions in selection.items():
        mutants = mutants_of(path, Path(path).read_text())
        skipped = {position for position in positions if not listed and mutants[position].key in REVIEWED}
        waiting[path] = [position for position in positions if position not in skipped]
        for position in sorted(skipped):
            yield _outcome(mutants[position], "survived: listed")
    if any(waiting.values()):
        yield from _tried(group, waiting, jobs)


def _outcome(mutant: Mutant, result: str) -> Outcome:
    return Outcome(mutant.path, mutant.scope, mutant.change, mutant.line, result)


def _tried(group: PythonGroup, waiting: Chosen, jobs: int) -> Iterator[Outcome]:
    command = [sys.executable, "-m", "tests.mutants.python_tests"]
    task = json.dumps({"chosen": waiting, "jobs": jobs, "tests": group.arguments()})
    environment = {**os.environ, **_QUIET}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        with process.stdin as told:
            told.write(task)
        for line in process.stdout:
            said = json.loads(line)
            path, scope, change = said["key"]
            yield Outcome(path, scope, change, said["line"], said["result"])
    if process.returncode:
        raise SystemExit(f"mutants of {', '.join(waiting)} could not be tried (status {process.returncode}; see above)")
