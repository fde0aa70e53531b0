"""Running the model for the compiler: to measure it and to verify the result, in a process of its own.

A model that crashes onnxruntime then costs the compilation, not the host program; and neither the host's store nor its
statistics see the compiler's runs. The other side is :mod:`actcache.runs.worker`.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

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
#: Begins the other process, which is given requests.
_CODE = """
from actcache.runs.worker import main
main()
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
    """Have a request carried out by a process of its own and return its answer (:meth:`OtherProcess.ask`)."""
    with OtherProcess() as other:
        return other.ask(request, directory, progress)


class OtherProcess:
    """The process that carries out requests. It is started for one, and kept for the next if that one leaves nothing in
    it that counts. At the end of the ``with`` statement that this is used in, it ends, too.
    """

    def __init__(self) -> None:
        self._running: tuple[subprocess.Popen[bytes], BinaryIO] | None = None

    def __enter__(self) -> OtherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, request: Request[T], directory: Path, progress: Callable[[str], object] | None = None) -> T:
        """Have a request carried out and return its answer.

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
        lives = self._carry_out(path, progress)
        code, stderr = (0, b"") if lives and request.leaves_nothing else self._end()
        if answer.exists():
            found: T = read_json(answer, type(request).answer)
            return found
        if failure.exists():
            known: Failure = read_json(failure, Failure)
            raise ERRORS[known.kind](known.message, file=known.file, node=known.node, hint=known.hint)
        if code < 0 and request.instead is not None:
            return self.ask(request.instead, directory, progress)
        raise _unanswered(request, code, stderr)

    def _carry_out(self, path: Path, progress: Callable[[str], object] | None) -> bool:
        """Wait until the request in a file has been carried out; return whether the process lives."""
        process = self._process()
        assert process.stdin is not None and process.stdout is not None
        told, done, milliseconds = "", False, _PROGRESS_SECONDS * 1e3 if progress else None
        said = select.poll()
        said.register(process.stdout)
        try:
            with suppress(BrokenPipeError):  # it has died, and the end of its stdout tells so
                process.stdin.write(json.dumps(str(path)).encode() + b"\n")
            while not done:
                done = bool(said.poll(milliseconds))
                if progress and (now := read_progress(path.parent)) != told:
                    progress(told := now)
            return bool(process.stdout.read(1))
        except BaseException:
            process.kill()
            raise

    def _process(self) -> subprocess.Popen[bytes]:
        """Return the process that waits for a request, started just now if there is none or if it has died."""
        if self._running is not None and self._running[0].poll() is not None:
            self._end()
        if self._running is None:
            stderr = open(os.memfd_create("stderr"), "rb")  # noqa: SIM115
            process = subprocess.Popen(
                [sys.executable, "-c", start_code([str(folder) for folder in sys.path if folder]) + _CODE],
                bufsize=0,
                env={**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **_ENVIRONMENT},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
            self._running = process, stderr
        return self._running[0]

    def _end(self) -> tuple[int, bytes]:
        """End the process, if there is one; return its exit code and what it said on stderr."""
        if self._running is None:
            return 0, b""
        (process, stderr), self._running = self._running, None
        with stderr, process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
            stderr.seek(0)
            return process.returncode, stderr.read()


def _unanswered(request: Request[T], code: int, stderr: bytes) -> Exception:
    """Return the error for a process that ended without an answer."""
    said = stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing on stderr"]
    if code == FILE_REFUSED:
        return OSError(*json.loads(said[0]))
    if code < 0 and isinstance(request, AskTypes):
        hint = "if the file is not damaged, leave out the operators before or behind the model that need other types"
        return InvalidModel("onnxruntime crashed while loading it", file=request.source, hint=hint)
    if code < 0:
        hint = "the model may not support these inputs: give others with --sample"
        return InvalidModel(f"onnxruntime crashed while running it ({said[0]})", file=request.source, hint=hint)
    return InternalError(f"the step {type(request).__name__} failed ({said[0]})", file=request.source)
