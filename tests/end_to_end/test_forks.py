"""fork() while the library is in use: the child must neither hang nor see anything half written.

onnxruntime's own sessions must not cross a fork, so every session here has one thread, and the child makes its own.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import onnx
import pytest
from hand_written import squares

PRELUDE = """
import faulthandler, os, signal, sys, threading, time
import numpy as np
import onnxruntime as ort
import actcache

faulthandler.register(signal.SIGALRM, chain=True)  # a child that hangs says where, and ends

def session():
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return actcache.InferenceSession(sys.argv[1], options)

def rows(*numbers):
    return np.array([[n, n + 1, n + 2] for n in numbers], dtype=np.float32)

def run(model, *numbers):
    x = rows(*numbers)
    assert np.array_equal(model.run(None, {"x": x})[0], x * x)

def in_child(work):
    "Forks, works in the child, and waits for it to succeed."
    child = os.fork()
    if child == 0:
        signal.alarm(50)
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(squares(id="squares").proto(), path)
    return path


def run_script(model: Path, script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PRELUDE + textwrap.dedent(script), str(model)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_child_starts_with_an_empty_store_and_the_settings(model: Path) -> None:
    script = """
    actcache.configure(budget_bytes="1MiB", namespace="tenant")
    first = session()
    run(first, 1, 2)
    assert not actcache.stats()["forked"]

    def work():
        stats = actcache.stats()
        assert stats["forked"]
        assert stats["store"]["entries"] == stats["store"]["bytes"] == 0
        assert stats["store"]["budget_bytes"] == 1 << 20
        assert actcache.configuration()["namespace"] == "tenant"
        assert stats["regions"]["squares"]["misses"] == 0
        run(first, 1, 2, 3)  # an inherited kernel
        run(session(), 3, 4)  # 3 is there, and compared
        region = actcache.stats()["regions"]["squares"]
        assert (region["misses"], region["verified"], region["stored"]) == (5, 1, 4), region
        in_child(lambda: (run(session(), 1), in_child(lambda: run(session(), 1))))

    in_child(work)
    run(first, 1, 2, 5)
    stats = actcache.stats()
    assert not stats["forked"]
    assert (stats["regions"]["squares"]["hits"], stats["store"]["entries"]) == (2, 3)
    """
    run_script(model, script)


def test_forks_while_other_threads_use_everything(model: Path) -> None:
    script = """
    first = session()
    stop = threading.Event()
    failures = []

    def hammer(action):
        try:
            count = 0
            while not stop.is_set():
                count += 1
                action(count)
        except BaseException as error:
            failures.append(error)

    def work():
        assert actcache.stats()["store"]["entries"] == 0
        actcache.configure(budget_bytes="1MiB", hash="xxh3")
        own = session()
        run(own, 1, 2, 3)
        run(own, 3, 2, 1)
        assert actcache.stats()["regions"]["squares"]["hits"] == 3
        assert actcache.invalidate() == 3
        actcache.configure(hash="blake3")

    def register(count):
        options = ort.SessionOptions()
        options.add_session_config_entry("actcache.namespace", str(count % 1000))
        actcache.register(options)

    actions = [
        lambda count: run(first, count % 97, count % 89, count),
        lambda count: run(first, count % 83, -count),
        lambda count: actcache.configure(budget_bytes=(count % 7 + 1) << 11),
        lambda count: (actcache.stats(), actcache.configuration(), actcache.invalidate(str(count % 1000))),
        register,
    ]
    for action in actions:
        action(0)  # imports what it needs: Python's import locks do not survive a fork
    threads = [threading.Thread(target=hammer, args=[action], daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 4
    forks = 0
    while forks < 10 or (time.monotonic() < end and forks < 200):
        in_child(work)
        forks += 1
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    """
    run_script(model, script)
