"""Branches of an If: which of them counts, what holds for both, and when they are followed apart."""

from __future__ import annotations

import pytest
from graphs import model, view

from actcache.passes.graph.view import GraphView
from actcache.passes.rows import RULES, BatchSize, Row, RowFree, RowProof, prove_rows
from actcache.passes.rows.registry import Rule
from actcache.passes.rows.sizes import N
from actcache.passes.rows.state import Value

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

#: An If whose branches leave the rows on different axes, and what brings them back.
_APART = """z{n} = If(flag) <then_branch = a () => (float[P, Q, 4] p) {{ p = Unsqueeze(x{n}, zero) }},
                             else_branch = b () => (float[P, 4] q) {{ q = Relu(x{n}) }}>
            x{m} = Reshape(z{n}, flat)"""
#: An If of which one branch mixes the rows.
_MIXED = """v{n} = If(flag) <then_branch = a () => (float[P, 4] p) {{ p = Softmax<axis = 0>(x0) }},
                             else_branch = b () => (float[P, 4] q) {{ q = Relu(x0) }}>"""


def _proof(nodes: str) -> RowProof:
    """The proof of nodes that read rows x0, a flag and some constants."""
    text = f"""g (float[N, 4] x0, bool flag, float[4] w, float[] u) => (float[] y)
        <int64[1] zero = {{0}}, int64[2] flat = {{-1, 4}}, bool[1] yes = {{1}}, bool no = {{0}}> {{ {nodes} }}"""
    return prove_rows(view(text), {"x0": 0})


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
    body = (BRANCHES % "q = Relu(t)").replace("bool flag", "int64 n")
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
    """Branches of which one mixes rows do not count: nothing is gained behind them."""
    mixed = " ".join(_MIXED.format(n=n) for n in range(3))
    proof = _proof(f"{mixed} {' '.join(_APART.format(n=n, m=n + 1) for n in range(branches))}")
    refusal = proof.refusal(f"x{branches}")
    assert proof.refusal("v0") is not None and proof.row_axis(f"x{branches}") == (0 if followed else None)
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
    proof = prove_rows(made, {"x": 0})
    assert proof.row_axis("y") == 0 and proof.state("k") == BatchSize()


def test_one_output_of_several_is_enough_to_follow_branches_apart() -> None:
    proof = _proof("""z, r = If(flag) <
            then_branch = a () => (float[P, Q, 4] p, float[P, 4] p1) { p = Unsqueeze(x0, zero) p1 = Tanh(x0) },
            else_branch = b () => (float[P, 4] q, float[P, 4] q1) { q = Relu(x0) q1 = Relu(q) }>
        y = Reshape(z, flat)""")
    assert proof.row_axis("y") == 0 and proof.row_axis("r") == 0


@pytest.mark.parametrize("first", [True, False])
def test_what_mixes_behind_one_branch_is_refused(first: bool) -> None:
    """Of rank 3, axis 1 holds the rows; of rank 2, what the node normalises."""
    good, bad = "q = Relu(x0)", "p = Unsqueeze(x0, zero)"
    then, otherwise = (bad, good) if first else (good, bad)
    proof = _proof(f"""z = If(flag) <then_branch = a () => (float[] {then[0]}) {{ {then} }},
                                     else_branch = b () => (float[] {otherwise[0]}) {{ {otherwise} }}>
        s = Softmax<axis = 1>(z) y = Reshape(s, flat)""")
    refusal = proof.refusal("y")
    assert refusal is not None and refusal.rule == "softmax-over-rows"


@pytest.mark.parametrize("first", [True, False])
def test_a_branch_that_fails_says_nothing(first: bool) -> None:
    text = SQUEEZED
    if not first:
        for old, new in (("then_branch", "_"), ("else_branch", "then_branch"), ("_ =", "else_branch =")):
            text = text.replace(old, new)
    proof = prove_rows(view(text), {"x": 0, "h": 1})
    assert proof.row_axis("k") == 1


def test_rows_and_what_is_the_same_for_all_of_them_do_not_agree() -> None:
    for branches in (("p = Relu(x0)", "q = Relu(w)"), ("p = Relu(w)", "q = Relu(x0)")):
        then, otherwise = branches
        proof = _proof(f"""y = If(flag) <then_branch = a () => (float[] p) {{ {then} }},
                                         else_branch = b () => (float[] q) {{ {otherwise} }}>""")
        refusal = proof.refusal("y")
        assert refusal is not None and refusal.rule == "branches-differ"


