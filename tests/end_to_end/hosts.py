"""A compiled model beside the original: the same calls go to both, and what the cache did is counted.

All of it is plain onnxruntime, as in a host program. Sessions of one test share a namespace that no other test has, so
that models are compiled once and every test begins cold.
"""

# mypy: disable-error-code="misc"
from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

import actcache

Array = np.ndarray[Any, Any]
Feed = Mapping[str, Any]
Run = Callable[[Feed], Sequence[Any]]
_NUMBERS = itertools.count(1)
WIDTH = 32
_KEPT = tempfile.TemporaryDirectory(prefix="hosts")


def options(threads: int = 1, **entries: str) -> ort.SessionOptions:
    """Options of a host; `entries` are session config entries, with ``__`` for dots."""
    made = ort.SessionOptions()
    made.intra_op_num_threads = threads
    made.log_severity_level = 4
    for name, value in entries.items():
        made.add_session_config_entry(name.replace("__", "."), value)
    return made


@dataclass(frozen=True)
class Counts:
    """Rows that were found and rows that were not."""

    hits: int
    misses: int


@dataclass
class Hosted:
    """An original and what was compiled of it; the sessions of one test."""

    original: Path
    compiled: Path
    fingerprints: tuple[str, ...]
    row: bool
    namespace: str = field(default_factory=lambda: f"host{next(_NUMBERS)}")

    def again(self) -> Hosted:
        """The same files with a namespace of its own."""
        return Hosted(self.original, self.compiled, self.fingerprints, self.row)

    def plain(self, made: ort.SessionOptions | None = None, **settings: Any) -> ort.InferenceSession:
        """A session of the original."""
        return ort.InferenceSession(
            str(self.original), made or options(), **{"providers": ["CPUExecutionProvider"], **settings}
        )

    def session(self, made: ort.SessionOptions | None = None, **settings: Any) -> ort.InferenceSession:
        """A session of the compiled model."""
        return self.open(self.compiled, made, **settings)

    def open(
        self, model: Path | bytes, made: ort.SessionOptions | None = None, **settings: Any
    ) -> ort.InferenceSession:
        """A session of another form of the compiled model."""
        made = self.registered(made or options())
        given = str(model) if isinstance(model, Path) else model
        return ort.InferenceSession(given, made, **{"providers": ["CPUExecutionProvider"], **settings})

    def registered(self, made: ort.SessionOptions) -> ort.SessionOptions:
        made.add_session_config_entry("actcache.namespace", self.namespace)
        made.register_custom_ops_library(actcache.library_path())
        return made

    def counts(self) -> Counts:
        """What all sessions of the compiled model have done so far, over all regions."""
        every = actcache.stats()["regions"].values()
        mine = [region for region in every if region["fingerprint"] in self.fingerprints]
        for region in mine:
            assert region["lookups"] == region["hits"] + region["misses"] + region["bypassed"]
            assert region["anomalies"] == 0
        return Counts(*(sum(region[name] for region in mine) for name in ("hits", "misses")))

    def counted(self, call: Callable[[], Any]) -> tuple[Any, Counts]:
        """What a call returns, and what it found, in rows of one region (they all see the same rows)."""
        before = self.counts()
        result = call()
        after, regions = self.counts(), len(self.fingerprints)
        hits, misses = after.hits - before.hits, after.misses - before.misses
        assert hits % regions == 0 and misses % regions == 0
        return result, Counts(hits // regions, misses // regions)

    def check(
        self, plain: ort.InferenceSession | Run, cached: ort.InferenceSession | Run, feed: Feed, rounding: float = 0
    ) -> None:
        """Play a feed of at least 4 different rows cold, warm, permuted, partly warm, with equal rows and as one row.

        `rounding` is a relative difference that onnxruntime itself shows between batch sizes.
        """
        n = len(next(iter(feed.values())))
        assert n >= 4
        plays = [  # rows, rows that are missing
            (range(n - 1), n - 1),
            (range(n - 1), 0),
            (range(n - 2, -1, -1), 0),
            ([n - 1, 1, 0], 1),
            ([2, 2, n - 1, 2], 0),
            ([n - 1], 0),
        ]
        seen: set[bytes] = set()
        for rows, missing in plays:
            taken = {name: value[list(rows)] for name, value in feed.items()}
            if not self.row:
                key = b"".join(np.ascontiguousarray(value).tobytes() for value in taken.values())
                missing = int((key + bytes([len(rows)])) not in seen)
                seen.add(key + bytes([len(rows)]))
            wanted = _run(plain, taken)
            got, counts = self.counted(lambda taken=taken: _run(cached, taken))
            assert counts == Counts((len(rows) if self.row else 1) - missing, missing), (list(rows), counts)
            same(got, wanted, rounding)


def _run(how: ort.InferenceSession | Run, feed: Feed) -> Sequence[Any]:
    return how.run(None, feed) if isinstance(how, ort.InferenceSession) else how(feed)


def same(got: Sequence[Any], wanted: Sequence[Any], rounding: float = 0) -> None:
    """Assert that outputs agree in type, shape and every bit, or within `rounding` of the largest value."""
    assert len(got) == len(wanted) > 0
    for one, other in zip(got, wanted, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype and one.shape == other.shape
        if rounding and one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=0, atol=rounding * np.abs(other).max(initial=1e-30))
        elif one.dtype == object:
            assert one.tolist() == other.tolist()
        else:
            assert one.tobytes() == other.tobytes()


def host(
    text: str,
    weights: Mapping[str, Array] | None = None,
    regions: Sequence[actcache.RegionSpec] | None = None,
    granularity: str = "row",
    **settings: Any,
) -> Hosted:
    """Compile a model that is written as ``onnx.parser`` text, and make sure that it has all regions asked for."""
    model = onnx.parser.parse_model(text)
    for name, value in (weights or {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    folder = Path(tempfile.mkdtemp(dir=_KEPT.name))
    original, compiled = folder / "model.onnx", folder / "model.cached.onnx"
    onnx.save_model(model, original)
    made = actcache.compile_model(
        original, compiled, regions=regions, granularity=granularity, **{"min_saving": 0, "verify": False, **settings}
    )
    assert len(made.regions) == len(regions or [1])
    assert {region.candidate.region.granularity for region in made.regions} == {granularity}
    return Hosted(original, compiled, tuple(region.fingerprint for region in made.regions), granularity == "row")


def drawn(*shape: int, seed: int = 0) -> Array:
    """Numbers of a normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def matrices(count: int) -> dict[str, Array]:
    """Weights ``w0``, ``w1``, ... that keep the variance of what they are multiplied with."""
    return {f"w{i}": drawn(WIDTH, WIDTH, seed=100 + i) / np.float32(WIDTH**0.5) for i in range(count)}


@cache
def _stack(granularity: str) -> Hosted:
    return host(
        f"""<ir_version: 8, opset_import: ["": 17]>
        stack (float[N, {WIDTH}] x) => (float[N, {WIDTH}] y, float[N, {WIDTH}] z, int64[N] best) {{
            a = MatMul(x, w0)  b = Tanh(a)  c = MatMul(b, w1)  z = Relu(c)  y = MatMul(z, w2)
            best = ArgMax<axis = 1, keepdims = 0>(y)
        }}""",
        matrices(3),
        granularity=granularity,
    )


def stack(granularity: str = "row") -> Hosted:
    """``x`` to ``y``, ``z`` and ``best``: one region."""
    return _stack(granularity).again()


@cache
def _towers() -> Hosted:
    return host(
        f"""<ir_version: 8, opset_import: ["": 17]>
        towers (float[N, {WIDTH}] a, float[N, {WIDTH}] b) => (float[N, {WIDTH}] p, float[N, {WIDTH}] q) {{
            a1 = MatMul(a, w0)  a2 = Tanh(a1)  b1 = MatMul(b, w1)  b2 = Tanh(b1)
            p = Add(a2, b2)  q = Sub(a2, b2)
        }}""",
        matrices(2),
        [actcache.RegionSpec("first", ("a",), ("a2",)), actcache.RegionSpec("second", ("b",), ("b2",))],
    )


def towers() -> Hosted:
    """``a`` and ``b``, each through a region of its own, to their sum ``p`` and difference ``q``."""
    return _towers().again()
