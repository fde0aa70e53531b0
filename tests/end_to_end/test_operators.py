"""CacheLookup and CacheStore through plain onnxruntime, with nothing of the Python package.

The models are written by hand as ``onnx.parser`` text; the control functions are called with ctypes. The store is one
per process, so each test has a region of its own.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest

LIBRARY = Path(
    os.environ.get("ACTCACHE_LIBRARY")
    or Path(__file__).resolve().parents[2] / "actcache" / "_native" / "libactcache.so"
)
_REGIONS = itertools.count()
Array = np.ndarray[Any, Any]


# -- Models -----------------------------------------------------------------------------------------------------------


@dataclass
class Tensor:
    """A frontier tensor or a live-out: its type, its shape in the parser's syntax, and its row axis (-1: none)."""

    name: str
    type: str = "float"
    shape: str = "[N, 3]"
    axis: int = 0


@dataclass
class Region:
    """A model that is one region between CacheLookup and CacheStore.

    ``body`` is the region's nodes. They read a frontier tensor ``x`` that has rows as ``x_c``, one that has none as
    ``x``, and write a live-out ``y`` as ``y_m``.
    """

    frontier: Sequence[Tensor]
    live_outs: Sequence[Tensor]
    body: str
    granularity: str = "row"
    # Entries are shared by what regions compute, so that tests need different ones.
    fingerprint: str = field(default_factory=lambda: f"{next(_REGIONS):016x}")
    opset: int = 17
    before: str = ""  # nodes that make frontier tensors which are not inputs
    inputs: Sequence[Tensor] | None = None
    after: str = ""
    outputs: Sequence[Tensor] | None = None
    id: str = field(default_factory=lambda: f"region{next(_REGIONS)}")

    def proto(self) -> onnx.ModelProto:
        def axes(tensors: Sequence[Tensor]) -> str:
            return "[" + ", ".join(str(t.axis if self.granularity == "row" else -1) for t in tensors) + "]"

        def listed(tensors: Sequence[Tensor], suffix: str = "", typed: bool = False, shape: bool = False) -> str:
            return ", ".join(
                f"{t.type}{t.shape if shape else '[]'} {t.name}{suffix}" if typed else t.name + suffix for t in tensors
            )

        types = ", ".join(str(getattr(onnx.TensorProto, t.type.upper())) for t in self.live_outs)
        shared = (
            f'region: string = "{self.id}", fingerprint: string = "{self.fingerprint}", '
            f'granularity: string = "{self.granularity}", '
            f"output_row_axes: ints = {axes(self.live_outs)}, output_types: ints = [{types}]"
        )
        rows = [t for t in self.frontier if self.granularity == "row" and t.axis >= 0]
        cached, computed = listed(self.live_outs, "_k"), listed(self.live_outs, "_m")
        compact = "".join(f", {t.name}_c" for t in rows)
        info = [listed(self.live_outs, "_k", typed=True)] + ([listed(rows, "_c", typed=True)] if rows else [])
        text = f"""
            <ir_version: 9, opset_import: ["": {self.opset}, "ai.actcache": 1]>
            model ({listed(self.inputs or self.frontier, typed=True, shape=True)})
              => ({listed(self.outputs or self.live_outs, typed=True, shape=True)})
            <{", ".join(info)}>
            {{
              {self.before}
              miss, plan, {cached}{compact} =
                ai.actcache.CacheLookup
                <{shared}, input_row_axes: ints = {axes(self.frontier)}, size_equations: ints = []>
                ({listed(self.frontier)})
              {listed(self.live_outs)} = If (miss) <
                then_branch = compute () => ({listed(self.live_outs, "_t", typed=True)}) {{
                  {self.body}
                  {listed(self.live_outs, "_t")} =
                    ai.actcache.CacheStore <{shared}> (plan, {cached}, {computed})
                }},
                else_branch = reuse () => ({listed(self.live_outs, "_e", typed=True)}) {{
                  {" ".join(f"{t.name}_e = Identity({t.name}_k)" for t in self.live_outs)}
                }}>
              {self.after}
            }}"""
        return onnx.parser.parse_model(text)

    def session(self, threads: int = 1, **entries: str) -> ort.InferenceSession:
        return session(self.proto(), threads, **entries)


