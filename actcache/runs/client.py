"""Running the model for the compiler: to measure it and to verify the result, in a process of its own.

A model that crashes onnxruntime then costs the compilation, not the host program; and neither the host's store nor its
statistics see the compiler's runs. The other side is :mod:`actcache.runs.worker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from actcache.base.start_code import start_code
from actcache.base.typed_json import read_json, write_json
from actcache.errors import ActcacheError, InternalError, InvalidModel, InvalidSamples, LibraryError, UnsupportedAudit
from actcache.runs.progress import PROGRESS, read_progress
from actcache.runs.requests import AskTypes, Failure, Request

T = TypeVar("T")

#: Names of the answer, and of what is written instead if there is none, beside the request.
ANSWER, FAILURE = "answer.json", "failure.json"
#: The exit code of the other process if the system refuses it a file; the last line on stderr tells the OSError.
FILE_REFUSED = 74
#: Errors that cross between the processes.
ERRORS: dict[str, type[ActcacheError]] = {
    t.__name__: t for t in (InvalidModel, InvalidSamples, LibraryError, UnsupportedAudit)
}
#: Seconds between two looks at how far it is.
_PROGRESS_SECONDS = 0.5
#: Begins the other process, which is given the request.
_CODE = """
from actcache.runs.worker import main
main(sys.argv[1])
"""
#: Verification must be able to keep what it checks, whatever the environment of the host says; and its calls are none
#: of those that the host's audit log and metrics tell of, nor may they find or leave anything in its other tiers.
_ENVIRONMENT = {
    "ACTCACHE_BUDGET_BYTES": str(2 << 30),
    "ACTCACHE_NAMESPACE": "",
    "ACTCACHE_HASH": "blake3",
    "ACTCACHE_AUDIT_PATH": "",
    "ACTCACHE_METRICS_PATH": "",
    "ACTCACHE_DISK_PATH": "",
    "ACTCACHE_REMOTE_URL": "",
    "ACTCACHE_AUTO": "0",
}


def ask(request: Request[T], directory: Path, progress: Callable[[str], object] | None = None) -> T:
    """Have a request carried out by the other process and return its answer.

    Args:
        request: What to do.
        directory: A folder for request and answer, and for what the other process writes.
        progress: Told now and then how far the other process is (:mod:`actcache.runs.progress`).

    Raises:
        InvalidModel: onnxruntime refuses the model, or crashes on it.
        InvalidSamples: The model refuses a sample or a call, or no sample could be made up.
        LibraryError: The native library cannot be used.
        UnsupportedAudit: An audit log cannot be replayed.
        OSError: The other process could not write or read a file.
    """
    path, answer, failure = (directory / name for name in ("request.json", ANSWER, FAILURE))
    for old in (answer, failure, directory / PROGRESS):
        old.unlink(missing_ok=True)
    write_json(path, request)
    process = subprocess.Popen(
        [sys.executable, "-c", start_code([str(folder) for folder in sys.path if folder]) + _CODE, str(path)],
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    stderr = _wait(process, directory, progress)
    if answer.exists():
        found: T = read_json(answer, type(request).answer)
        return found
    if failure.exists():
        known: Failure = read_json(failure, Failure)
        raise ERRORS[known.kind](known.message, file=known.file, node=known.node, hint=known.hint)
    raise _unanswered(request, process.returncode, stderr)


def _wait(process: subprocess.Popen[bytes], directory: Path, progress: Callable[[str], object] | None) -> bytes:
    """Wait for a process to end and return what it said on stderr. If that is interrupted, it ends, too."""
    told, stderr = "", None
    with process:
        try:
            while stderr is None:
                with suppress(subprocess.TimeoutExpired):
                    stderr = process.communicate(timeout=_PROGRESS_SECONDS if progress else None)[1]
                if progress and (now := read_progress(directory)) != told:
                    progress(told := now)
        except BaseException:
            process.kill()
            raise
    return stderr


def _unanswered(request: Request[T], code: int, stderr: bytes) -> Exception:
    """Return the error for a process that ended without an answer."""
    said = stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing on stderr"]
    if code == FILE_REFUSED:
        return OSError(*json.loads(said[0]))
    if code < 0 and isinstance(request, AskTypes):
        hint = "if the file is not damaged, leave out the operators before or behind the model that need other types"
        problem = "onnx's inference of types, or onnxruntime loading it, crashed"
        return InvalidModel(problem, file=request.source, hint=hint)
    if code < 0:
        hint = "the model may not support these inputs: give others with --sample"
        return InvalidModel(f"onnxruntime crashed while running it ({said[0]})", file=request.source, hint=hint)
    return InternalError(f"the step {type(request).__name__} failed ({said[0]})", file=request.source)
