"""Idioms of exporters, regions that begin inside the graph, what is not believed, and speed."""

from __future__ import annotations

import time

import onnx
import onnx.parser
import pytest
from graphs import model, view
from rows_support import Sample, described, follows, free, literal, rows, sample, session

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import BatchSize, Mixed, RowFree, RowIndex, prove_rows

IDIOMS: list[Sample] = [
    # Softmax → IsNaN → Where, as both exporters of torch guard fully masked attention.
    sample("s = Softmax(x) n = IsNaN(s) y = Where(n, z, s)", 0, x=rows(2, 3), z=literal(0.0, "float32")),
    # TorchScript's attention: sizes computed for each layer, heads split and merged.
    sample(
        """s = Shape(x) n = Gather(s, i0) l = Gather(s, i1) nu = Unsqueeze(n, a0) lu = Unsqueeze(l, a0)
           t = Concat<axis = 0>(nu, lu, h, d) r = Reshape(x, t) q = Transpose<perm = [0, 2, 1, 3]>(r)
           k = Transpose<perm = [0, 2, 3, 1]>(r) m = MatMul(q, k) p = Softmax(m) o = MatMul(p, q)
           b = Transpose<perm = [0, 2, 1, 3]>(o) hd = Mul(h, d) u = Concat<axis = 0>(nu, lu, hd) y = Reshape(b, u)""",
        0,
        x=rows(4, 6),
        i0=literal(0),
        i1=literal(1),
        a0=literal([0]),
        h=literal([2]),
        d=literal([3]),
    ),
    # Flattened to N·S for a product, and back.
    sample(
        """s = Shape(x) f = Reshape(x, flat) g = Gemm(f, w) lead = Slice(s, z, two) t = Concat<axis = 0>(lead, five)
           y = Reshape(g, t)""",
        0,
        x=rows(4, 3),
        flat=literal([-1, 3]),
        w=free(3, 5),
        z=literal([0]),
        two=literal([2]),
        five=literal([5]),
    ),
    # tf2onnx: sizes pass through int32, keepdims by Reshape, Expand of each mean.
    sample(
        """s = Shape(x) c = Cast<to = 6>(s) n = Slice(c, z, one, z) k = Concat<axis = 0>(n, o) i = Cast<to = 7>(k)
           m = ReduceSum<keepdims = 0>(x, one) r = Reshape(m, i) e = Expand(r, i) y = Sub(x, e)""",
        0,
        x=rows(4),
        z=literal([0]),
        one=literal([1]),
        o=literal([1], "int32"),
    ),
]


@pytest.mark.parametrize("idiom", IDIOMS, ids=str)
def test_idiom_is_proven(idiom: Sample) -> None:
    assert described(idiom.proof.state("y")) == idiom.claims["y"], idiom.proof.refusal("y")
    assert all(same for _, _, same in follows(idiom, session(idiom)))


CHAIN = "chain (float[N, 4] x, float[N, 4] z) => (float[N, 4] y) { a = Softmax<axis = 0>(x) b = Relu(a) y = Add(b, z) }"


def test_region_may_begin_at_intermediate_tensors() -> None:
    made = view(CHAIN)
    assert isinstance(prove_rows(made, {"x": 0, "z": 0}).state("y"), Mixed)
    proof = prove_rows(made, {"z": 0}, row_tensors={"a": 0})
    assert proof.row_axis("b") == 0 and proof.row_axis("y") == 0
    assert prove_rows(made, {"z": 0}, row_tensors={"a": 5}).refusal("a") is not None
    assert prove_rows(made, {}, row_tensors={"a": 0, "z": 0}).row_axis("y") == 0


@pytest.mark.parametrize(("axis", "row"), [(0, 0), (1, 1), (-1, 1), (-2, 0), (2, None), (-3, None)])
def test_an_intermediate_tensor_has_rows_on_an_axis_that_is_there(axis: int, row: int | None) -> None:
    proof = prove_rows(view(CHAIN), {}, row_tensors={"a": axis})
    refusal = proof.refusal("a")
    assert proof.row_axis("b") == row and (refusal is None) == (row is not None)
    assert refusal is None or f"no axis {axis}" in str(refusal)


def test_sizes_of_a_tensor_that_is_taken_for_rows_are_those_computed_but_for_numbers_of_rows() -> None:
    made = view("""g (float[N, 4] x) => (float[N, 2, 2] y) <int64[3] split = {-1, 2, 2}> {
        a = Relu(x) y = Reshape(a, split) t = Transpose(x) z = Relu(t)
    }""")
    assert prove_rows(made, {"x": 0}, row_tensors={"a": 0}).row_axis("y") == 0
    crossed = prove_rows(made, {"x": 0}, row_tensors={"t": 0})
    assert crossed.row_axis("z") == 0 and not (crossed.shape("z") or ())[1].batch


def test_states_that_are_no_rows() -> None:
    body = """s (float[N, 4] x) => (float y) <int64 z = {0}, int64 o = {1}>
    { n = Shape<end = 1>(x) k = Squeeze(n) r = Range(z, k, o) w = Constant<value_float = 1.5>() y = Identity(w) }"""
    proof = prove_rows(view(body), {"x": 0})
    assert proof.state("k") == BatchSize() and proof.state("r") == RowIndex(0) and proof.state("y") == RowFree()
    assert proof.row_axis("r") is None and proof.refusal("r") is None
    assert isinstance(proof.state("nowhere"), Mixed)


def test_equal_symbols_of_the_author_prove_nothing() -> None:
    """N, S and T are unknown sizes to the analysis, however they are called."""
    body = "m (float[N, N] x, float[N] b) => (float[N, N] y) { y = Add(x, b) }"
    assert isinstance(prove_rows(view(body), {"x": 0, "b": 0}).state("y"), Mixed)
    assert prove_rows(view(body), {"x": 0}).row_axis("y") == 0


def test_stale_shapes_are_not_believed() -> None:
    """The author's value_info says the addend has one row; it has as many as the input has."""
    made = model("m (float[N, 4] x, float[M, 4] b) => (float[N, 4] y) { c = Relu(b) y = Add(x, c) }")
    made.graph.value_info.append(onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [1, 4]))
    assert isinstance(prove_rows(GraphView(made), {"x": 0}).state("y"), Mixed)


def test_time_grows_linearly() -> None:
    layer = "s{0} = Shape(h{0}) t{0} = Slice(s{0}, z, o) u{0} = Concat<axis = 0>(t{0}, m) r{0} = Reshape(h{0}, u{0}) "
    layer += "a{0} = Relu(r{0}) b{0} = Mul(a{0}, a{0}) c{0} = Add(b{0}, r{0}) v{0} = Transpose<perm = [0, 2, 1]>(c{0}) "
    layer += "w{0} = Transpose<perm = [0, 2, 1]>(v{0}) h{1} = Softmax(w{0}) "
    seconds = []
    for layers in (60, 240):
        nodes = "".join(layer.format(n, n + 1) for n in range(layers))
        made = view(
            f"g (float[N, 6, 4] h0) => (float[N, 6, 4] h{layers}) "
            f"<int64[1] z = {{0}}, int64[1] o = {{1}}, int64[2] m = {{-1, 4}}> {{ {nodes} }}"
        )
        started = time.process_time()
        assert prove_rows(made, {"h0": 0}).row_axis(f"h{layers}") == 0
        seconds.append(time.process_time() - started)
    assert seconds[1] < 12 * seconds[0]