def session(model: onnx.ModelProto, threads: int = 1, **entries: str) -> ort.InferenceSession:
    """A session of a model; ``entries`` are session config entries without their "actcache."."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    for name, value in entries.items():
        options.add_session_config_entry(f"actcache.{name}", value)
    options.register_custom_ops_library(str(LIBRARY))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def squares(**settings: Any) -> Region:
    """y = x², row by row."""
    return Region([Tensor("x")], [Tensor("y")], "y_m = Mul(x_c, x_c)", **settings)


def batch(*rows: float, width: int = 3) -> Array:
    """Rows that differ where their numbers do."""
    return np.array([[row + k / 8 for k in range(width)] for row in rows], dtype=np.float32).reshape(-1, width)


# -- Control functions ------------------------------------------------------------------------------------------------


class Control:
    """The library's C interface."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(str(LIBRARY))
        self._library.actcache_stats_json.restype = ctypes.c_size_t
        self._library.actcache_stats_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        self._library.actcache_config_json.restype = ctypes.c_size_t
        self._library.actcache_config_json.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        self._library.actcache_configure.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        self._library.actcache_last_error.restype = ctypes.c_char_p
        self._library.actcache_version.restype = ctypes.c_char_p
        self._library.actcache_clear.restype = ctypes.c_int64
        self._library.actcache_clear.argtypes = [ctypes.c_char_p]

    def _json(self, function: Callable[..., int]) -> Any:
        size = 0
        while True:
            buffer = ctypes.create_string_buffer(max(size, 1))
            size = function(buffer, len(buffer))
            if size <= len(buffer):
                return json.loads(buffer.value)

    def stats(self, region: Region) -> dict[str, Any]:
        """The region's counters, which always have to add up."""
        counters = self._json(self._library.actcache_stats_json)["regions"][region.id]
        assert counters["lookups"] == counters["hits"] + counters["misses"] + counters["bypassed"]
        assert counters["duplicates"] <= counters["hits"]
        return counters

    def counts(self, region: Region, *names: str) -> tuple[int, ...]:
        counters = self.stats(region)
        return tuple(counters[name] for name in names)

    def store(self) -> dict[str, int]:
        return self._json(self._library.actcache_stats_json)["store"]

    def config(self) -> dict[str, Any]:
        return self._json(self._library.actcache_config_json)

    def configure(self, name: str, value: str | None) -> None:
        if self._library.actcache_configure(name.encode(), value if value is None else value.encode()):
            raise ValueError(self._library.actcache_last_error().decode())

    def clear(self, namespace: str | None = None) -> int:
        return self._library.actcache_clear(namespace if namespace is None else namespace.encode())

    def version(self) -> str:
        return self._library.actcache_version().decode()


@pytest.fixture
def control() -> Iterator[Control]:
    if not LIBRARY.exists():
        pytest.fail(f"{LIBRARY} is missing: make library")
    interface = Control()
    yield interface
    for knob in ("budget_bytes", "hash", "namespace"):
        interface.configure(knob, None)


# -- Row granularity --------------------------------------------------------------------------------------------------


