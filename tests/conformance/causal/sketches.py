"""Small sequence models for the tests of the causal proof, with the mask as a parameter."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnx.parser

from actcache.passes.graph.nodes import node_reads
from actcache.passes.graph.told_types import told_types
from actcache.passes.graph.view import GraphView

#: Width, heads, vocabulary and the most positions.
WIDTH, HEADS, WORDS, MOST = 8, 2, 11, 24


@dataclass(frozen=True)
class Sketch:
    """A model, and along which axes of its inputs positions lie; `pasts`: along which others have none.

    `ones`: masks that are 1 everywhere.
    """

    model: onnx.ModelProto
    positions: dict[str, int]
    pasts: dict[str, int] = field(default_factory=dict)
    ones: tuple[str, ...] = ()

    @cached_property
    def view(self) -> GraphView:
        """The model, with the types that onnxruntime tells, as the compiler has it."""
        view = GraphView(self.model)
        if not view.untyped:
            return view
        with tempfile.TemporaryDirectory() as folder:
            return GraphView(self.model, told_types(self.model, view.untyped, Path(folder)))


def build(
    inputs: str,
    nodes: str,
    positions: dict[str, int],
    *,
    outputs: str = "float[B, S, F] y",
    opset: int = 17,
    weights: dict[str, np.ndarray] | None = None,
    seed: int = 0,
) -> Sketch:
    """Make a model of nodes as text. Weights that it reads and that are not given are drawn, by their names."""
    imports = f'"" : {opset}, "com.microsoft" : 1'
    text = (
        f"<ir_version: {8 if opset < 21 else 10}, opset_import: [{imports}]> g ({inputs}) => ({outputs}) {{ {nodes} }}"
    )
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(seed)
    shapes = {"wte": (WORDS, WIDTH), "wpe": (MOST, WIDTH)}
    shapes |= dict.fromkeys(("wq", "wk", "wv", "wo"), (WIDTH, WIDTH))
    values = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    values |= _NUMBERS | (weights or {})
    read = {name for node in model.graph.node for name in node_reads(node)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in values.items() if n in read)
    return Sketch(model, positions)


_NUMBERS = {
    "zero": np.array(0),
    "one": np.array(1),
    "axis0": np.array([0]),
    "axis1": np.array([1]),
    "axis2": np.array([2]),
    "axis01": np.array([0, 1]),
    "axis12": np.array([1, 2]),
    "heads": np.array([0, 0, HEADS, WIDTH // HEADS]),
    "joined": np.array([0, 0, WIDTH]),
    "scale": np.array(0.5, np.float32),
    "low": np.array(np.finfo(np.float32).min),
    "nothing": np.array(0, np.float32),
}

#: pos: 0 … S-1; pi and pj: the same as a column and as a row.
POSITIONS = """
    sh = Shape(ids)  s = Gather<axis=0>(sh, one)  pos = Range(zero, s, one)
    pi = Unsqueeze(pos, axis1)  pj = Unsqueeze(pos, axis0)
"""
EMBEDDED = "e1 = Gather(wte, ids)  e2 = Gather(wpe, pos)  h = Add(e1, e2)"
SCORES = """
    q0 = MatMul(h, wq)  k0 = MatMul(h, wk)  v0 = MatMul(h, wv)
    q1 = Reshape(q0, heads)  k1 = Reshape(k0, heads)  v1 = Reshape(v0, heads)
    q = Transpose<perm=[0,2,1,3]>(q1)  k = Transpose<perm=[0,2,3,1]>(k1)  v = Transpose<perm=[0,2,1,3]>(v1)
    sc0 = MatMul(q, k)  sc1 = Mul(sc0, scale)
"""
MIXED = """
    w = Softmax<axis=-1>(sc2)  o = MatMul(w, v)  o1 = Transpose<perm=[0,2,1,3]>(o)  o2 = Reshape(o1, joined)
    o3 = MatMul(o2, wo)  y = Add(o3, h)
"""


def attention(
    mask: str = "ok = LessOrEqual(pj, pi)",
    *,
    apply: str = "Where(ok, sc1, low)",
    given: str = "",
    positions: dict[str, int] | None = None,
    opset: int = 17,
    weights: dict[str, np.ndarray] | None = None,
    mixed: str = MIXED,
) -> Sketch:
    """One layer of attention.

    Args:
        mask: Nodes that make what `apply` reads, of the positions ``pi`` and ``pj``.
        apply: What the softmax is taken of, made of the scores ``sc1``.
        given: Further inputs, with the axes of their positions in `positions`.
        positions: See there.
        opset: Of the model.
        weights: Constants that `mask` reads.
        mixed: Nodes that make ``y`` of ``sc2``.
    """
    inputs = ", ".join(part for part in ("int64[B, S] ids", given) if part)
    nodes = f"{POSITIONS} {EMBEDDED} {SCORES} {mask} sc2 = {apply} {mixed}"
    return build(inputs, nodes, {"ids": 1, **(positions or {})}, opset=opset, weights=weights)
