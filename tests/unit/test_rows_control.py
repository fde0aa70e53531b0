"""Branches, loops, idioms of exporters, regions that begin inside the graph, hypotheses, and speed."""

from __future__ import annotations

import time

import onnx
import onnx.parser
import pytest
from graphs import model, view
from rows_support import Sample, described, follows, free, literal, rows, sample, session

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import BatchSize, Mixed, Row, RowFree, RowIndex, prove_rows, row_hypotheses, with_namesakes

BRANCHES = """
branches (float[N, 4] x, bool flag, float[1] w) => (float[N, 4] y)
{
    t = Tanh(x)
    y = If (flag) <
        then_branch = a () => (float[N, 4] p) { p = Mul(t, w) },
        else_branch = b () => (float[N, 4] q) { %s }
    >
}
"""

#: What TorchScript makes of ``squeeze(-1)``: the rank behind the If depends on a size; one of them fails.
SQUEEZED = """
squeezed (float[N, 3, T] x, float[1, N, 2] h) => (float[1, N, 2] k)
<float[1, 6, 3] w = {0.1, 0.2, -0.3, 0.4, 0.5, 0.6, -0.7, 0.8, 0.9, 1.0, -1.1, 1.2, 1.3, 1.4, 1.5, -1.6, 1.7, 1.8},
 float[1, 6, 2] r = {0.1, 0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 0.8, -0.9, 1.0, 1.1, 1.2},
 int64[1] one = {1}, int64[1] zero = {0}, int64[1] last = {-1}>
{
    s = Shape<start = 2>(x)
    c = Equal(s, one)
    f = Squeeze(c)
    z = If (f) <
        then_branch = a () => (float[N, 3] p) { p = Squeeze(x, last) },
        else_branch = b () => (float[N, 3, T] q) { q = Identity(x) }
    >
    u = Unsqueeze(z, zero)
    y, k = GRU<hidden_size = 2>(u, w, r, , , h)
}
"""


def test_branches_that_agree_keep_rows() -> None:
    proof = prove_rows(view(BRANCHES % "q = Relu(t)"), {"x": 0})
    assert proof.row_axis("y") == 0