def test_rows_are_computed_once(control: Control) -> None:
    region = squares()
    model = region.session()

    def check(x: Array, hits: int, misses: int) -> None:
        before = control.counts(region, "hits", "misses")
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
        after = control.counts(region, "hits", "misses")
        assert (after[0] - before[0], after[1] - before[1]) == (hits, misses)

    check(batch(1, 2, 3), hits=0, misses=3)  # cold
    check(batch(1, 2, 3), hits=3, misses=0)  # warm
    check(batch(3, 1, 2), hits=3, misses=0)  # permuted
    check(batch(9, 2, 8, 1), hits=2, misses=2)  # partly warm
    check(batch(7, 7, 1, 7), hits=3, misses=1)  # equal rows, one of them known before
    check(batch(2), hits=1, misses=0)  # N = 1
    check(batch(6), hits=0, misses=1)
    check(batch(*([5, 4, 5] * 40)), hits=118, misses=2)  # enough rows for the table of equal rows
    check(batch(), hits=0, misses=0)  # N = 0
    assert control.counts(region, "duplicates", "bypassed", "stored", "anomalies") == (120, 0, 9, 0)


def test_only_missing_rows_are_computed(control: Control) -> None:
    # The region hands out its number of rows beside its result.
    region = Region(
        [Tensor("x")],
        [Tensor("y"), Tensor("n", "int64", "[N]")],
        "y_m = Mul(x_c, x_c) one = Shape <start: int = 0, end: int = 1> (x_c) n_m = Expand(one, one)",
    )
    model = region.session()
    assert model.run(["n"], {"x": batch(1, 2, 1, 3)})[0].tolist() == [3, 3, 3, 3]
    assert model.run(["n"], {"x": batch(4, 2, 5)})[0].tolist() == [2, 3, 2]


def test_every_row_axis(control: Control) -> None:
    # State [layers, N, H] on axis 1 beside [N, H], and a live-out [H, N] on its last axis.
    region = Region(
        [Tensor("s", shape="[2, N, 3]", axis=1), Tensor("x")],
        [Tensor("t", shape="[2, N, 3]", axis=1), Tensor("z", shape="[3, N]", axis=1)],
        "t_m = Add(s_c, x_c) z_m = Transpose(x_c)",
    )
    model = region.session()
    random = np.random.default_rng(0)
    s = random.random((2, 5, 3), dtype=np.float32)
    x = random.random((5, 3), dtype=np.float32)
    for rows in ([0, 1, 2], [2, 3, 0, 4, 3], [4, 3, 2, 1, 0], [1]):
        t, z = model.run(None, {"s": s[:, rows], "x": x[rows]})
        assert np.array_equal(t, s[:, rows] + x[rows])
        assert np.array_equal(z, x[rows].T)
    assert control.counts(region, "misses", "hits") == (5, 9)


def test_tensors_without_rows_are_part_of_every_key(control: Control) -> None:
    region = Region(
        [Tensor("x"), Tensor("scale", shape="[3]", axis=-1), Tensor("bias", shape="", axis=-1)],
        [Tensor("y")],
        "p = Mul(x_c, scale) y_m = Add(p, bias)",
    )
    model = region.session()
    x = batch(1, 2)
    for scale, bias in [(1, 0), (2, 0), (1, 5), (1, 0), (2, 0)]:
        feed = {"x": x, "scale": np.full(3, scale, np.float32), "bias": np.array(bias, np.float32)}
        assert np.array_equal(model.run(None, feed)[0], x * scale + bias)
    assert control.counts(region, "misses", "hits") == (6, 4)


def test_several_inputs_and_live_outs_of_different_types(control: Control) -> None:
    region = Region(
        [Tensor("x"), Tensor("i", "int64", "[N]"), Tensor("flag", "bool", "[N, 1]")],
        [Tensor("y"), Tensor("j", "int64", "[N]"), Tensor("k", "bool", "[N, 3]"), Tensor("d", "double", "[N, 2, 3]")],
        """z = Neg(x_c) y_m = Where(flag_c, x_c, z) j_m = Mul(i_c, i_c) k_m = Greater(x_c, y_m)
           e = Cast <to: int = 11> (x_c) a = Constant <value_ints: ints = [1]> () u = Unsqueeze(e, a)
           d_m = Concat <axis: int = 1> (u, u)""",
    )
    model = region.session()
    x = batch(1, 2, 3, 4)
    i = np.array([10, 20, 30, 40])
    flag = np.array([[True], [False], [True], [False]])
    for rows in ([0, 1], [1, 2, 0, 3], [3, 2, 1, 0], [3, 3]):
        y, j, k, d = model.run(None, {"x": x[rows], "i": i[rows], "flag": flag[rows]})
        want = np.where(flag[rows], x[rows], -x[rows])
        assert np.array_equal(y, want) and np.array_equal(j, i[rows] ** 2) and np.array_equal(k, x[rows] > want)
        assert d.dtype == np.float64 and np.array_equal(d, np.stack([x[rows], x[rows]], axis=1))
    # The same x with another i is another row.
    assert model.run(["j"], {"x": x[:1], "i": np.array([7]), "flag": flag[:1]})[0].tolist() == [49]
    assert control.counts(region, "misses", "hits") == (5, 8)


