"""Tries mutants of the Python groups: chooses some, hands them to a pytest process, collects what it says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.groups import PythonGroup
from tests.mutants.operators import mutants_of
from tests.mutants.outcome import Outcome

#: One thread for each library: as many processes as processors run at a time.
_QUIET = {"OMP_NUM_THREADS": "1", "PYTHONPATH": ".", "PYTHONHASHSEED": "0"}


def run(group: PythonGroup, *, sample: int, seed: int, jobs: int) -> Iterator[Outcome]:
    """Try a group's mutants: `sample` of them, 0 for all."""
    everything = [(path, i) for path in group.paths() for i in range(len(mutants_of(path, Path(path).read_text())))]
    if sample and sample < len(everything):
        everything = sorted(random.Random(seed).sample(everything, sample))
    chosen: dict[str, list[int]] = {}
    for path, position in everything:
        chosen.setdefault(path, []).append(position)
    command = [sys.executable, "-m", "tests.mutants.python_tests"]
    task = json.dumps({"chosen": chosen, "jobs": jobs, "tests": group.arguments()})
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
        raise SystemExit(f"mutants of {', '.join(chosen)} could not be tried (status {process.returncode}; see above)")