def test_sizes_that_differ_between_branches_are_not_known() -> None:
    for then, otherwise in (("Relu(x)", "Pad(x, more)"), ("Pad(x, more)", "Relu(x)"), ("Tanh(x)", "Relu(x)")):
        made = view(f"""g (float[N, 4, 3] x, bool flag) => (float[] y)
            <int64[6] more = {{0, 0, 0, 0, 0, 2}}> {{
            y = If(flag) <then_branch = a () => (float[] p) {{ p = {then} }},
                          else_branch = b () => (float[] q) {{ q = {otherwise} }}>
        }}""")
        proof = prove_rows(made, {"x": 0})
        same = "Pad" not in then + otherwise
        assert proof.row_axis("y") == 0
        assert [size.value for size in proof.shape("y") or ()] == [None, 4, 3 if same else None]


def test_numbers_of_rows_of_two_lengths_are_numbers_of_rows() -> None:
    for order in (("n", "e"), ("e", "n")):
        then, otherwise = order
        proof = _proof(f"""n = Shape<end = 1>(x0) e = Concat<axis = 0>(n, n)
            k = If(flag) <then_branch = a () => (int64[P] p) {{ p = Identity({then}) }},
                          else_branch = b () => (int64[P] q) {{ q = Identity({otherwise}) }}>""")
        assert proof.state("k") == BatchSize() and [size.value for size in proof.shape("k") or ()] == [None]


@pytest.mark.parametrize("first", [True, False])
def test_a_size_that_counts_rows_in_one_branch_may_count_rows(first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, ("test", "Numbers"), Rule(lambda op: Value(op.need(0).state, (N,)), sizes=(0,)))
    then, otherwise = ("n", "v") if first else ("v", "n")
    proof = _proof(f"""n = Shape<end = 1>(x0) v = test.Numbers(n)
        k = If(flag) <then_branch = a () => (int64[P] p) {{ p = Identity({then}) }},
                      else_branch = b () => (int64[P] q) {{ q = Identity({otherwise}) }}>""")
    (size,) = proof.shape("k") or ()
    assert proof.state("k") == BatchSize() and size.batch and size != N


def test_branches_of_unknown_rank_are_the_same_for_all_rows() -> None:
    proof = _proof("""y = If(flag) <then_branch = a () => (float[] p) { p = Relu(u) },
                                    else_branch = b () => (float[] q) { q = Tanh(u) }>""")
    assert proof.state("y") == RowFree() and proof.shape("y") is None


@pytest.mark.parametrize(("flag", "mixing"), [("yes", "else"), ("no", "then")])
def test_a_branch_that_is_never_taken_does_not_count(flag: str, mixing: str) -> None:
    nodes = {"then": "Relu(x0)", "else": "Tanh(x0)", mixing: "Softmax<axis = 0>(x0)"}
    text = """y = If(%s) <then_branch = a () => (float[N, 4] p) { p = %s },
                          else_branch = b () => (float[N, 4] q) { q = %s }>"""
    assert _proof(text % (flag, nodes["then"], nodes["else"])).row_axis("y") == 0
    other = "no" if flag == "yes" else "yes"
    refusal = _proof(text % (other, nodes["then"], nodes["else"])).refusal("y")
    assert refusal is not None and refusal.rule == "softmax-over-rows"


def test_names_in_branches_are_no_tensors_of_a_frontier() -> None:
    proof = prove_rows(view(BRANCHES % "q = Relu(t)"), {"x": 0}, row_tensors={"p": 1})
    assert proof.row_axis("y") == 0


def test_a_refusal_in_a_body_names_its_node() -> None:
    made = model(BRANCHES % "z = Softmax<axis = 0>(t) q = Relu(z)")
    (otherwise,) = (a.g for a in made.graph.node[1].attribute if a.name == "else_branch")
    for name, label in (("", "Softmax → z"), ("softly", "Softmax 'softly'")):
        otherwise.node[0].name = name
        refusal = prove_rows(GraphView(made), {"x": 0}).refusal("y")
        assert refusal is not None and refusal.node == label
