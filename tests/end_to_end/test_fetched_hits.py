"""Large hits are copied once, by CacheFetch in the branch of hits: under the real onnxruntime, in all of its modes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from audit_lines import Line, agrees_with_statistics, of
from hand_written import LIBRARY, Array, Control, Region, Tensor
from oldest import OLDEST

import actcache

#: Floats of a row: 64 KiB.
WIDTH = 1 << 14


def wide(granularity: str = "row", between: str = "") -> Region:
    """Two results, one of them as wide as the rows, the other of another type."""
    source = "x_c" if granularity == "row" else "x"
    body = f"y_m = Mul({source}, {source}) z_m = Cast<to = 7>({source})"
    inputs = [Tensor("x", shape=f"[N, {WIDTH}]")] + ([Tensor("s", "int64", "[k]")] if between else [])
    results = [Tensor("y", shape=f"[N, {WIDTH}]"), Tensor("z", "int64", f"[N, {WIDTH}]")]
    return Region(inputs[:1], results, body, granularity, inputs=inputs, fetches=True, between=between)


#: A run with another size than 1 fails between the lookup and its branch.
STOPS = wide(between="go = Reshape(miss, s)")


def session_of(model: onnx.ModelProto, *, parallel: bool = False, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if parallel:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = 2
    options.register_custom_ops_library(str(LIBRARY))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def rows(*seeds: int) -> Array:
    return np.stack([np.random.default_rng(seed).standard_normal(WIDTH, np.float32) * 9 for seed in seeds])


def check(outputs: list[Array], x: Array) -> None:
    assert np.array_equal(outputs[0], x * x)
    assert np.array_equal(outputs[1], x.astype(np.int64))


@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_the_branch_copies_what_was_found(
    control: Control, audited: Callable[[], list[Line]], granularity: str
) -> None:
    region = wide(granularity)
    session, x = session_of(region.proto()), rows(1, 2, 3)
    for _ in range(3):
        check(session.run(None, {"x": x}), x)
    lines = audited()
    lookups, copies = of(lines, "lookup", region), of(lines, "copy", region)
    assert [line["call"] for line in copies] == [line["call"] for line in lookups[1:]]
    assert all(line["copy_ns"] > 0 for line in copies)
    assert [line["bytes"] for line in lookups] == [0, 3 * x.nbytes, 3 * x.nbytes]
    agrees_with_statistics(lines, region, control.stats(region), {})


def test_equal_rows_fewer_rows_and_rows_that_are_new(control: Control, audited: Callable[[], list[Line]]) -> None:
    region = wide()
    session = session_of(region.proto(), threads=2)
    for seeds in ((1, 2, 3), (3, 1, 3, 3), (2,), (4, 1), (4, 1, 2, 3)):
        check(session.run(None, {"x": rows(*seeds)}), rows(*seeds))
    assert len(of(audited(), "copy", region)) == 3  # all but the first, and the one with a new row


def test_outputs_bound_by_the_host(control: Control) -> None:
    region = wide()
    session, x = session_of(region.proto()), rows(1, 2)
    y, z = np.empty_like(x), np.empty(x.shape, np.int64)
    binding = session.io_binding()
    for _ in range(3):
        y[:], z[:] = 0, 0
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "cpu", 0, np.float32, x.shape, y.ctypes.data)
        binding.bind_output("z", "cpu", 0, np.int64, x.shape, z.ctypes.data)
        session.run_with_iobinding(binding)
        check([y, z], x)
        binding.bind_output("y")
        binding.bind_output("z")
        session.run_with_iobinding(binding)
        check(binding.copy_outputs_to_cpu(), x)
    assert control.counts(region, "hits", "misses") == (10, 2)


def test_a_run_that_fails_in_between_holds_nothing_for_long(control: Control) -> None:
    control.invalidate()
    session, x = session_of(STOPS.proto()), rows(1, 2, 3)
    for _ in range(2):
        check(session.run(None, {"x": x, "s": np.array([1])}), x)
    for _ in range(3):
        with pytest.raises(Exception, match=r"[Rr]eshape"):
            session.run(None, {"x": x, "s": np.array([2])})
    control.invalidate()
    assert control.store()["bytes"] >= 3 * x.nbytes  # held, and counted
    assert control.is_emptied_by(lambda _: check(session.run(None, {"x": x, "s": np.array([1])}), x))


def test_a_session_that_ends_holds_nothing(control: Control) -> None:
    control.invalidate()
    session, x = session_of(STOPS.proto()), rows(4, 5, 6)
    check(session.run(None, {"x": x, "s": np.array([1])}), x)
    with pytest.raises(Exception, match=r"[Rr]eshape"):
        session.run(None, {"x": x, "s": np.array([2])})
    control.invalidate()
    assert control.store()["bytes"] >= 3 * x.nbytes
    del session
    assert control.store()["bytes"] == 0


def ours(model: onnx.ModelProto, *, parallel: bool = False) -> actcache.InferenceSession:
    """A session that tells the library when its runs fail."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if parallel:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = 2
    return actcache.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def test_runs_that_fail_at_once_hold_nothing_where_the_library_is_told(control: Control) -> None:
    control.invalidate()
    session, x = ours(STOPS.proto()), rows(1, 2, 3)
    check(session.run(None, {"x": x, "s": np.array([1])}), x)
    barrier = threading.Barrier(4)

    def fail(_: int) -> None:
        barrier.wait()
        with pytest.raises(Exception, match=r"[Rr]eshape"):
            session.run(None, {"x": x, "s": np.array([2])})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fail, range(4)))
    control.invalidate()
    assert control.store()["bytes"] == 0


