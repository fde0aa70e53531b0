"""The process in which the compiler runs models (see ``client``)."""

from __future__ import annotations

import importlib
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

#: What carries out a request, as ``module:function``: it takes the request and the working folder. What others need is
#: not loaded.
TASKS: dict[type, str] = {
    requests.AskTypes: "measure_model:ask_types",
    requests.FindBatchBits: "verify_model:find_batch_bits",
    requests.ComputeFrontiers: "compute_frontiers:compute_frontiers",
    requests.FillStore: "fill_store:fill_store",
    requests.HashTrace: "hash_trace:hash_trace",
    requests.Measure: "measure_model:measure",
    requests.PlayTrace: "play_trace:play_trace",
    requests.ReplayLog: "replay_log:replay_log",
    requests.Verify: "verify_model:verify_model",
}


def task(kind: type) -> Callable[[Any, Path], Any]:
    """Return what carries out requests of a kind."""
    module, _, function = TASKS[kind].partition(":")
    found: Callable[[Any, Path], Any] = getattr(importlib.import_module(f"actcache.runs.{module}"), function)
    return found


def main() -> None:
    """Carry out requests: each line on stdin names the file of one, beside which the answer is written; then stdout
    says that it is there. What others write to stdout goes nowhere.
    """
    answered = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # What is verified and measured here is the cache, however little these calls repeat.
    os.environ["ACTCACHE_BYPASS"] = "off"
    for line in sys.stdin:
        _carry_out(Path(json.loads(line)))
        os.write(answered, b".")


def _carry_out(path: Path) -> None:
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
        answer = task(type(request))(request, path.parent)
    except ActcacheError as error:
        name = type(error).__name__
        kind = name if name in ERRORS else "InvalidModel"
        failure = requests.Failure(kind, error.message, error.file, error.node, error.hint)
        write_json(path.with_name(FAILURE), failure)
    else:
        write_json(path.with_name(ANSWER), answer)
