"""The example of uvicorn workers on one disk store: whoever answers, a row is computed once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "09_web_workers" / "run.py"


def test_workers_share_a_store_and_a_restart_finds_everything() -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    for _ in range(3):  # on a busy machine a worker computes a row rather than wait for the disk
        done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        first, second = ([int(number) for number in re.findall(r"\d+", line)] for line in done.stdout.splitlines())
        assert sum(first[1:]) == 64 and sum(second[1:]) == 32  # each request was answered in one of these ways
        assert first[1] >= 32  # nobody found what nobody had computed
        assert second[2] == 0  # each row was asked for once
        if first[3] > 0 and second[3] >= 28:
            return
    raise AssertionError(done.stdout)
