"""How large numbers may get: never larger than it is said, and nothing is said of what nothing bounds."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnx.parser
import pytest
from causal_checks import assert_goes_on, assert_refused

from actcache.passes.causal.magnitudes import Magnitudes
from actcache.passes.graph.constant_values import ConstantValues
from actcache.passes.graph.view import GraphView
from actcache.passes.rows.sizes import Symbols, const
from actcache.passes.rows.state import Shape
from tests.conformance.causal.sketches import POSITIONS, SCORES, WIDTH, WORDS, Sketch, build
from tests.conformance.causal.truth import looks_ahead, session

ROOT = "q = Mul(d, d) v = ReduceMean<axes=[-1]>(q) e = Add(v, eps) r = Sqrt(e)"
CENTRED = f"m = ReduceMean<axes=[-1]>(x) d = Sub(x, m) {ROOT}"
BOUNDED: dict[str, str] = {
    "LayerNormalization": "y = LayerNormalization(x, scale, bias)",
    "LayerNormalization, times weights": "n = LayerNormalization(x, scale) y = MatMul(n, w)",
    "written as operators": f"{CENTRED} n = Div(d, r) s = Mul(n, scale) y = Add(s, bias)",
    "written with Pow": f"{CENTRED.replace('Mul(d, d)', 'Pow(d, two)')} y = Div(d, r)",
    "the difference twice": f"{CENTRED} again = Sub(x, m) y = Div(again, r)",
    "by the root of squares": f"d = Identity(x) {ROOT} c = Reciprocal(r) y = Mul(d, c)",
    "SkipLayerNormalization": "y = com.microsoft.SkipLayerNormalization(x, x, scale, bias)",
    "SimplifiedLayerNormalization": "y = SimplifiedLayerNormalization(x, scale)",
    "looked up": "y = Gather(table, ids)",
    "looked up, and put together": """a = Gather(table, ids) b = Gather<axis=1>(w, ids) c = Abs(a)
        y = Concat<axis=-1>(a, c)""",
    "Softmax of anything, times values": "a = Softmax<axis=-1>(x) t = Tanh(w) y = MatMul(a, t)",
    "heads": """n = LayerNormalization(x, scale) h = Reshape(n, heads) t = Transpose<perm=[0, 2, 1, 3]>(h)
        y = MatMul(t, two_w)""",
    "products of queries and keys": """n = LayerNormalization(x, scale) q = MatMul(n, w) k0 = MatMul(n, w2)
        k = Transpose<perm=[0, 2, 1]>(k0) y = MatMul(q, k)""",
    "Einsum of queries and keys": """n = LayerNormalization(x, scale) q = MatMul(n, w) k = MatMul(n, w2)
        y = Einsum<equation="bqd,bkd->bqk">(q, k)""",
    "GELU written out": """n = LayerNormalization(x, scale) u = MatMul(n, w) s = Div(u, two) e = Erf(s) p = Add(e, one)
        g = Mul(u, p) y = Mul(g, half)""",
    "parts": "n = LayerNormalization(x, scale) a, b = Split<axis=-1>(n) c = Mul(a, b) y = Neg(c)",
    "Exp of little": "t = Tanh(x) y = Exp(t)",
    "between ends": "y = Clip(x, low, high)",
    "one or the other": "c = Greater(x, half) t = Sin(x) y = Where(c, t, half)",
    "added to each row": "n = LayerNormalization(x, scale) y = Add(n, bias)",
    "Gemm": "f = Reshape(x, rows) n = LayerNormalization(f, scale) y = Gemm<transB=1>(n, w, bias)",
}
OPEN: dict[str, str] = {
    "what is handed in": "y = Identity(x)",
    "times weights": "y = MatMul(x, w)",
    "over rows": "y = LayerNormalization<axis=0>(x, scale3)",
    "by the root of another": f"d = Sin(x) {ROOT} y = Div(x, r)",
    "by the root over another axis": f"d = Identity(x) {ROOT.replace('-1', '1')} y = Div(d, r)",
    "by one root for several": f"d = Identity(x) {ROOT.replace('axes=[-1]', 'axes=[-1], keepdims=0')} y = Div(d, r)",
    "by the root of less": f"d = Identity(x) {ROOT.replace('Add', 'Sub')} y = Div(d, r)",
    "by what may be nothing": "t = Sin(x) y = Div(one, t)",
    "a sum over positions": "t = Tanh(x) k = Transpose<perm=[0, 2, 1]>(t) y = MatMul(k, t)",
    "one of the two": "t = Sin(x) c = Greater(x, half) y = Where(c, t, x)",
    "a product with what is handed in": "t = Sin(x) y = Mul(t, x)",
    "one end": "y = Clip(x, low)",
    "Exp of much": "a = Tanh(x) b = Mul(a, many) y = Exp(b)",
    "as integers": "t = Tanh(x) m = Mul(t, many) i = Cast<to=3>(m) y = Cast<to=1>(i)",
}


def graph(nodes: str) -> onnx.ModelProto:
    text = f"""<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[B, S, {WIDTH}] x, int64[B, S] ids) => (float y) {{ {nodes} }}"""
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(2)

    def drawn(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    weights = {"scale": drawn(WIDTH), "bias": drawn(WIDTH), "w": drawn(WIDTH, WIDTH), "w2": drawn(WIDTH, WIDTH)}
    weights |= {"table": drawn(7, WIDTH), "two_w": drawn(2, WIDTH // 2, WIDTH), "scale3": drawn(1)}
    weights |= {
        n: np.array(v, np.float32) for n, v in {"eps": 1e-5, "half": 0.5, "one": 1, "two": 2, "low": -3}.items()
    }
    weights |= {"high": np.array(4, np.float32), "many": np.array(900, np.float32)}
    weights |= {"high1": np.array([4], np.float32), "ones": np.ones((WIDTH, WIDTH), np.float32)}
    weights |= {"heads": np.array([0, 0, 2, WIDTH // 2]), "rows": np.array([-1, WIDTH])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in weights.items())
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def bound(model: onnx.ModelProto, name: str = "y") -> float:
    view, symbols = GraphView(model), Symbols()

    def proven(tensor: str) -> Shape | None:
        sizes = view.shape(tensor)
        return None if sizes is None else tuple(const(s) if isinstance(s, int) else symbols.fresh("s") for s in sizes)

    return Magnitudes(view, ConstantValues(view, onnx.numpy_helper.to_array), proven).most(name)


def test_a_bias_of_size_1_is_added_to_all_entries() -> None:
    assert bound(graph("n = LayerNormalization(x, scale, high1) y = MatMul(n, ones)")) >= 4 * WIDTH


def test_declared_sizes_are_not_believed() -> None:
    view = GraphView(graph(BOUNDED["LayerNormalization"]))
    assert Magnitudes(view, ConstantValues(view, onnx.numpy_helper.to_array), lambda name: None).most("y") == math.inf


@pytest.mark.parametrize("name", BOUNDED)
def test_numbers_are_not_larger_than_it_is_said(name: str) -> None:
    model = graph(BOUNDED[name])
    most, runner, random = bound(model), session(model), np.random.default_rng(4)
    assert math.isfinite(most)
    largest = 0.0
    for factor in (1e-4, 1, 1e3):
        for one_is_large in (False, True):
            x = random.standard_normal((3, 4, WIDTH)).astype(np.float32) * np.float32(factor)
            if one_is_large:
                x[..., 2] *= 1000
            given = {"x": x, "ids": random.integers(0, 7, (3, 4))}
            wanted = {value.name for value in runner.get_inputs()}
            (y,) = runner.run(None, {n: v for n, v in given.items() if n in wanted})
            largest = max(largest, float(np.abs(y).max()))
    assert largest <= most <= max(1.0, 200 * largest)


@pytest.mark.parametrize("name", OPEN)
def test_nothing_is_said_of_what_nothing_bounds(name: str) -> None:
    assert bound(graph(OPEN[name])) == math.inf


LARGE = (np.random.default_rng(6).standard_normal((WORDS, WIDTH)) * 1e6).astype(np.float32)
CLOSED = "ok = LessOrEqual(pj, pi) m = Where(ok, nothing, little)"


def layer(before: str, little: float) -> Sketch:
    """Attention to embeddings that are large, behind nodes that make ``h`` of them."""
    mixed = """w = Softmax<axis=-1>(sc2)  o = MatMul(w, v)  o1 = Transpose<perm=[0,2,1,3]>(o)  o2 = Reshape(o1, joined)
        o3 = Tanh(o2)  y = MatMul(o3, wo)"""
    nodes = f"{POSITIONS} e = Gather(wte, ids) {before} {SCORES} {CLOSED} sc2 = Add(sc1, m) {mixed}"
    weights = {"wte": LARGE, "little": np.array(little, np.float32), "g": np.ones(WIDTH, np.float32)}
    return build("int64[B, S] ids", nodes, {"ids": 1}, weights=weights)


@pytest.mark.parametrize("little", [-1e4, -1e9])
def test_a_normalisation_keeps_scores_from_outweighing_a_mask(little: float) -> None:
    assert_goes_on(layer("h = LayerNormalization(e, g)", little), optimised=(False, True))


@pytest.mark.parametrize("little", [-1e4, -1e9])
def test_without_it_later_positions_show_through_the_mask(little: float) -> None:
    sketch = layer("h = Identity(e)", little)
    assert_refused(sketch, "not-causal")
    assert looks_ahead(sketch)
