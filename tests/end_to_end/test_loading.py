"""The library comes and goes with the sessions that use it, also while others run."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from hand_written import LIBRARY, Control, batch, squares


def test_what_is_cached_outlives_the_last_session_without_the_package(tmp_path: Path) -> None:
    """onnxruntime closes the library with its last user; the store must not go with it."""
    onnx.save(squares(id="squares").proto(), tmp_path / "model.onnx")
    script = f"""
        import ctypes, gc, json
        import numpy as np, onnxruntime as ort

        def run():
            options = ort.SessionOptions()
            options.register_custom_ops_library({str(LIBRARY)!r})
            model = ort.InferenceSession({str(tmp_path / "model.onnx")!r}, options, providers=["CPUExecutionProvider"])
            x = np.arange(12, dtype=np.float32).reshape(4, 3)
            for _ in range(2):
                assert np.array_equal(model.run(None, {{"x": x}})[0], x * x)

        for _ in range(5):
            run()
            gc.collect()
        buffer = ctypes.create_string_buffer(10000)
        ctypes.CDLL({str(LIBRARY)!r}).actcache_stats_json(buffer, len(buffer))
        region = json.loads(buffer.value)["regions"]["squares"]
        # Each further session first computes what another one stored, to compare it.
        assert (region["stored"], region["verified"], region["hits"]) == (4, 16, 20), region
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_sessions_come_and_go_while_others_run(control: Control) -> None:
    region = squares()
    lasting = region.session()
    rounds = 30
    failures: list[BaseException] = []

    def check(session: ort.InferenceSession, start: int) -> None:
        x = batch(*range(start, start + 8))
        assert np.array_equal(session.run(None, {"x": x})[0], x * x)

    def run_one_session(round_: int) -> None:
        for i in range(10):
            check(lasting, 10 * round_ + i)

    def create_sessions(round_: int) -> None:
        # Of some settings there is a session already, of others this is the first.
        check(region.session(namespace=f"tenant{round_ % 7}", ttl_seconds=str(1 + round_ % 3)), round_)
        gc.collect()

    def change_the_store(round_: int) -> None:
        control.configure("budget_bytes", str((1 + round_ % 5) << 12))
        control.invalidate(f"tenant{round_ % 7}")
        control.stats(region)

    def repeated(work: Callable[[int], None]) -> None:
        try:
            for round_ in range(rounds):
                work(round_)
        except BaseException as error:
            failures.append(error)

    works = [run_one_session, run_one_session, create_sessions, create_sessions, change_the_store]
    threads = [threading.Thread(target=repeated, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert control.counts(region, "lookups", "anomalies") == (8 * rounds * (2 * 10 + 2), 0)
