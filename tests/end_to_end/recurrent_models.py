"""Recurrent language models, compiled by prefixes beside their original, in plain onnxruntime."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
from sequences import Array, Counts, Feed, options

import actcache
from actcache.passes.graph.nodes import node_reads

WORDS, WIDTH = 40, 12
#: Of states for each feature.
SPACE = 3
_NUMBERS = itertools.count(1)

#: tokens [B, S] to what the layers read, [S, B, WIDTH]; and from there to logits.
_EMBEDDED = "e = Gather(table, ids)  x = Transpose<perm = [1, 0, 2]>(e)"
_HEAD = "t = Transpose<perm = [1, 0, 2]>(last)  logits = MatMul(t, head)"
#: Two layers with a projection between them.
TWO_LSTM = f"""
    a0, a1, a2 = LSTM<hidden_size = {WIDTH}>(x, lstm_w, lstm_r, lstm_b)  a = Squeeze(a0, one)
    between = MatMul(a, project)  b1 = Relu(between)
    c0 = LSTM<hidden_size = {WIDTH}>(b1, lstm_r, lstm_w, lstm_b)  last = Squeeze(c0, one)
"""
#: What the caller says is remembered at the beginning.
GIVEN_STATE = f"""
    a0 = LSTM<hidden_size = {WIDTH}>(x, lstm_w, lstm_r, lstm_b, , h0, c0)  last = Squeeze(a0, one)
"""
GIVEN_INPUTS = f", float[1, B, {WIDTH}] h0, float[1, B, {WIDTH}] c0"
LSTM_AND_GRU = f"""
    a0 = LSTM<hidden_size = {WIDTH}>(x, lstm_w, lstm_r)  a = Squeeze(a0, one)
    g0 = GRU<hidden_size = {WIDTH}>(a, gru, gru)  last = Squeeze(g0, one)
"""
#: What a Scan begins with: zeros, [B, WIDTH, SPACE] and [B, WIDTH].
BEGINNINGS = f"""
    at0 = Constant<value_ints = [0]>() at2 = Constant<value_ints = [2]>() each = Constant<value_ints = [{WIDTH}]>()
    space = Constant<value_ints = [{SPACE}]>() sizes = Shape(ids) rows = Gather(sizes, at0)
    spaces0 = Concat<axis = 0>(rows, each, space) spaces = ConstantOfShape(spaces0)
    zeros0 = Concat<axis = 0>(rows, each) zeros = ConstantOfShape(zeros0)
"""
#: A space of states for each feature, of which a sum is handed out.
SPACES = f"""body = step (float[B, {WIDTH}, {SPACE}] was, float[B, {WIDTH}] new) =>
    (float[B, {WIDTH}, {SPACE}] is, float[B, {WIDTH}] out)
    {{ rate = Sigmoid(decay) less = Mul(was, rate) wide = Unsqueeze(new, at2) is = Add(less, wide)
       seen = Mul(is, reader) out = ReduceSum<keepdims = 0>(seen, at2) }}"""
#: Two layers of them with a projection between.
TWO_SCANS = f"""{BEGINNINGS}
    a_n, a = Scan(spaces, x) <num_scan_inputs = 1, {SPACES}>
    between = MatMul(a, project)  b1 = Tanh(between)
    b_n, last = Scan(spaces, b1) <num_scan_inputs = 1, {SPACES}>
