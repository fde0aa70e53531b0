"""A language model compiled by prefixes beside its original, in plain onnxruntime."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

import actcache
from benchmarks.decoders import Decoder

Array = np.ndarray[Any, Any]
Feed = dict[str, Array]
_NUMBERS = itertools.count(1)
_KEPT = tempfile.TemporaryDirectory(prefix="sequences")


@dataclass(frozen=True)
class Counts:
    """What a call found, and did not find, in positions of all rows."""

    hits: int
    misses: int


@dataclass
class Sequences:
    """An original and what was compiled of it. Every object has a namespace of its own: it begins cold."""

    sizes: Decoder
    original: Path
    compiled: Path
    region: str
    result: actcache.CompileResult
    namespace: str = field(default_factory=lambda: f"sequences{next(_NUMBERS)}")

    def plain(self) -> ort.InferenceSession:
        """A session of the original."""
        return ort.InferenceSession(str(self.original), options(), providers=["CPUExecutionProvider"])

    def session(self, namespace: str = "", threads: int = 1) -> ort.InferenceSession:
        """A session of the compiled model."""
        made = options(threads)
        made.add_session_config_entry("actcache.namespace", namespace or self.namespace)
        made.register_custom_ops_library(actcache.library_path())
        return ort.InferenceSession(str(self.compiled), made, providers=["CPUExecutionProvider"])

    def ids(self, rows: int, length: int, seed: int = 0) -> Array:
        """Tokens of so many rows."""
        return np.random.default_rng(seed).integers(0, self.sizes.vocabulary, (rows, length))

    def feed(self, ids: Array, past: Sequence[Array] = ()) -> Feed:
        """A call without padding. `past`: the keys and values that the call before gave; none: it is the first."""
        return feed_of(self.sizes, ids, past)

    def counted(self, session: ort.InferenceSession, ids: Array) -> tuple[Array, Counts]:
        """The logits of a call, and what it found."""
        results, counts = self.outputs(session, self.feed(ids))
        return results[0], counts

    def outputs(self, session: ort.InferenceSession, feed: Feed) -> tuple[list[Array], Counts]:
        """All that a call gives, and what it found."""
        before = self._counts()
        results: list[Array] = session.run(None, feed)
        after = self._counts()
        return results, Counts(after.hits - before.hits, after.misses - before.misses)

    def _counts(self) -> Counts:
        counts = actcache.stats()["regions"].get(self.region, {"hits": 0, "misses": 0})
        return Counts(counts["hits"], counts["misses"])


def feed_of(sizes: Decoder, ids: Array, past: Sequence[Array] = ()) -> Feed:
    """A call without padding; see :meth:`Sequences.feed`."""
    feed: Feed = {"input_ids": ids}
    rows, before = len(ids), past[0].shape[2] if past else 0
    if sizes.padding:
        feed["attention_mask"] = np.ones((rows, before + ids.shape[1]), np.int64)
    if sizes.position_ids:
        feed["position_ids"] = np.tile(np.arange(before, before + ids.shape[1]), (rows, 1))
    if sizes.past:
        empty = np.zeros((rows, sizes.heads // sizes.groups, 0, sizes.width // sizes.heads), np.float32)
        names = [f"past_key_values.{layer}.{part}" for layer in range(sizes.layers) for part in ("key", "value")]
        feed |= dict(zip(names, past or [empty] * len(names), strict=True))
    return feed


def options(threads: int = 1) -> ort.SessionOptions:
    """Options of a host."""
    made = ort.SessionOptions()
    made.intra_op_num_threads = threads
    made.log_severity_level = 4
    return made


def next_tokens(logits: Array) -> Array:
    """The likeliest tokens [rows, 1] behind the last position."""
    tokens: Array = logits.reshape(len(logits), -1, logits.shape[-1])[:, -1:].argmax(-1)
    return tokens


@cache
def _compiled(sizes: Decoder, asked: tuple[tuple[str, Any], ...]) -> tuple[Path, Path, actcache.CompileResult]:
    folder = Path(tempfile.mkdtemp(dir=_KEPT.name))
    original = folder / f"sequence{next(_NUMBERS)}.onnx"  # regions are counted by their names
    onnx.save_model(sizes.model(), original)
    rows = sizes.batch if isinstance(sizes.batch, int) else 2
    sample = feed_of(sizes, np.random.default_rng(9).integers(0, sizes.vocabulary, (rows, 14)))
    result = actcache.compile_model(original, folder / "compiled.onnx", samples=[sample], min_saving=0, **dict(asked))
    return original, result.output, result


def sequences(sizes: Decoder, **asked: Any) -> Sequences:
    """Compile a model by prefixes, once for the same arguments."""
    original, compiled, result = _compiled(sizes, tuple(sorted({"granularity": "prefix", **asked}.items())))
    (region,) = result.regions
    assert region.candidate.region.granularity == "prefix"
    assert result.verify is not None and result.verify.failure is None
    return Sequences(sizes, original, compiled, region.candidate.region.id, result)
