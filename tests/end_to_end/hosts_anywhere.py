"""A host with nothing but onnxruntime (1.18 or later) and numpy, run as a program by test_hosts_anywhere.py.

Arguments: the library, the folder to write into, and pairs of an original and what was compiled of it: `hosts.stack`,
and one with initializers that may be fed. Prints the version of onnxruntime.
"""

from __future__ import annotations

# mypy: allow-untyped-defs, allow-untyped-calls
import ctypes
import json
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort

LIBRARY, FOLDER, STACK, STACK_CACHED, FED, FED_CACHED, ZERO, ZERO_CACHED = sys.argv[1:]
WIDTH = 32
_native = ctypes.CDLL(LIBRARY)
_native.actcache_stats_json.restype = ctypes.c_size_t
_native.actcache_stats_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def counts():
    """Hits and misses of the process."""
    buffer = ctypes.create_string_buffer(_native.actcache_stats_json(None, 0) + 4096)
    _native.actcache_stats_json(buffer, len(buffer))
    regions = json.loads(buffer.value)["regions"].values()
    return np.array([sum(region[name] for region in regions) for name in ("hits", "misses")])


def opened(path, namespace=None, change=None, **entries):
    """A session; with a namespace, of the compiled model."""
    made = ort.SessionOptions()
    made.intra_op_num_threads = 2
    made.log_severity_level = 4
    for name, value in entries.items():
        made.add_session_config_entry(name.replace("__", "."), value)
    if namespace is not None:
        made.add_session_config_entry("actcache.namespace", namespace)
        made.register_custom_ops_library(LIBRARY)
    if change is not None:
        change(made)
    return ort.InferenceSession(str(path), made, providers=["CPUExecutionProvider"])


def same(got, wanted):
    assert len(got) == len(wanted) > 0
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        if one.dtype.kind == "f":
            assert np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)
        else:
            assert (one == other).all()


def played(plain, cached, rows):
    """Cold, warm, permuted, partly warm, equal rows, one row, none."""
    plays = [([0, 1, 2], 3), ([0, 1, 2], 0), ([2, 0, 1], 0), ([3, 1], 1), ([1, 1, 3], 0), ([3], 0), ([], 0)]
    for taken, missing in plays:
        x = rows[taken]
        before = counts()
        got = cached(x)
        assert (counts() - before == [len(taken) - missing, missing]).all(), taken
        same(got, plain(x))


def run(session, names=None):
    return lambda x: session.run(names, {"x": x})


def options():
    rows = np.random.default_rng(0).standard_normal((4, WIDTH)).astype(np.float32)
    original = opened(STACK)

    def parallel(made):
        made.execution_mode, made.inter_op_num_threads = ort.ExecutionMode.ORT_PARALLEL, 3

    def bare(made):
        made.enable_mem_pattern = made.enable_cpu_mem_arena = made.enable_mem_reuse = False
        made.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL

    for number, change in enumerate((None, parallel, bare)):
        played(run(original), run(opened(STACK_CACHED, f"options{number}", change)), rows)
    for names in (["best", "z"], ["y"], []):
        played(run(original, names), run(opened(STACK_CACHED, f"names{names}"), names), rows)

    for form, suffix in (("ONNX", "onnx"), ("ORT", "ort")):
        for level in (ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
            saved = Path(FOLDER) / f"saved{int(level)}.{suffix}"

            def save(made, saved=saved, level=level):
                made.optimized_model_filepath, made.graph_optimization_level = str(saved), level

            opened(STACK_CACHED, "saving", save, session__save_model_format=form)
            played(run(original), run(opened(saved, saved.name)), rows)


def memory():
    """Outputs in the host's own memory, by name, and in the memory of the input."""
    rows = np.random.default_rng(1).standard_normal((4, WIDTH)).astype(np.float32)
    original, compiled = opened(STACK), opened(STACK_CACHED, "memory")

    def bound(x):
        x = np.ascontiguousarray(x)
        y, z, best = np.empty_like(x), np.empty_like(x), np.empty(len(x), np.int64)
        binding = compiled.io_binding()
        binding.bind_cpu_input("x", x)
        for name, array in (("y", y), ("z", z), ("best", best)):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        compiled.run_with_iobinding(binding)
        return [y, z, best]

    played(run(original), bound, rows)
    states = []
    for session in (original, compiled):
        state = rows.copy()
        for _ in range(3):
            binding = session.io_binding()
            binding.bind_input("x", "cpu", 0, np.float32, state.shape, state.ctypes.data)
            binding.bind_output("y", "cpu", 0, np.float32, state.shape, state.ctypes.data)
            session.run_with_iobinding(binding)
        states.append(state)
    same(states[1:], states[:1])


def flights():
    """Many calls that return at once."""
    rows = np.random.default_rng(2).standard_normal((16, WIDTH)).astype(np.float32)
    original, compiled = opened(STACK), opened(STACK_CACHED, "flights")
    results, landed = {}, threading.Semaphore(0)

    def done(outputs, number, error):
        results[number] = error or outputs
        landed.release()

    for number in range(40):
        compiled.run_async(None, {"x": rows[number % 11 : number % 11 + 5]}, done, number)
    for _ in range(40):
        assert landed.acquire(timeout=60)
    for number in range(40):
        same(results[number], original.run(None, {"x": rows[number % 11 : number % 11 + 5]}))


def fed():
    """Initializers that are fed and left out in turn."""
    random = np.random.default_rng(3)
    original, compiled = opened(FED), opened(FED_CACHED, "fed")
    x = random.standard_normal((4, WIDTH)).astype(np.float32)
    feeds = [{"x": x}, {"x": x, "bias": np.full(WIDTH, 2, np.float32)}, {"x": x, "bias": np.full(1, 3, np.float32)}]
    for feed in (*feeds, *reversed(feeds)):
        same(compiled.run(None, feed), original.run(None, feed))
    before = counts()
    compiled.run(None, feeds[1])
    assert (counts() - before == [4, 0]).all()


def zeros():
    """0 and -0, NaNs of several payloads, and denormals that the first session of this process takes as zero."""
    original = opened(ZERO, session__set_denormal_as_zero="1")
    compiled = opened(ZERO_CACHED, "zeros", session__set_denormal_as_zero="1")
    bits = np.array([0, 1 << 31, 1, (1 << 31) + 1, 0x7FC00000, 0x7FC00001, 0xFFC00000, 0x7F800000], np.uint32)
    x = bits[:, None].repeat(4, 1).view(np.float32)
    for taken in ([0, 2, 4, 6], [1, 3, 5, 7], [0, 1, 2, 3], [7, 6, 5, 4]):
        (one,), (other,) = compiled.run(None, {"x": x[taken]}), original.run(None, {"x": x[taken]})
        assert one.tobytes() == other.tobytes(), taken
    before = counts()
    (doubled,) = compiled.run(None, {"x": x})
    assert (counts() - before == [8, 0]).all()
    assert (doubled[2].view(np.uint32) == 0).all(), "denormals are kept: nothing was tested"


if __name__ == "__main__":
    zeros()  # first: see there
    options()
    memory()
    flights()
    fed()
    print(ort.__version__)
