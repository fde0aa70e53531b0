"""``python -m tests.conformance.causal``: draw graphs of sequences, prove them, and hold them to onnxruntime.

Ends with 1 if anything is wrong: a tensor that is proven and changes with later positions, or a branch for the last
positions that differs from the whole graph after any prefix.

--seed S        the first graph (default 0)
--examples N    how many seeds, each in every form (default 1000)
--form FORM     one form alone: plain, scan, past
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.conformance.causal.trial import FORMS

_TOLD_EVERY = 100


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.causal", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the first graph")
    parser.add_argument("--examples", type=int, default=1000, metavar="N", help="how many seeds")
    parser.add_argument("--form", choices=list(FORMS), help="one form alone")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    for number in range(asked.examples):
        seed = asked.seed + number
        for form in [asked.form] if asked.form else FORMS:
            trial = FORMS[form](seed)
            counts["graphs"] += 1
            counts["causal"] += trial.causal
            counts["seen to look ahead"] += trial.seen_ahead
            counts["wrong"] += bool(trial.wrong)
            for problem in trial.wrong:
                print(f"wrong: {form} {seed}: {problem}", flush=True)
        if (number + 1) % _TOLD_EVERY == 0 or number + 1 == asked.examples:
            told = ", ".join(f"{count} {what}" for what, count in counts.items())
            print(f"seed {seed}, {time.monotonic() - begun:.0f} s: {told}", flush=True)
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
