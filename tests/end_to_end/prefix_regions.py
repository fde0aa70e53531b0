"""A causal model written by hand, as it is and as a region of prefixes: one layer of attention behind an embedding.

``x = E[ids] + P[position] + own``, then K and V of two heads, and ``y = softmax(causal(q K)) V + x``. ``own`` is one
vector for each row of the batch. Entries hold ``y``, and K and V as states.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
from hand_written import Array, session

from actcache.passes.cuts import PrefixCut

WORDS, LONGEST, WIDTH, HEADS = 50, 64, 8, 2
_NUMBERS = itertools.count()

#: The layer, between ``ids_c`` and ``y_m``, ``k_m``, ``v_m``; `past` and the other names are filled in.
_LAYER = """
    zero = Constant <value = int64[1] {{0}}> ()  one = Constant <value = int64[1] {{1}}> ()
    two = Constant <value = int64[1] {{2}}> ()  flat = Constant <value = int64[3] {{0, 0, 8}}> ()
    split = Constant <value = int64[4] {{0, 0, 2, 4}}> ()  unit = Constant <value = int64 {{1}}> ()
    scalar = Constant <value = int64[1] {{0}}> ()  low = Constant <value = float {{-1e30}}> ()
    sizes = Shape(ids_c)  count = Slice(sizes, one, two)
    {past}
    begin = Squeeze(first, scalar)  all = Add(first, count)  end = Squeeze(all, scalar)
    own_positions = Range(begin, end, unit)  start = Squeeze(zero, scalar)  positions = Range(start, end, unit)
    words = Gather(E, ids_c)  places = Gather(P, own_positions)  told = Unsqueeze(own, one)
    there = Add(words, places)  x = Add(there, told)
    q0 = MatMul(x, Wq)  q1 = Reshape(q0, split)  q = Transpose <perm = [0, 2, 1, 3]> (q1)
    k0 = MatMul(x, Wk)  k1 = Reshape(k0, split)  k_m = Transpose <perm = [0, 2, 1, 3]> (k1)
    v0 = MatMul(x, Wv)  v1 = Reshape(v0, split)  v_m = Transpose <perm = [0, 2, 1, 3]> (v1)
    k = {k}  v = {v}
    kt = Transpose <perm = [0, 1, 3, 2]> (k)  scores = MatMul(q, kt)
    mine = Unsqueeze(own_positions, one)  seen = LessOrEqual(positions, mine)  closed = Where(seen, scores, low)
    shares = Softmax <axis = 3> (closed)  read = MatMul(shares, v)
    back = Transpose <perm = [0, 2, 1, 3]> (read)  joined = Reshape(back, flat)  y_m = Add(joined, x)
"""
_TYPES = "float[B, S, 8] y"


@dataclass
class CausalModel:
    """The model, cached in blocks of `block` positions."""

    block: int = 1
    min_suffix: int = 2
    id: str = field(default_factory=lambda: f"prefix{next(_NUMBERS)}")
    fingerprint: str = field(default_factory=lambda: f"prefix{next(_NUMBERS):016x}")

    @property
    def cut(self) -> PrefixCut:
        return PrefixCut(
            (0, 0),
            (0, 0, 0),
            frontier_positions=(1, None),
            live_out_positions=(1, 2, 2),
            live_out_ranks=(3, 4, 4),
            live_out_sizes=((None, None, WIDTH), *(((None, HEADS, None, WIDTH // HEADS),) * 2)),
            states=2,
            block=self.block,
            min_suffix=self.min_suffix,
            ranks=(2, 2),
        )

    def original(self) -> onnx.ModelProto:
        body = _LAYER.format(past="first = Identity(zero)", k="Identity(k_m)", v="Identity(v_m)")
        return _model(f"ids_c = Identity(ids) {body} y = Identity(y_m)")

    def cached(self) -> onnx.ModelProto:
        past = "lengths = Shape(k_k)  three = Constant <value = int64[1] {3}> ()  first = Slice(lengths, two, three)"
        body = _LAYER.format(past=past, k="Concat <axis = 2> (k_k, k_m)", v="Concat <axis = 2> (v_k, v_m)")
        model = _model(
            f"""miss, plan, y_k, k_k, v_k, ids_c = ai.actcache.CacheLookup (ids, own)
            y = If (miss) <
                then_branch = compute () => (float[] y_t) {{
                    {body} y_t = ai.actcache.CacheStore (plan, y_k, k_k, v_k, y_m, k_m, v_m)
                }},
                else_branch = reuse () => (float[] y_e) {{ y_e = Identity(y_k) }}>""",
            "float[] y_k, float[] k_k, float[] v_k, int64[] ids_c",
        )
        lookup, branching = (node for node in model.graph.node if node.op_type in ("CacheLookup", "If"))
        then = next(a.g for a in branching.attribute if a.name == "then_branch")
        for node in (lookup, then.node[-1]):
            node.attribute.extend(
                [
                    onnx.helper.make_attribute("region", self.id),
                    onnx.helper.make_attribute("fingerprint", self.fingerprint),
                    onnx.helper.make_attribute("output_types", [onnx.TensorProto.FLOAT] * 3),
                    *self.cut.attributes(),
                ]
            )
        lookup.attribute.extend(self.cut.lookup_attributes())
        return model

    def session(self, **entries: str) -> ort.InferenceSession:
        return session(self.cached(), 1, **entries)

    @cached_property
    def _plain(self) -> ort.InferenceSession:
        return session(self.original())

    def expected(self, ids: Array, own: Array | None = None) -> Array:
        """What the model answers, without a cache."""
        return run(self._plain, ids, own)


def _model(nodes: str, values: str = "") -> onnx.ModelProto:
    text = f"""<ir_version: 9, opset_import: ["": 17, "ai.actcache": 1]>
        causal (int64[B, S] ids, float[B, 8] own) => ({_TYPES}) <{values}> {{ {nodes} }}"""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(14)
    shapes = {"E": (WORDS, WIDTH), "P": (LONGEST, WIDTH), **dict.fromkeys(("Wq", "Wk", "Wv"), (WIDTH, WIDTH))}
    for name, shape in shapes.items():
        weights = rng.standard_normal(shape, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def run(of: ort.InferenceSession, ids: Array, own: Array | None = None) -> Array:
    own = np.zeros((len(ids), WIDTH), np.float32) if own is None else own
    answer: Array = of.run(None, {"ids": ids, "own": own})[0]
    return answer


def sequence(*ids: int) -> Array:
    """A batch of one row."""
    return np.array([ids], np.int64).reshape(1, -1)