@pytest.mark.parametrize(
    "name",
    "float double float16 bfloat16 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool"
    " float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz".split(),
)
@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_every_type_of_fixed_size(control: Control, name: str, granularity: str) -> None:
    number = getattr(onnx.TensorProto, name.upper())
    region = Region(
        [Tensor("t", name)],
        [Tensor("u", name)],
        f"u_m = Identity({'t_c' if granularity == 'row' else 't'})",
        granularity=granularity,
        opset=19,
        inputs=[Tensor("x")],
        before=f"t = Cast <to: int = {number}> (x)",
        outputs=[Tensor("y")],
        after="y = Cast <to: int = 1> (u)",
    )
    model = region.session()
    plain = session(
        onnx.parser.parse_model(
            f"""<ir_version: 9, opset_import: ["": 19]> plain (float[N, 3] x) => (float[N, 3] y)
                {{ t = Cast <to: int = {number}> (x)  y = Cast <to: int = 1> (t) }}"""
        )
    )
    for x in (batch(1, 2, 0), batch(1, 2, 0), batch(2, 4, 1)):
        assert np.array_equal(model.run(None, {"x": x})[0], plain.run(None, {"x": x})[0])
    # As booleans, some of the rows are equal.
    rows = (2, 7) if name == "bool" else (4, 5)
    assert control.counts(region, "misses", "hits") == (rows if granularity == "row" else (2, 1))


@pytest.mark.parametrize("name", ["int4", "uint4"])
def test_types_below_a_byte_are_looked_up_whole(control: Control, name: str) -> None:
    number = getattr(onnx.TensorProto, name.upper())
    for granularity in ("row", "tensor"):
        region = Region(
            [Tensor("t", name)],
            [Tensor("y")],
            f"y_m = Cast <to: int = 1> ({'t_c' if granularity == 'row' else 't'})",
            granularity=granularity,
            opset=21,
            inputs=[Tensor("x", shape="[N, 3]")],
            before=f"t = Cast <to: int = {number}> (x)",
        )
        try:
            model = region.session()
        except Exception as error:
            pytest.skip(f"this onnxruntime has no operators for {name}: {error}")
        for rows in ([1, 2, 3], [1, 2, 3], [1, 2, 4], [3, 2, 1]):  # 9 elements: a half byte is left over
            x = np.array(rows, np.float32)[:, None].repeat(3, axis=1)
            assert np.array_equal(model.run(None, {"x": x})[0], x)
        assert control.counts(region, "misses", "hits") == (3, 1)


def test_strings_in_rows(control: Control) -> None:
    region = Region(
        [Tensor("s", "string", "[N, 2]"), Tensor("x")],
        [Tensor("y")],
        """a = Constant <value_strings: strings = ["ab"]> () same = Equal(s_c, a) f = Cast <to: int = 1> (same)
           axes = Constant <value_ints: ints = [1]> () count = ReduceSum(f, axes) y_m = Add(count, x_c)""",
        opset=19,
    )
    model = region.session()
    s = np.array([["ab", "c"], ["a", "bc"], ["ab", "ab"], ["", "äöü" * 20], ["a\0b", "ab"]], dtype=object)
    x = np.zeros((5, 3), np.float32)
    want = np.array([1, 0, 2, 0, 1], np.float32)
    for rows in ([0, 1], [1, 3, 2, 0, 3], [4, 0], [2, 3]):
        y = model.run(None, {"s": s[rows], "x": x[rows]})[0]
        assert y[:, 0].tolist() == want[rows].tolist()
    assert control.counts(region, "misses", "hits", "duplicates") == (5, 6, 1)