"""


def recurrent_model(
    layers: str = TWO_LSTM, inputs: str = "", outputs: str = "", seed: int = 0, head: str = _HEAD
) -> onnx.ModelProto:
    """A model from tokens to logits, of layers as text from ``x`` to ``last``. Without a head there are no logits."""
    given = ", ".join(filter(None, (f"float[B, S, {WORDS}] logits" if head else "", outputs)))
    model = onnx.parser.parse_model(
        f"""<ir_version: 9, opset_import: ["": 17]>
        g (int64[B, S] ids{inputs}) => ({given}) {{ {_EMBEDDED} {layers} {head} }}"""
    )
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"table": (WORDS, WIDTH), "project": (WIDTH, WIDTH), "head": (WIDTH, WORDS)}
    shapes |= {"lstm_w": (1, 4 * WIDTH, WIDTH), "lstm_r": (1, 4 * WIDTH, WIDTH), "lstm_b": (1, 8 * WIDTH)}
    shapes |= {"gru": (1, 3 * WIDTH, WIDTH), "decay": (WIDTH, SPACE), "reader": (SPACE,)}
    read = {name for node in model.graph.node for name in node_reads(node)}
    weights = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items() if name in read}
    weights |= {"one": np.array([1])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


@dataclass
class Recurrent:
    """An original and what was compiled of it. Every object has a namespace of its own: it begins cold."""

    original: Path
    result: actcache.CompileResult
    namespace: str = field(default_factory=lambda: f"recurrent{next(_NUMBERS)}")

    def plain(self) -> ort.InferenceSession:
        """A session of the original."""
        return ort.InferenceSession(str(self.original), options(), providers=["CPUExecutionProvider"])

    def session(self, **entries: str) -> ort.InferenceSession:
        """A session of the compiled model."""
        made = options()
        for name, value in {"namespace": self.namespace, **entries}.items():
            made.add_session_config_entry(f"actcache.{name}", value)
        made.register_custom_ops_library(actcache.library_path())
        return ort.InferenceSession(str(self.result.output), made, providers=["CPUExecutionProvider"])

    def counted(self, session: ort.InferenceSession, feed: Feed) -> tuple[list[Array], Counts]:
        """What a call gives, and what it found, in positions of all rows."""
        before = self._counts()
        results: list[Array] = session.run(None, feed)
        after = self._counts()
        return results, Counts(after.hits - before.hits, after.misses - before.misses)

    def _counts(self) -> Counts:
        (region,) = self.result.regions
        counts = actcache.stats()["regions"].get(region.candidate.region.id, {"hits": 0, "misses": 0})
        return Counts(counts["hits"], counts["misses"])


class Checked:
    """Makes calls, holds each answer to the original's, and says what was found."""

    def __init__(self, model: Recurrent, **entries: str) -> None:
        self.model, self.plain, self.session = model, model.plain(), model.session(**entries)

    def __call__(self, ids: Array, **given: Array) -> Counts:
        results, counts = self.model.counted(self.session, {"ids": ids, **given})
        for got, expected in zip(results, self.plain.run(None, {"ids": ids, **given}), strict=True):
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
        return counts


def compiled(model: onnx.ModelProto, folder: Path, **asked: Any) -> Recurrent:
    """Compile a model by prefixes."""
    original = folder / f"recurrent{next(_NUMBERS)}.onnx"  # regions are counted by their names
    onnx.save_model(model, original)
    sample: Feed = {"ids": np.random.default_rng(9).integers(0, WORDS, (2, 14))}
    for value in model.graph.input[1:]:
        sample[value.name] = np.random.default_rng(8).standard_normal((1, 2, WIDTH), np.float32)
    wanted = {"granularity": "prefix", "min_saving": 0, "samples": [sample], **asked}
    result = actcache.compile_model(original, folder / f"{original.stem}.cached.onnx", **wanted)
    assert result.verify is None or result.verify.failure is None
    (region,) = result.regions
    assert region.candidate.region.granularity == "prefix"
    return Recurrent(original, result)


def words(rows: int, length: int, seed: int = 0) -> Array:
    """Tokens."""
    return np.random.default_rng(seed).integers(0, WORDS, (rows, length))


def random_calls(call: Checked, count: int, seed: int = 3) -> int:
    """Sequences with shared beginnings, of one to three rows; return how many positions were found."""
    random = np.random.default_rng(seed)
    known, found = [words(2, 6)], 0
    for _ in range(count):
        ids: Array = known[int(random.integers(len(known)))]
        if random.random() < 0.5:
            ids = ids[random.integers(len(ids), size=int(random.integers(1, 4)))]
        ids = ids[:, : int(random.integers(1, ids.shape[1] + 1))]
        if random.random() < 0.6:
            ids = np.concatenate([ids, random.integers(0, WORDS, (len(ids), int(random.integers(1, 6))))], 1)
        known.append(ids)
        found += call(ids).hits
    return found
