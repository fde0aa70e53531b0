"""The process in which subjects run: ``python -m tests.conformance.worker PART``.

It reads names from standard input, one a line, and writes lines of JSON: ``{"stage": …}`` before each step, so that a
crash can be told, then ``{"outcome": …}`` (null: no such variant). onnxruntime may print what it likes: that goes
nowhere.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from tests.conformance.check import check
from tests.conformance.parts import PARTS
from tests.conformance.subject import Outcome


def main(part: str) -> None:
    """Check subjects until there are no more names."""
    os.environ["ACTCACHE_BYPASS"] = "off"  # what is checked is the cache, on however small a model
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    gc.freeze()  # every compilation collects garbage: what has been imported is none

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    for line in sys.stdin:
        outcome = _checked(part, line.rstrip("\n"), lambda stage: say({"stage": stage}))
        say({"outcome": outcome.to_json() if outcome else None})


def _checked(part: str, name: str, stage: Any) -> Outcome | None:
    stage("making")
    try:
        subject = PARTS[part].make(name)
    except Exception as error:
        return Outcome(name, "not run", rule="cannot be made", reason=f"{type(error).__name__}: {error}"[:400])
    if subject is None:
        return None
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        return check(subject, Path(folder), stage)


if __name__ == "__main__":
    main(sys.argv[1])