def test_strings_on_another_axis_and_without_rows(control: Control) -> None:
    region = Region(
        [Tensor("s", "string", "[2, N]", axis=1), Tensor("w", "string", "[1]", axis=-1)],
        [Tensor("y", "bool", "[2, N]", axis=1)],
        "y_m = Equal(s_c, w)",
        opset=19,
    )
    model = region.session()
    s = np.array([["a", "b", "c"], ["b", "b", "a"]], dtype=object)
    for word, rows in [("a", [0, 1]), ("a", [2, 1, 2]), ("b", [0, 1, 2])]:
        w = np.array([word], dtype=object)
        assert np.array_equal(model.run(None, {"s": s[:, rows], "w": w})[0], s[:, rows] == word)
    assert control.counts(region, "misses", "hits") == (6, 2)


def test_batches_of_different_length_are_looked_up_whole(control: Control) -> None:
    # A batch of one against a batch of many broadcasts; there are no rows then.
    region = Region([Tensor("x"), Tensor("z", shape="[M, 3]")], [Tensor("y", shape="[K, 3]")], "y_m = Add(x_c, z_c)")
    model = region.session()
    x, z = batch(1, 2, 3), batch(5)
    for _ in range(2):
        assert np.array_equal(model.run(None, {"x": x, "z": z})[0], x + z)
    assert control.counts(region, "misses", "hits", "anomalies") == (1, 1, 0)
    assert np.array_equal(model.run(None, {"x": x[::-1], "z": z})[0], x[::-1] + z)
    assert control.counts(region, "misses", "hits") == (2, 1)
    assert np.array_equal(model.run(None, {"x": x, "z": x})[0], x + x)  # rows again
    assert control.counts(region, "misses", "hits") == (5, 1)


def test_results_that_are_not_rows_are_not_cached(control: Control) -> None:
    # A reduction over the batch was declared a row; nothing was known before, so the result is right as it is.
    region = Region(
        [Tensor("x")], [Tensor("y", shape="[M, 3]")], "a = Constant <value_ints: ints = [0]> () y_m = ReduceSum(x_c, a)"
    )
    model = region.session()
    x = batch(1, 2)
    for _ in range(2):
        assert np.array_equal(model.run(None, {"x": x})[0], x.sum(0, keepdims=True))
    assert control.counts(region, "anomalies", "stored", "misses", "hits") == (2, 0, 4, 0)
    # Where rows are already left out, there is no right answer to give.
    with pytest.raises(Exception, match=f'region "{region.id}": live-out "y_m"'):
        model.run(None, {"x": batch(1, 1, 2)})


# -- Whole tensors ----------------------------------------------------------------------------------------------------


def test_tensor_granularity(control: Control) -> None:
    region = Region(
        [Tensor("x"), Tensor("s", "string", "[K]"), Tensor("c", shape="")],
        [Tensor("y"), Tensor("total", shape=""), Tensor("w", "bool", "[K]")],
        """y_m = Mul(x, c) total_m = ReduceSum <keepdims: int = 0> (x)
           a = Constant <value_strings: strings = ["a"]> () w_m = Equal(s, a)""",
        granularity="tensor",
        opset=19,
    )
    model = region.session()
    s = np.array(["a", "b"], dtype=object)
    feeds = [{"x": batch(1, 2), "s": s, "c": np.array(2, np.float32)}]
    feeds.append(feeds[0] | {"c": np.array(3, np.float32)})
    feeds.append(feeds[0] | {"s": s[::-1]})
    feeds.append(feeds[0] | {"x": batch(2, 1)})
    feeds.append(feeds[0] | {"x": batch()})
    for feed in feeds + feeds[::-1]:
        y, total, w = model.run(None, feed)
        assert np.array_equal(y, feed["x"] * feed["c"]) and np.array_equal(w, feed["s"] == "a")
        assert total.shape == () and total == feed["x"].sum()
    assert control.counts(region, "misses", "hits") == (5, 5)


