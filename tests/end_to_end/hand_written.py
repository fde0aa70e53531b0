"""Models of one region, written by hand as ``onnx.parser`` text, and the library's control functions with ctypes.

Nothing of the Python package is used. The store is one per process, so each test has a region of its own.
"""

# mypy: no-warn-return-any
from __future__ import annotations

import ctypes
import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx.parser
import onnxruntime as ort

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
    fetches: bool = False  # the branches copy what is found: CacheFetch stands in that of hits
    between: str = ""  # nodes that make the condition of the If, `go`, of `miss`

    def proto(self) -> onnx.ModelProto:
        def axes(tensors: Sequence[Tensor]) -> str:
            return "[" + ", ".join(str(t.axis if self.granularity == "row" else -1) for t in tensors) + "]"

        def listed(tensors: Sequence[Tensor], suffix: str = "", typed: bool = False, shape: bool = False) -> str:
            return ", ".join(
                f"{t.type}{t.shape if shape else '[]'} {t.name}{suffix}" if typed else t.name + suffix for t in tensors
            )

        types = ", ".join(str(getattr(onnx.TensorProto, t.type.upper())) for t in self.live_outs)
        results = (
            f'region: string = "{self.id}", fingerprint: string = "{self.fingerprint}", output_types: ints = [{types}]'
        )
        shared = (
            f'{results}, granularity: string = "{self.granularity}", output_row_axes: ints = {axes(self.live_outs)}'
        )
        rows = [t for t in self.frontier if self.granularity == "row" and t.axis >= 0]
        cached, computed = listed(self.live_outs, "_k"), listed(self.live_outs, "_m")
        compact = "".join(f", {t.name}_c" for t in rows)
        reads = " ".join(f"{t.name}_e = Identity({t.name}_k)" for t in self.live_outs)
        if self.fetches:
            reads = f"{listed(self.live_outs, '_e')} = ai.actcache.CacheFetch <{results}> (plan, {cached})"
        numbers = list(range(len(self.live_outs)))
        fetched = f", store_fetches: ints = {numbers}" if self.fetches else ""
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
                <{shared}, input_row_axes: ints = {axes(self.frontier)}, size_equations: ints = [],
                 hands_over: int = {int(self.fetches)}{fetched}>
                ({listed(self.frontier)})
              {self.between}
              {listed(self.live_outs)} = If ({"go" if self.between else "miss"}) <
                then_branch = compute () => ({listed(self.live_outs, "_t", typed=True)}) {{
                  {self.body}
                  {listed(self.live_outs, "_t")} =
                    ai.actcache.CacheStore <{shared}> (plan, {cached}, {computed})
                }},
                else_branch = reuse () => ({listed(self.live_outs, "_e", typed=True)}) {{
                  {reads}
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


def costly(**settings: Any) -> Region:
    """y = x times the mean of 4,096 numbers: a row always takes longer to compute than to copy.

    So what is offered to a full store pushes other entries out, however busy the machine is.
    """
    body = """sizes = Constant <value_ints: ints = [3, 4096]> () w = ConstantOfShape(sizes) wide = MatMul(x_c, w)
              e = Exp(wide) m = ReduceMean <axes: ints = [1]> (e) y_m = Mul(x_c, m)"""
    return Region([Tensor("x")], [Tensor("y")], body, **settings)


def batch(*rows: float, width: int = 3) -> Array:
    """Rows that differ where their numbers do."""
    return np.array([[row + k / 8 for k in range(width)] for row in rows], dtype=np.float32).reshape(-1, width)


# -- Control functions ------------------------------------------------------------------------------------------------


class Named(Protocol):
    """Whatever has the id of a region."""

    @property
    def id(self) -> str:
        """The region's name."""


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
        for name in ("invalidate", "pin", "unpin"):
            function = getattr(self._library, f"actcache_{name}")
            function.restype = ctypes.c_int64
            function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_double]
        names, times = (ctypes.c_char_p,) * 2, (ctypes.c_uint64,) * 4
        self._library.actcache_replay.argtypes = [*names, *times, ctypes.c_int, ctypes.c_char_p]
        self._configured: set[str] = set()

    def _json(self, function: Callable[..., int]) -> Any:
        size = 0
        while True:
            buffer = ctypes.create_string_buffer(max(size, 1))
            size = function(buffer, len(buffer))
            if size <= len(buffer):
                return json.loads(buffer.value)

    def stats(self, region: Named) -> dict[str, Any]:
        """The region's counters, which always have to add up."""
        counters = self._json(self._library.actcache_stats_json)["regions"][region.id]
        assert counters["lookups"] == counters["hits"] + counters["misses"] + counters["bypassed"]
        assert counters["duplicates"] <= counters["hits"]
        return counters

    def counts(self, region: Named, *names: str) -> tuple[Any, ...]:
        counters = self.stats(region)
        return tuple(counters[name] for name in names)

    def store(self) -> dict[str, int]:
        return self._json(self._library.actcache_stats_json)["store"]

    def audit(self) -> dict[str, int]:
        return self._json(self._library.actcache_stats_json)["audit"]

    def config(self) -> dict[str, Any]:
        return self._json(self._library.actcache_config_json)

    def configure(self, name: str, value: str | None) -> None:
        self._configured.add(name)
        if self._library.actcache_configure(name.encode(), value if value is None else value.encode()):
            raise ValueError(self._library.actcache_last_error().decode())

    def take_back(self) -> None:
        """Take back all settings that were tried."""
        for name in self._configured & self.config().keys():
            self.configure(name, None)

    def invalidate(self, namespace: str | None = None) -> int:
        return self._library.actcache_invalidate(namespace if namespace is None else namespace.encode(), None, None, 0)

    def is_emptied_by(self, call: Callable[[int], None]) -> bool:
        """Make up to 100 calls, and invalidate after each; return whether then nothing is held any more."""
        for number in range(100):
            call(number)
            self.invalidate()
            if self.store()["bytes"] == 0:
                return True
        return False

    def replay(
        self,
        region: Region,
        lookup_ns: int,
        store_ns: int,
        cost_ns: int,
        fetch_ns: int,
        passed: bool,
        stored: str | None = None,
    ) -> None:
        names, letters = (region.id.encode(), region.fingerprint.encode()), stored and stored.encode()
        if self._library.actcache_replay(*names, lookup_ns, store_ns, cost_ns, fetch_ns, passed, letters):
            raise ValueError(self._library.actcache_last_error().decode())

    def version(self) -> str:
        return self._library.actcache_version().decode()
