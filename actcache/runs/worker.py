"""The process in which the compiler runs models: ``python -m actcache.runs.worker REQUEST.json`` (see ``client``)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actcache.base.typed_json import read_json, write_json
from actcache.errors import ActcacheError
from actcache.runs import requests
from actcache.runs.client import ANSWER, ERRORS, FAILURE, FILE_REFUSED
from actcache.runs.compute_frontiers import compute_frontiers
from actcache.runs.fill_store import fill_store
from actcache.runs.hash_trace import hash_trace
from actcache.runs.measure_model import ask_types, measure
from actcache.runs.play_trace import play_trace
from actcache.runs.replay_log import replay_log
from actcache.runs.verify_model import find_batch_bits, verify_model

#: What carries out a request: takes it and the working folder.
TASKS: dict[type, Callable[[Any, Path], Any]] = {
    requests.AskTypes: ask_types,
    requests.FindBatchBits: find_batch_bits,
    requests.ComputeFrontiers: compute_frontiers,
    requests.FillStore: fill_store,
    requests.HashTrace: hash_trace,
    requests.Measure: measure,
    requests.PlayTrace: play_trace,
    requests.ReplayLog: replay_log,
    requests.Verify: verify_model,
}


def main(path: Path) -> None:
    """Carry out one request and write the answer beside it."""
    # What is verified and measured here is the cache, however little these calls repeat.
    os.environ["ACTCACHE_BYPASS"] = "off"
    request = read_json(path, requests.AnyRequest)
    try:
        _answer(request, path)
    except OSError as error:
        if error.errno is None:
            raise
        # Where the disk is full, there is no room for an answer either.
        print(json.dumps([error.errno, error.strerror, str(error.filename or "") or None]), file=sys.stderr, flush=True)
        sys.exit(FILE_REFUSED)


def _answer(request: requests.Request[Any], path: Path) -> None:
    try:
        answer = TASKS[type(request)](request, path.parent)
    except ActcacheError as error:
        name = type(error).__name__
        kind = name if name in ERRORS else "InvalidModel"
        failure = requests.Failure(kind, error.message, error.file, error.node, error.hint)
        write_json(path.with_name(FAILURE), failure)
    else:
        write_json(path.with_name(ANSWER), answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
