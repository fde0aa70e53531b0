"""The long proof by force: ``python -m tests.force [--kills N] [--operations N] [--step N] [--seed N]``.

A number of 0 leaves a part out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.force.budget import keep_busy
from tests.force.faults import SORTS, count_operations, suffer_all
from tests.force.kills import kill_many
from tests.force.programs import ForceError, missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.force", description=__doc__)
    parser.add_argument("--kills", type=int, default=2000, help="how many processes to kill (default: 2000)")
    parser.add_argument("--operations", type=int, default=1_000_000, help="calls beside du (default: 1000000)")
    parser.add_argument("--step", type=int, default=1, help="fail each STEP-th file operation (default: 1, all)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="default: the clock")
    options = parser.parse_args()
    if absent := missing():
        print(f"{', '.join(absent)} is missing; run: custom_ops/build.py --tests", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="actcache-force-") as folder:
        try:
            if options.kills:
                print("kills, seed", options.seed, dict(kill_many(Path(folder, "killed"), options.kills, options.seed)))
            if options.operations:
                counts = keep_busy(Path(folder, "busy"), options.operations, options.seed)
                print("operations, seed", options.seed, dict(counts))
            if options.step:
                operations = count_operations(Path(folder))
                print("operations on files:", operations[SORTS[0]], "stores:", operations[SORTS[-1]])
                print("faults", dict(suffer_all(Path(folder), operations, options.step)))
        except ForceError as error:
            print(f"python -m tests.force: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
