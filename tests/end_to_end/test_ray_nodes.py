"""The example of Ray nodes that share a server. Ray is large: ``make test-ray`` installs it, ``make test`` does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared_server import shared_server

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "11_ray_nodes" / "run.py"


def test_the_second_node_finds_what_the_first_has_computed() -> None:
    pytest.importorskip("ray")
    with shared_server() as server:
        for _ in range(3):  # on a busy machine an answer may come too late
            server.command("FLUSHALL")
            command = [sys.executable, str(PROGRAM), f"unix://{server.socket}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            assert done.returncode == 0, done.stderr
            lines = [line for line in done.stdout.splitlines() if "node: rows computed" in line]
            first, second = ([int(number) for number in re.findall(r"\d+", line)] for line in lines)
            assert first == [16, 0]
            assert sum(second) == 16
            if second[1] > 0:
                return
    raise AssertionError(done.stdout)