def test_shapes_with_equal_bytes_are_different(control: Control) -> None:
    region = Region([Tensor("x", shape="[A, B]")], [Tensor("y", shape="[B, A]")], "y_m = Transpose(x)", "tensor")
    model = region.session()
    for shape in [(2, 3), (3, 2), (6, 1), (2, 3)]:
        x = np.arange(6, dtype=np.float32).reshape(shape)
        assert np.array_equal(model.run(None, {"x": x})[0], x.T)
    assert control.counts(region, "misses", "hits") == (3, 1)


# -- Configuration ----------------------------------------------------------------------------------------------------


def test_budget_zero_turns_the_cache_off(control: Control) -> None:
    region, whole = squares(), Region([Tensor("x")], [Tensor("y")], "y_m = Mul(x, x)", "tensor")
    models = [region.session(), whole.session()]
    x = batch(1, 2, 1)
    control.configure("budget_bytes", "0")
    for model in models * 2:
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
    assert control.counts(region, "bypassed", "hits", "misses") == (6, 0, 0)
    assert control.counts(whole, "bypassed", "hits", "misses") == (2, 0, 0)
    assert control.store()["bytes"] == 0
    control.configure("budget_bytes", None)
    for _ in range(2):
        models[0].run(None, {"x": x})
    assert control.counts(region, "bypassed", "hits", "misses") == (6, 4, 2)


def test_the_budget_holds(control: Control) -> None:
    region = squares()
    model = region.session()
    control.configure("budget_bytes", "5000")
    for start in range(0, 400, 10):
        x = batch(*range(start, start + 10))
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
        assert control.store()["bytes"] <= 5000
    counters = control.stats(region)
    assert counters["stored"] + counters["not_admitted"] == counters["misses"] == 400
    assert counters["evicted"] + counters["not_admitted"] > 0


@pytest.mark.parametrize("kind", ["blake3", "xxh3"])
def test_hashes(control: Control, kind: str) -> None:
    control.configure("hash", kind)
    region = squares()
    model = region.session()
    for _ in range(2):
        model.run(None, {"x": batch(1, 2)})
    assert control.counts(region, "misses", "hits") == (2, 2)


def test_entries_of_another_hash_are_not_found(control: Control) -> None:
    region = squares()
    model = region.session()
    for kind in ("blake3", "xxh3", "blake3"):
        control.configure("hash", kind)
        model.run(None, {"x": batch(1)})
    assert control.counts(region, "misses", "hits") == (2, 1)


def test_namespaces_are_separate(control: Control) -> None:
    region = squares()
    control.configure("namespace", "shared")
    a, b, default = region.session(namespace="a"), region.session(namespace="b"), region.session()
    x = batch(1, 2)
    for model in (a, b, default):
        model.run(None, {"x": x})
    assert control.counts(region, "misses", "hits") == (6, 0)
    assert control.clear("a") == 2
    assert control.clear("nobody's") == 0
    for model, misses, hits in ((a, 8, 0), (b, 8, 2), (default, 8, 4)):
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
        assert control.counts(region, "misses", "hits") == (misses, hits)
    assert control.clear("shared") == 2
    assert control.clear() >= 4
    assert control.store()["entries"] == 0


def test_configuration_is_checked(control: Control) -> None:
    for name, value in [("budget_bytes", "1 GB"), ("hash", "md5"), ("size", "1")]:
        with pytest.raises(ValueError, match=name):
            control.configure(name, value)
    with pytest.raises(Exception, match=r'actcache\.budget_bytes is "lots", but has to be'):
        squares().session(budget_bytes="lots")
    control.configure("budget_bytes", "1000000")
    assert control.config()["budget_bytes"] == 1000000


