"""Hosts with many threads: calls that are ended, sessions that open and close while others run, copies of sessions."""

# mypy: disable-error-code="misc"
from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hosts import WIDTH, Counts, Hosted, drawn, host, matrices, options, same, stack

import actcache

ROUNDING = 1e-6
STEPS = 60


@cache
def _slow() -> Hosted:
    """Some milliseconds a row, in steps between which a call can be ended."""
    body = "".join(f"s{n + 1} = Softplus(s{n})  " for n in range(STEPS))
    return host(
        f"""<ir_version: 8, opset_import: ["": 17]> slow (float[N, 20000] x) => (float[N, 20000] y) {{
            s0 = Neg(x)  {body} y = Neg(s{STEPS})
        }}""",
        regions=[actcache.RegionSpec("slow", ("x",), ("y",))],
    )


def rows(count: int, seed: int) -> dict[str, Any]:
    return {"x": drawn(count, 20_000, seed=seed)}


@pytest.mark.parametrize("kind", [actcache.InferenceSession, ort.InferenceSession])
@pytest.mark.parametrize("ended", ["first", "waiting", "all"])
def test_calls_that_are_ended_while_others_wait(kind: type[ort.InferenceSession], ended: str) -> None:
    """Of four calls for the same rows, one computes; whichever are ended, the others return the right rows."""
    one = _slow().again()
    made = options()
    if kind is actcache.InferenceSession:
        made.add_session_config_entry("actcache.namespace", one.namespace)
    else:
        one.registered(made)
    compiled = kind(str(one.compiled), made, providers=["CPUExecutionProvider"])
    compiled.run(None, rows(4, 1))  # how long that takes is what others are patient for
    feed = rows(6, 2)
    wanted = one.plain().run(None, feed)
    stops = [ort.RunOptions() for _ in range(4)]
    misses = one.counts().misses

    def call(number: int) -> Any:
        try:
            return compiled.run(None, feed, stops[number])
        except Exception as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call, 0)]
        end = time.monotonic() + 60
        while one.counts().misses == misses:
            assert time.monotonic() < end
        calls += [pool.submit(call, number) for number in (1, 2, 3)]
        for number in {"first": [0], "waiting": [1, 2], "all": [0, 1, 2, 3]}[ended]:
            stops[number].terminate = True
        results = [each.result(timeout=60) for each in calls]
    for number, result in enumerate(results):
        if isinstance(result, str):
            assert "terminate" in result and stops[number].terminate
        else:
            same(result, wanted)
    # Nothing is left behind: the next call finds the rows, or computes them, and waits for nobody.
    same(compiled.run(None, feed), wanted)
    got, counts = one.counted(lambda: compiled.run(None, feed))
    assert counts == Counts(6, 0)
    same(got, wanted)


def test_ended_calls_leak_nothing() -> None:
    """What was in flight is given back: the store holds the rows that it stored, and no more."""
    one = _slow().again()
    compiled = one.session()
    before = actcache.stats()["store"]["bytes"]
    for number in range(6):
        stop = ort.RunOptions()
        with ThreadPoolExecutor(1) as pool:
            called = pool.submit(lambda number=number, stop=stop: compiled.run(None, rows(3, 50 + number), stop))
            misses = one.counts().misses
            while one.counts().misses == misses and not called.done():
                pass
            stop.terminate = True
            assert called.exception(timeout=60) is None or "terminate" in str(called.exception())
    actcache.invalidate(one.namespace)
    assert actcache.stats()["store"]["bytes"] <= before
    assert one.counted(lambda: compiled.run(None, rows(3, 50)))[1] == Counts(0, 3)


def test_sessions_open_and_close_in_many_threads() -> None:
    one = stack()
    original = one.plain()
    x = drawn(16, WIDTH)
    wanted = original.run(None, {"x": x})
    begin = threading.Barrier(6)

    def work(number: int) -> int:
        random = np.random.default_rng(number)
        begin.wait(60)
        for _ in range(6):
            session = one.session(options(1 + number % 2))
            for _ in range(3):
                taken = random.integers(0, 16, random.integers(1, 9))
                same(session.run(None, {"x": x[taken]}), [output[taken] for output in wanted], ROUNDING)
            del session
        return number

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(work, range(6))) == list(range(6))
    gc.collect()
    last = one.session()
    last.run(None, {"x": x})  # compared with what the others have stored
    assert one.counted(lambda: last.run(None, {"x": x}))[1].misses == 0


def test_a_session_given_up_while_it_runs() -> None:
    """The host drops its last reference while calls are in flight; in a process of its own, as it might abort."""
    one = stack()
    program = f"""
import gc, threading
import numpy as np, onnxruntime as ort
landed = threading.Semaphore(0)
wrong = []
def done(results, number, error):
    if error or results[0].shape != (number % 5 + 1, {WIDTH}): wrong.append(error or results)
    landed.release()
for turn in range(10):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 3
    options.register_custom_ops_library({actcache.library_path()!r})
    session = ort.InferenceSession({str(one.compiled)!r}, options, providers=["CPUExecutionProvider"])
    for number in range(20):
        x = np.full((number % 5 + 1, {WIDTH}), turn * number, np.float32)
        session.run_async(None, {{"x": x}}, done, number)
        del x
    del session, options
    gc.collect()
    for _ in range(20):
        assert landed.acquire(timeout=60)
assert not wrong, wrong
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


@pytest.mark.parametrize("how", ["pickle", "state"])
def test_copies_of_sessions(how: str) -> None:
    """A host that pickles models keeps the path or the bytes and opens a session where it unpickles."""
    one = stack()
    original = one.plain()
    with pytest.raises(TypeError):
        pickle.dumps(one.session())
    kept = pickle.dumps(one.compiled.read_bytes() if how == "state" else one.compiled)
    one.check(original, one.open(pickle.loads(kept)), {"x": drawn(5, WIDTH)}, ROUNDING)


def test_providers_set_anew() -> None:
    """`set_providers` makes the session's inside again, with the options that it was made with."""
    one = stack()
    compiled = one.session()
    compiled.set_providers(["CPUExecutionProvider"])
    one.check(one.plain(), compiled, {"x": drawn(5, WIDTH)}, ROUNDING)


@pytest.mark.parametrize("mode", list(ort.ExecutionMode.__members__.values()), ids=str)
def test_several_regions_at_once(mode: ort.ExecutionMode) -> None:
    """Eight regions beside one another, each in a thread of its own where the session has them."""
    one = _wide().again()
    made = options(2)
    made.execution_mode, made.inter_op_num_threads = mode, 4
    compiled, original = one.session(made), one.plain()
    one.check(original, compiled, {"x": drawn(6, WIDTH)}, ROUNDING)
    x = drawn(24, WIDTH, seed=5)
    wanted = original.run(None, {"x": x})

    def work(number: int) -> None:
        random = np.random.default_rng(number)
        for _ in range(15):
            taken = random.integers(0, 24, random.integers(1, 12))
            same(compiled.run(None, {"x": x[taken]}), [output[taken] for output in wanted], ROUNDING)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


@cache
def _wide() -> Hosted:
    count = 8
    outputs = ", ".join(f"float[N, {WIDTH}] y{n}" for n in range(count))
    body = "  ".join(f"a{n} = MatMul(x, w{n})  y{n} = Tanh(a{n})" for n in range(count))
    return host(
        f"""<ir_version: 8, opset_import: ["": 17]> wide (float[N, {WIDTH}] x) => ({outputs}) {{ {body} }}""",
        matrices(count),
        [actcache.RegionSpec(f"wide{n}", ("x",), (f"y{n}",)) for n in range(count)],
    )