@pytest.mark.parametrize("elements", [0, 2])
def test_a_condition_that_is_not_one_element_decides_nothing(elements: int) -> None:
    constant = f"flag = Constant<value = bool[{elements}] {{{', '.join('1' * elements)}}}>()"
    text = (BRANCHES % "q = Relu(t)").replace("bool flag, ", "").replace("t = Tanh", f"{constant} t = Tanh")
    assert prove_rows(view(text), {"x": 0}).row_axis("y") == 0


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("q = Softmax<axis = 0>(t)", "softmax-over-rows"),
        ("z = Transpose(t) q = Identity(z)", "branches-differ"),
        ("q = Unknown(t)", "no-row-rule"),
    ],
)
def test_a_branch_that_mixes_is_refused(body: str, rule: str) -> None:
    refusal = prove_rows(view(BRANCHES % body), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == rule and refusal.node


def test_condition_from_rows_is_refused() -> None:
    made = view(BRANCHES % "q = Relu(t)")
    refusal = prove_rows(made, {"x": 0, "flag": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "rank-unknown"  # a scalar has no rows
    body = (BRANCHES % "q = Relu(t)").replace("bool flag", "int64 n").replace("(flag)", "(flag)")
    sized = body.replace("t = Tanh(x)", "t = Tanh(x) s = Shape<end = 1>(x) l = Greater(s, n) flag = Squeeze(l)")
    refusal = prove_rows(view(sized), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "condition-from-rows"


def test_branches_of_different_rank_are_followed_apart() -> None:
    """The rank-3 branch gives the GRU a tensor of rank 4: no run gets through it, so only the other counts."""
    proof = prove_rows(view(SQUEEZED), {"x": 0, "h": 1})
    assert proof.row_axis("k") == 1 and proof.state("y") == Row(2)
    refusal = prove_rows(view(SQUEEZED), {"x": 0}).refusal("k")
    assert refusal is not None and refusal.rule == "rows-misaligned"


@pytest.mark.parametrize(("branches", "followed"), [(1, True), (3, True), (4, False)])
def test_at_most_three_branches_of_different_rank_are_followed_at_once(branches: int, followed: bool) -> None:
    """What each of them leaves has its rows on another axis; the Reshape behind brings them back to the first."""
    steps = (
        f"""z{n} = If(flag) <then_branch = a () => (float[P, Q, 4] p) {{ p = Unsqueeze(x{n}, zero) }},
                             else_branch = b () => (float[P, 4] q) {{ q = Relu(x{n}) }}>
            x{n + 1} = Reshape(z{n}, flat)"""
        for n in range(branches)
    )
    made = view(f"""g (float[N, 4] x0, bool flag) => (float[N, 4] x{branches})
        <int64[1] zero = {{0}}, int64[2] flat = {{-1, 4}}> {{ {" ".join(steps)} }}""")
    proof = prove_rows(made, {"x0": 0})
    refusal = proof.refusal(f"x{branches}")
    assert proof.row_axis(f"x{branches}") == (0 if followed else None)
    assert (refusal and (refusal.rule, refusal.node)) == (None if followed else ("branches-differ", "If → z3"))


def test_branches_are_followed_apart_where_one_leaves_the_number_of_rows() -> None:
    """Both shapes keep the rows; of what holds for both of them only the rank would be known."""
    made = view("""g (float[N, 2, 2] x, bool flag) => (float[N, 4] y) <int64[1] four = {4}, int64[1] rest = {-1}> {
        n = Shape<end = 1>(x)
        k = If(flag) <then_branch = a () => (int64[1] p) { p = Identity(n) },
                      else_branch = b () => (int64[1] q) { q = Identity(rest) }>
        t = Concat<axis = 0>(k, four)
        y = Reshape(x, t)
    }""")
    assert prove_rows(made, {"x": 0}).row_axis("y") == 0


@pytest.mark.parametrize(("elements", "followed"), [(64, True), (65, False)])
def test_elements_are_followed_of_at_most_64(elements: int, followed: bool) -> None:
    numbers = ", ".join([*"1" * (elements - 2), "-1", "4"])
    made = view(f"""g (float[N, 2, 2] x) => (float[N, 4] y)
        <int64[{elements}] w = {{{numbers}}}, int64[1] from = {{-2}}, int64[1] to = {{{elements}}}> {{
            t = Slice(w, from, to) y = Reshape(x, t) }}""")
    assert prove_rows(made, {"x": 0}).row_axis("y") == (0 if followed else None)


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


def test_states_that_are_no_rows() -> None:
    body = """s (float[N, 4] x) => (float y) <int64 z = {0}, int64 o = {1}>
    { n = Shape<end = 1>(x) k = Squeeze(n) r = Range(z, k, o) w = Constant<value_float = 1.5>() y = Identity(w) }"""
    proof = prove_rows(view(body), {"x": 0})
    assert proof.state("k") == BatchSize() and proof.state("r") == RowIndex(0) and proof.state("y") == RowFree()
    assert proof.row_axis("r") is None and proof.refusal("r") is None
    assert isinstance(proof.state("nowhere"), Mixed)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("value_int = 2", ()),
        ("value_ints = [1, 2]", (2,)),
        ("value_float = 1.5", ()),
        ("value_floats = [1.5, 2.5]", (2,)),
        ('value_string = "a"', None),
        ("value = float[2, 1] {1, 2}", (2, 1)),
    ],
)
def test_constants_are_the_same_for_all_rows(value: str, shape: tuple[int, ...] | None) -> None:
    proof = prove_rows(
        view(f"g (float[N, 3] x) => (float[N, 3] y) {{ k = Constant<{value}>() y = Relu(x) }}"), {"x": 0}
    )
    sizes = proof.shape("k")
    assert proof.state("k") == RowFree()
    assert (None if sizes is None else tuple(size.value for size in sizes)) == shape


def test_weights_in_other_files_are_known_by_their_sizes() -> None:
    made = model("g (float[N, 2] x) => (float[N, 2] y) <int64[2] w = {1, 2}> { y = Expand(x, w) z = Identity(w) }")
    (weight,) = made.graph.initializer
    weight.ClearField("int64_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="not written yet.bin")
    proof = prove_rows(GraphView(made), {"x": 0})
    assert proof.state("z") == RowFree() and [size.value for size in proof.shape("z") or ()] == [2]
    assert proof.row_axis("y") is None  # the elements are not known


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ("y = Add(x, t)", "rows lie on axis 0 of one operand and on axis 1 of another"),
        ("a = Reshape(x, flat) b = Reshape(t, flat) y = Add(a, b)", "rows of one operand are flattened"),
    ],
)
def test_rows_that_do_not_meet_are_misaligned(node: str, why: str) -> None:
    text = f"g (float[N, M] x) => (float[] y) <int64[1] flat = {{-1}}> {{ t = Transpose(x) {node} }}"
    refusal = prove_rows(view(text), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "rows-misaligned" and why in str(refusal)


def test_a_refusal_in_a_body_names_its_node() -> None:
    made = model(BRANCHES % "z = Softmax<axis = 0>(t) q = Relu(z)")
    (otherwise,) = (a.g for a in made.graph.node[1].attribute if a.name == "else_branch")
    for name, label in (("", "Softmax → z"), ("softly", "Softmax 'softly'")):
        otherwise.node[0].name = name
        refusal = prove_rows(GraphView(made), {"x": 0}).refusal("y")
        assert refusal is not None and refusal.node == label


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


@pytest.mark.parametrize(
    ("inputs", "best"),
    [
        ("float[B, S] i, float[B, S] m", {"i": 0, "m": 0}),
        ("float[?, ?] i, float[2, ?, 8] m, int64 rate", {"i": 0, "m": 1}),
        ("float[2, B, 8] i, float[B, S] m, float[4, 4] w", {"i": 1, "m": 0}),
        ("float[images, 3] i, float[texts, S] m", {"i": 0}),
        ("float[4, 4] i", None),
    ],
)
def test_hypotheses(inputs: str, best: dict[str, int] | None) -> None:
    made = view(f"h ({inputs}) => (float y) {{ y = ReduceSum(i) }}")
    found = row_hypotheses(made, made.inputs)
    assert (found[0] if found else None) == best and len(found) <= 6


def test_only_axes_that_may_vary_are_hypotheses() -> None:
    made = view("h (float[?, ?] i, float[2, ?, 8] m) => (float y) { y = ReduceSum(i) }")
    assert row_hypotheses(made, made.inputs) == [{"i": 0, "m": 1}, {"i": 0}]


def test_a_size_that_is_declared_as_a_number_below_1_has_no_name() -> None:
    """Old exporters write -1: that two axes have it makes them no namesakes."""
    made = model("h (float[M, S] i, float[S, M] m) => (float y) { y = ReduceSum(i) }")
    for declared, axis in zip(made.graph.input, (0, 1), strict=True):
        declared.type.tensor_type.shape.dim[axis].dim_value = -1
    found = row_hypotheses(GraphView(made), ["i", "m"])
    assert found[0] == {"i": 1, "m": 0} and {"i": 0, "m": 1} not in found


def test_independent_batches_are_separate_hypotheses() -> None:
    made = view("h (float[images, 3] i, float[texts, S] m) => (float y) { y = ReduceSum(i) }")
    assert {"m": 0} in row_hypotheses(made, made.inputs)


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


def test_axes_of_one_name_are_cut_together() -> None:
    made = view("g (float[N, 4] x, float[M, N] m, float[K, 4] k, float[?, 4] u) => (float[N, 4] y) { y = Tanh(x) }")
    assert with_namesakes(made, {"x": 0}) == {"x": 0, "m": 1}
    assert with_namesakes(made, {"m": 0}) == {"m": 0}
    assert with_namesakes(made, {"u": 0}) == {"u": 0}
