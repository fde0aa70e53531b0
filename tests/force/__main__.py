"""The long proof by force: ``python -m tests.force [--kills N] [--operations N] [--step N] [--seed N]``.

A number of 0 leaves a part out. The last line has the counts of all parts; after a failure, of those that were done.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.force.budget import keep_busy
from tests.force.faults import count_operations, suffer_all
from tests.force.kills import kill_many
from tests.force.programs import ForceError, missing
from tests.force.progress import Progress


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
    parts: dict[str, Counter[str]] = {}
    status = 0
    with tempfile.TemporaryDirectory(prefix="actcache-force-") as folder:
        try:
            _prove(Path(folder), options, parts)
        except (ForceError, KeyboardInterrupt) as error:
            print(f"python -m tests.force: {error or 'stopped'}", file=sys.stderr)
            status = 1
    print(json.dumps({"seed": options.seed, "sound": status == 0, **parts}), flush=True)
    return status


def _prove(folder: Path, options: argparse.Namespace, parts: dict[str, Counter[str]]) -> None:
    """Does each part, and adds its counts."""
    progress = Progress()
    print("seed", options.seed, flush=True)
    if options.kills:
        parts["kills at random"] = kill_many(folder / "killed", options.kills, options.seed, progress)
        print("kills at random:", dict(parts["kills at random"]), flush=True)
    if options.operations:
        parts["operations"] = keep_busy(folder / "busy", options.operations, options.seed, progress)
        print("operations:", dict(parts["operations"]), flush=True)
    if options.step:
        operations = count_operations(folder)
        parts["faults"] = suffer_all(folder, operations, options.step, progress)
        print("faults:", dict(parts["faults"]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
