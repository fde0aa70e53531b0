"""The long proof by force, about ten minutes: ``python -m tests.force [--kills N] [--seed N] [--step N]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.force.faults import suffer_all
from tests.force.kills import kill_many
from tests.force.programs import ForceError, missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.force", description=__doc__)
    parser.add_argument("--kills", type=int, default=2000, help="how many processes to kill (default: 2000)")
    parser.add_argument("--step", type=int, default=1, help="fail each STEP-th file operation (default: 1, all)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the kills; default: the clock")
    options = parser.parse_args()
    if absent := missing():
        print(f"{', '.join(absent)} is missing; run: custom_ops/build.py --tests", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="actcache-force-") as folder:
        try:
            print("kills, seed", options.seed, dict(kill_many(Path(folder, "killed"), options.kills, options.seed)))
            print("faults", dict(suffer_all(Path(folder), options.step)))
        except ForceError as error:
            print(f"python -m tests.force: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
