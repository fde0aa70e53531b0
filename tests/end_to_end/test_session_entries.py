"""Config entries of a session: every kernel goes by those of its own, whenever they were added to the options.

From onnxruntime 1.24 on kernels are told. Before that only what was there at registration counts, and a session without
a namespace there keeps to itself. The programs run under the oldest onnxruntime that is supported and under this one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from oldest import OLDEST, play

PREAMBLE = """
import ctypes, json, sys, time
import numpy as np
import onnxruntime as ort

library, original, compiled, granularity = sys.argv[1:]
told = tuple(map(int, ort.__version__.split(".")[:2])) >= (1, 24)   # whether kernels see entries that are added late
native = ctypes.CDLL(library)
native.actcache_stats_json.restype = ctypes.c_size_t
native.actcache_stats_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
reference = ort.InferenceSession(original, providers=["CPUExecutionProvider"])
fresh = np.random.default_rng(0)

def entered(options, entries):
    for name, value in entries.items():
        options.add_session_config_entry(name, value)

def options(before={}, after={}):
    made = ort.SessionOptions()
    made.log_severity_level = 3
    entered(made, before)
    made.register_custom_ops_library(library)
    entered(made, after)
    return made

def session(made):
    return ort.InferenceSession(compiled, made, providers=["CPUExecutionProvider"])

def counted():
    buffer = ctypes.create_string_buffer(native.actcache_stats_json(None, 0) + 4096)
    native.actcache_stats_json(buffer, len(buffer))
    (region,) = json.loads(buffer.value)["regions"].values()
    return region["hits"] + region["verified"]       # rows that were found

def rows():
    return fresh.standard_normal((4, 64)).astype(np.float32)

def found(session, x):
    before = counted()
    for one, other in zip(session.run(None, {"x": x}), reference.run(None, {"x": x})):
        assert np.allclose(one, other, atol=1e-3)
    return counted() - before

def shared(one, other):
    x = rows()
    assert found(one, x) == 0 and found(one, x) > 0
    return found(other, x) > 0

def name(namespace):
    return {"actcache.namespace": namespace}
"""

PROGRAMS = {
    "two tenants in either order": """
a, b = session(options(name("a"))), session(options({}, name("b")))
assert not shared(a, b) and not shared(b, a)
c, nobody = session(options({}, name("c"))), session(options())
assert not shared(b, c) and not shared(c, b)
assert not shared(b, nobody) and not shared(nobody, b)
assert shared(a, session(options(name("a"))))
assert shared(b, session(options({}, name("b")))) == told       # what is not known is not shared
assert shared(nobody, session(options())) == told
assert shared(a, session(options({}, name("a")))) == told
""",
    "one options object for two sessions": """
made = options({}, name("d"))
one = session(made)
entered(made, name("e"))
assert not shared(one, session(made))
entered(made, name("d"))
assert shared(one, session(made)) == told
""",
    "ages": """
if told:
    for late in ({"actcache.ttl_seconds": "0.05"}, {"actcache.max_entry_age": "0.05"}):
        one, x = session(options({}, late)), rows()
        assert found(one, x) == 0
        time.sleep(0.2)
        assert found(one, x) == 0, late
lasting, x = session(options({}, {"actcache.ttl_seconds": "inf"})), rows()
assert found(lasting, x) == 0
time.sleep(0.2)
assert found(lasting, x) > 0
""",
    "what makes no sense": """
for entry, value in (("namespace", "x" * 257), ("ttl_seconds", "soon"), ("max_entry_age", "-1"), ("hash", "md5")):
    wrong = {f"actcache.{entry}": value}
    for when, make in (("early", lambda: options(wrong)), ("late", lambda: session(options({}, wrong)))):
        if when == "late" and not told:
            continue
        try:
            make()
        except Exception as error:
            assert f"actcache.{entry}" in str(error) and f'"{value}"' in str(error), error
        else:
            raise AssertionError(f"{entry} was taken {when}")
""",
    "entries that change values": """
same = session(options(name("")))
for entry, value in (
    ("optimization.enable_gelu_approximation", "1"), ("session.set_denormal_as_zero", "1"),
    ("session.disable_prepacking", "1"), ("session.disable_quant_qdq", "1"), ("session.qdqisint8allowed", "1"),
    ("mlas.enable_gemm_fastmath_arm64_bfloat16", "1"), ("session.disable_aot_function_inlining", "1"),
):
    other = session(options(name("") | {entry: value}))
    assert not shared(same, other) and not shared(other, same), entry
    assert shared(other, session(options(name("") | {entry: value}))), entry
    if told:
        assert not shared(same, session(options(name(""), {entry: value}))), entry
if told:                                            # what nobody knows might change values, too
    assert not shared(same, session(options(name(""), {"ep.some.day": "1"})))
for entry, value in (
    ("session.intra_op.allow_spinning", "0"), ("session.use_env_allocators", "0"),
    ("session.load_model_format", "ONNX"), ("actcache.verify_tolerance", "0.001"),
):
    assert shared(same, session(options(name("") | {entry: value}))), entry
""",
}


@pytest.mark.parametrize("what", PROGRAMS)
@pytest.mark.parametrize("interpreter", [OLDEST, Path(sys.executable)], ids=["oldest", "this"])
def test_entries(tmp_path: Path, interpreter: Path, what: str) -> None:
    if not interpreter.exists():
        pytest.skip("no .venv-oldest; `make test` prepares it")
    play(interpreter, tmp_path, "row", PREAMBLE + PROGRAMS[what])