@pytest.mark.parametrize("parallel", [False, True])
def test_runs_that_fail_take_nothing_from_others(control: Control, parallel: bool) -> None:
    sessions, x = [ours(STOPS.proto(), parallel=parallel) for _ in range(2)], rows(1, 2, 3)
    for session in sessions:
        check(session.run(None, {"x": x, "s": np.array([1])}), x)
    before = control.counts(STOPS, "hits")[0]

    def call(number: int) -> None:
        for turn in range(60):
            if number % 2:
                with pytest.raises(Exception, match=r"[Rr]eshape"):
                    sessions[turn % 2].run(None, {"x": x, "s": np.array([2])})
            else:
                check(sessions[turn % 2].run(None, {"x": x, "s": np.array([1])}), x)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))
    assert control.counts(STOPS, "hits")[0] == before + 4 * 60 * 3
    del session
    sessions.clear()
    control.invalidate()
    assert control.store()["bytes"] == 0


def several(count: int = 4) -> tuple[onnx.ModelProto, list[Region]]:
    """A model of several regions, whose results are outputs each."""
    regions = [wide() for _ in range(count)]
    merged = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 17, "ai.actcache": 1]> several (float[N, {WIDTH}] x) => () {{}}'
    )
    for number, region in enumerate(regions):
        part = onnx.compose.add_prefix(region.proto(), f"r{number}_", rename_inputs=False)
        merged.graph.node.extend(part.graph.node)
        merged.graph.output.extend(part.graph.output)
        merged.graph.value_info.extend(part.graph.value_info)
    return merged, regions


#: Prints, per mode, how often each call's results were copied by the branch.
PROGRAM = """
import ctypes, json, sys
import numpy as np
import onnxruntime as ort

library, model, log, width = *sys.argv[1:4], int(sys.argv[4])
native = ctypes.CDLL(library)
native.actcache_invalidate.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_double]
for mode in (ort.ExecutionMode.ORT_SEQUENTIAL, ort.ExecutionMode.ORT_PARALLEL):
    options = ort.SessionOptions()
    options.execution_mode = mode
    options.register_custom_ops_library(library)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    native.actcache_configure(b"audit_path", log.encode())
    for rows in ((1, 2), (1, 2), (2, 3), (3, 2, 2)):
        x = np.stack([np.full(width, row + 0.5, np.float32) for row in rows])
        y, z = session.run(None, {"x": x})
        assert (y == x * x).all() and (z == x.astype(np.int64)).all()
    native.actcache_configure(b"audit_path", b"")
    native.actcache_invalidate(None, None, None, 0)
with open(log) as lines:
    print([json.loads(line)["event"] for line in lines].count("copy"))
"""


@pytest.mark.parametrize("interpreter", [OLDEST, Path(sys.executable)], ids=["oldest", "this"])
def test_versions_and_modes(tmp_path: Path, interpreter: Path) -> None:
    if not interpreter.exists():
        pytest.skip("no .venv-oldest; `make test` prepares it")
    onnx.save_model(wide().proto(), tmp_path / "model.onnx")
    files = [LIBRARY, tmp_path / "model.onnx", tmp_path / "audit.jsonl"]
    done = subprocess.run(
        [interpreter, "-c", PROGRAM, *files, str(WIDTH)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "4"), done.stderr  # the second and the last of each


FEEDS = [rows(*seeds) for seeds in ((1, 2), (2, 3), (1, 2, 3), (3,))]


def call_often(session: ort.InferenceSession, number: int, problems: list[str]) -> None:
    """What one of several threads does; each begins with another call."""
    try:
        for turn in range(40):
            x = FEEDS[(turn * (number + 1)) % len(FEEDS)]
            outputs = session.run(None, {"x": x})
            for place in range(0, len(outputs), 2):
                check(outputs[place : place + 2], x)
    except Exception as error:
        problems.append(str(error))


@pytest.mark.parametrize("parallel", [False, True])
def test_threads_and_modes(control: Control, parallel: bool) -> None:
    """Three threads call one session of several regions, while a fourth throws entries away and a budget presses."""
    model, regions = several()
    session = session_of(model, parallel=parallel)
    problems: list[str] = []
    done = threading.Event()

    def press() -> None:
        while not done.wait(0.005):
            control.invalidate()

    control.configure("budget_bytes", "8MiB")
    threads = [threading.Thread(target=call_often, args=(session, number, problems)) for number in range(3)]
    presser = threading.Thread(target=press)
    for thread in (*threads, presser):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    presser.join()
    assert problems == []
    assert sum(control.counts(region, "hits")[0] for region in regions) > 0
    del session, threads
    control.invalidate()
    assert control.store()["bytes"] == 0
