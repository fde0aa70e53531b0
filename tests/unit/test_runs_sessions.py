"""Sessions that run models for the compiler keep to the cores that their process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from graphs import model

#: Prints the cores that threads of a process kept to one core may use, with a session in it.
PROGRAM = """
import os, sys
first = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {first})
from actcache.runs.sessions import open_session, session_options
session = open_session(sys.argv[1], session_options([]))
threads = [int(name) for name in os.listdir("/proc/self/task")]
print(first, sorted({core for thread in threads for core in os.sched_getaffinity(thread)}))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: there is no other")
def test_a_pool_keeps_to_the_cores_of_its_process(tmp_path: Path) -> None:
    onnx.save(model("g (float[N] x) => (float[N] y) { y = Exp(x) }"), tmp_path / "model.onnx")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model.onnx")]
    first, _, cores = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().partition(" ")
    assert cores == f"[{first}]"
