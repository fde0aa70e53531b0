"""A host program in a process of its own, which serves a compiled model while tests watch it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

_END_TO_END = Path(__file__).resolve().parents[1] / "end_to_end"

#: Rows of a region whose name needs escaping everywhere; half of them repeat.
NAME = 'squares "q" \\ ä'

_PROGRAM = """
import itertools, sys, time
sys.path.insert(0, {path!r})
import numpy as np
import onnxruntime as ort
import actcache
from hand_written import squares

proto = squares().proto()
for outer in proto.graph.node:
    inner = [node for a in outer.attribute if a.HasField("g") for node in a.g.node]
    for node in [outer, *inner]:
        for attribute in node.attribute:
            if attribute.name == "region":
                attribute.s = {name!r}.encode()
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = actcache.InferenceSession(proto.SerializeToString(), options)

def serve(calls=1):
    "Calls of 8 rows of which 4 were there before."
    for call in range(calls):
        serve.seen += 1
        x = np.arange(8)[:, None] + np.full((1, 3), serve.seen * 4)
        session.run(None, {{"x": x.astype(np.float32)}})
serve.seen = 0

{body}
"""

T = TypeVar("T")


def command(body: str) -> list[str]:
    """Returns the command that runs `body`, in which ``serve(calls)`` is defined."""
    return [sys.executable, "-c", _PROGRAM.format(path=str(_END_TO_END), name=NAME, body=body)]


@contextmanager
def host(body: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Runs `body` in a process, and ends it."""
    process = subprocess.Popen(
        command(body),
        env={**os.environ, "ACTCACHE_BYPASS": "off", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def eventually(find: Callable[[], T | None], seconds: float = 60) -> T:
    """Returns what `find` finds once it finds something."""
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


SERVE_HTTP = """
import prometheus_client
actcache.configure(metrics_path={path!r})
registry = prometheus_client.CollectorRegistry()
registry.register(actcache.metrics.Collector())
server, _ = prometheus_client.start_http_server(0, addr="127.0.0.1", registry=registry)
serve({calls})
print(server.server_port, flush=True)
input()
"""