# -- Sessions, threads, faults ----------------------------------------------------------------------------------------


def test_sessions_share_entries(control: Control) -> None:
    region = squares()
    first = region.session()
    first.run(None, {"x": batch(1, 2)})
    del first  # and with it the last user of the library
    second = region.session()
    second.run(None, {"x": batch(2, 1)})
    assert control.counts(region, "misses", "hits") == (2, 2)


def test_another_fingerprint_shares_nothing(control: Control) -> None:
    first = squares()
    second = squares(id=first.id, fingerprint="fedcba9876543210")
    for region in (first, second):
        region.session().run(None, {"x": batch(1)})
    assert control.counts(first, "misses", "hits") == (1, 0)
    second.id += "@fedcba98"
    assert control.counts(second, "misses", "hits") == (1, 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_threads_on_one_session(control: Control, threads: int) -> None:
    region = squares()
    model = region.session(threads)
    errors: list[str] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(60):
            x = batch(*random.integers(0, 40, size=random.integers(1, 12)))
            if not np.array_equal(model.run(None, {"x": x})[0], x * x):
                errors.append(f"wrong for {x[:, 0]}")
            control.stats(region)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    hits, misses, stored = control.counts(region, "hits", "misses", "stored")
    assert hits > misses >= stored == 40


def test_large_rows_with_several_threads(control: Control) -> None:
    # Rows above the sizes from which hashing is cut into segments and copies run in parallel.
    region = Region([Tensor("x", shape="[N, 3, 200000]")], [Tensor("y", shape="[N, 3, 200000]")], "y_m = Neg(x_c)")
    x = np.random.default_rng(0).random((4, 3, 200000), dtype=np.float32)
    for threads, rows, misses in [(1, [0, 1], 2), (2, [1, 0, 2], 3), (2, [3, 2, 1, 0], 4), (1, [3], 4)]:
        assert np.array_equal(region.session(threads).run(None, {"x": x[rows]})[0], -x[rows])
        assert control.counts(region, "misses") == (misses,)
    x[2, 1, 77] += 1
    assert np.array_equal(region.session().run(None, {"x": x})[0], -x)
    assert control.counts(region, "misses") == (5,)


def test_a_failing_region_leaves_nothing_behind(control: Control) -> None:
    region = Region(
        [Tensor("i", "int64", "[N]")],
        [Tensor("y", shape="[N]")],
        "table = Constant <value_floats: floats = [10.0, 20.0, 30.0]> () y_m = Gather(table, i_c)",
    )
    model = region.session()
    model.run(None, {"i": np.array([0])})
    before = control.store()
    for _ in range(3):
        with pytest.raises(Exception, match="out of data bounds"):
            model.run(None, {"i": np.array([0, 1, 99])})
    assert control.store() == before
    for _ in range(2):
        assert model.run(None, {"i": np.array([2, 0, 1])})[0].tolist() == [30, 10, 20]
    # What was looked up in the failed runs stays counted: 3 times a hit and two misses.
    assert control.counts(region, "hits", "misses", "stored") == (3 + 1 + 3, 1 + 6 + 2, 3)


def test_a_terminated_run_leaves_nothing_behind(control: Control) -> None:
    region = squares()
    model = region.session()
    before = control.store()
    options = ort.RunOptions()
    options.terminate = True
    with pytest.raises(Exception, match="terminate"):
        model.run(None, {"x": batch(1, 2)}, options)
    assert control.store() == before
    assert np.array_equal(model.run(None, {"x": batch(1, 2)})[0], batch(1, 2) ** 2)


def test_clear_takes_effect_at_once(control: Control) -> None:
    region = squares()
    model = region.session()
    model.run(None, {"x": batch(1, 2)})
    assert control.clear() >= 2
    model.run(None, {"x": batch(1, 2)})
    assert control.counts(region, "misses", "hits", "bytes")[:2] == (4, 0)


def test_a_wrong_model_is_refused_when_it_is_loaded(control: Control) -> None:
    def changed(change: Callable[[onnx.NodeProto], None]) -> None:
        model = squares().proto()
        change(next(node for node in model.graph.node if node.op_type == "CacheLookup"))
        session(model)

    def drop(name: str) -> Callable[[onnx.NodeProto], None]:
        def change(node: onnx.NodeProto) -> None:
            node.attribute.remove(next(a for a in node.attribute if a.name == name))

        return change

    def replace(name: str, value: Any) -> Callable[[onnx.NodeProto], None]:
        def change(node: onnx.NodeProto) -> None:
            drop(name)(node)
            node.attribute.append(onnx.helper.make_attribute(name, value))

        return change

    needed = "region fingerprint granularity input_row_axes output_row_axes output_types size_equations"
    for name in needed.split():
        with pytest.raises(Exception, match=f'CacheLookup needs the attribute "{name}"'):
            changed(drop(name))
    with pytest.raises(Exception, match="granularity is"):
        changed(replace("granularity", "tile"))
    with pytest.raises(Exception, match="input_row_axes has 2 entries for 1 inputs"):
        changed(replace("input_row_axes", [0, 0]))
    with pytest.raises(Exception, match="of element type 1 in the model, but 11 by the attributes"):
        changed(replace("output_types", [onnx.TensorProto.DOUBLE]))
    with pytest.raises(Exception, match="live-outs of element type 8 cannot be cached"):
        changed(replace("output_types", [onnx.TensorProto.STRING]))


def test_a_process_without_the_package(tmp_path: Path, control: Control) -> None:
    """Plain onnxruntime, configured by the environment alone; and it has nothing to warn of."""
    region = squares()
    onnx.save(region.proto(), tmp_path / "model.onnx")
    script = f"""
import ctypes, json, sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.register_custom_ops_library({str(LIBRARY)!r})
session = onnxruntime.InferenceSession({str(tmp_path / "model.onnx")!r}, options, providers=["CPUExecutionProvider"])
x = np.arange(12, dtype=np.float32).reshape(4, 3)
for rows in ([0, 1], [1, 2, 0], [3, 1, 3], [1], [], [0, 1, 2, 3]):
    assert np.array_equal(session.run(None, {{"x": x[rows]}})[0], x[rows] ** 2)
assert not any(name.startswith("actcache") for name in sys.modules)
library = ctypes.CDLL({str(LIBRARY)!r})
buffer = ctypes.create_string_buffer(10000)
library.actcache_stats_json(buffer, len(buffer))
print(json.dumps(json.loads(buffer.value)["regions"][{region.id!r}]))
library.actcache_config_json(buffer, len(buffer))
print(buffer.value.decode())
"""
    environment = {"ACTCACHE_HASH": "xxh3", "ACTCACHE_BUDGET_BYTES": "12345678", "ACTCACHE_NAMESPACE": "n"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    counters, config = map(json.loads, done.stdout.splitlines())
    assert (counters["misses"], counters["hits"], counters["duplicates"]) == (4, 9, 1)
    assert config.items() >= {"hash": "xxh3", "budget_bytes": 12345678, "namespace": "n"}.items()


def test_the_library_exports_its_interface_and_nothing_else(control: Control) -> None:
    listing = subprocess.run(
        ["nm", "--dynamic", "--defined-only", str(LIBRARY)], capture_output=True, text=True, check=False
    )
    if listing.returncode != 0:
        pytest.skip(f"nm does not work here: {listing.stderr}")
    names = {line.split()[-1] for line in listing.stdout.splitlines()}
    control_functions = "configure last_error stats_json config_json clear version abi".split()
    assert names == {"RegisterCustomOps", *(f"actcache_{name}" for name in control_functions)}
    assert control.version() == "0.1.0"
