"""A few worker processes that take many subjects each. A crash or a hang costs one subject and a new process."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from tests.conformance.parts import PARTS
from tests.conformance.subject import Outcome


def outcomes(part: str, names: Sequence[str], workers: int = 2) -> Iterator[Outcome | None]:
    """Check the subjects of these names, and yield what came of each as it is ready (None: no such variant)."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    done: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    threads = [threading.Thread(target=_serve, args=(part, waiting, done), daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for _ in names:
        yield done.get()
    for thread in threads:
        thread.join()


def _serve(part: str, waiting: queue.SimpleQueue[str], done: queue.SimpleQueue[Outcome | None]) -> None:
    worker = Worker(part)
    while True:
        try:
            name = waiting.get_nowait()
        except queue.Empty:
            worker.stop()
            return
        done.put(worker.check(name))


class Worker:
    """One process, started when it is needed."""

    def __init__(
        self, part: str, command: Sequence[str] = ("-m", "tests.conformance.worker"), seconds: float | None = None
    ) -> None:
        self._command = [sys.executable, *command, part]
        self._seconds = PARTS[part].seconds if seconds is None else seconds
        self._process: subprocess.Popen[str] | None = None

    def check(self, name: str) -> Outcome | None:
        """Check one subject. A process that dies of it makes a verdict of its own: see :func:`died`."""
        process = self._started()
        assert process.stdin and process.stdout
        process.stdin.write(name + "\n")
        process.stdin.flush()
        stage, late = "starting", threading.Event()

        def kill() -> None:
            late.set()
            process.kill()

        alarm = threading.Timer(self._seconds, kill)
        alarm.start()
        try:
            for line in process.stdout:
                message: dict[str, Any] = json.loads(line)
                if "outcome" in message:
                    return Outcome.from_json(message["outcome"]) if message["outcome"] else None
                stage = message["stage"]
        finally:
            alarm.cancel()
        code = self._ended(process)
        return died(name, stage, f"takes more than {self._seconds:g} s" if late.is_set() else f"ends with {code}")

    def stop(self) -> None:
        """Let the process end."""
        if self._process is not None:
            self._ended(self._process)

    def _ended(self, process: subprocess.Popen[str]) -> int:
        """Close what is open to a process that ends, or has ended; return its exit code."""
        self._process = None
        with contextlib.suppress(BrokenPipeError):
            process.communicate()
        return process.returncode

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        return self._process


def died(name: str, stage: str, how: str) -> Outcome:
    """Return the verdict on a process that died: the original's fault, or wrong."""
    if stage.startswith(("original", "making")):
        return Outcome(name, "not run", rule="onnxruntime crashes", reason=f"{stage}: the process {how}")
    return Outcome(name, "wrong", problems=[f"{stage}: the process {how}"])
