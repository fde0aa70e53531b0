"""What is known behind loops: how many iterations, sizes and elements, and why something is not known."""

from __future__ import annotations

import pytest
from graphs import view

from actcache.passes.rows import RULES, BatchSize, Row, RowFree, RowProof, prove_rows
from actcache.passes.rows.registry import Rule
from actcache.passes.rows.sizes import N
from actcache.passes.rows.state import Value

#: A loop that carries rows s, and stacks up what is the same for all rows, and rows.
STACKING = """g (float[N, 3] x, int64 m, bool b, float[2] k, float[] l) => (float[N, 3] y, float[I, J] z, float[] w)
<int64 five = {5}, int64 none = {0}, int64 less = {-1}, bool yes = {1}, bool no = {0}> {
    y, z, w, v = Loop(%s, %s, x) <body = step (int64 i, bool c, float[N, 3] s) =>
        (bool d, float[N, 3] t, float[2] u, float[N, 3] o, float[] q)
        { d = %s t = Relu(s) u = Relu(k) o = Tanh(s) q = Relu(l) }>
}"""
COUNTED, OPEN = "Identity(c)", "Less(i, m)"


def _mixed(proof: RowProof, name: str, rule: str) -> bool:
    refusal = proof.refusal(name)
    return refusal is not None and refusal.rule == rule and refusal.node != ""


@pytest.mark.parametrize(
    ("times", "goes_on", "again", "runs", "count"),
    [
        ("five", "yes", COUNTED, True, 5),
        ("five", "", COUNTED, True, 5),
        ("five", "yes", OPEN, True, None),
        ("", "yes", OPEN, True, None),
        ("", "", OPEN, True, None),
        ("five", "b", COUNTED, False, None),
        ("m", "yes", COUNTED, False, None),
        ("none", "yes", COUNTED, False, None),
        ("less", "yes", COUNTED, False, None),
        ("five", "no", COUNTED, False, None),
    ],
)
def test_rows_are_stacked_up_where_the_first_iteration_is_certain(
    times: str, goes_on: str, again: str, runs: bool, count: int | None
) -> None:
    proof = prove_rows(view(STACKING % (times, goes_on, again)), {"x": 0})
    assert proof.row_axis("y") == 0 and proof.state("z") == RowFree() and proof.state("v") == RowFree()
    assert [size.value for size in proof.shape("z") or ()] == [count, 2 if runs else None] and proof.shape("v") is None
    assert proof.row_axis("w") == (1 if runs else None) and _mixed(proof, "w", "loop-may-not-run") is not runs
    if runs:
        (length, *_) = proof.shape("w") or ()
        assert length.value == count and not length.batch


def test_a_scan_has_one_iteration_for_each_slice() -> None:
    text = """g (float[N, 3] h, float[5, N, 3] x) => (float[N, 3] y, float[I, N, 3] z) {
        y, z = Scan(h, x) <num_scan_inputs = 1, body = step (float[N, 3] s, float[N, 3] v) =>
            (float[N, 3] t, float[N, 3] u) { t = Add(s, v) u = Identity(t) }>
    }"""
    proof = prove_rows(view(text), {"h": 0, "x": 1})
    assert [size.value for size in proof.shape("z") or ()] == [5, None, 3] and proof.row_axis("z") == 1
    for axis in (2, -1):
        last = text.replace("num_scan_inputs = 1", f"num_scan_inputs = 1, scan_output_axes = [{axis}]")
        proof = prove_rows(view(last), {"h": 0, "x": 1})
        assert [size.value for size in proof.shape("z") or ()] == [None, 3, 5] and proof.row_axis("z") == 0


@pytest.mark.parametrize(("values", "settles"), [(7, True), (8, False)])
def test_what_is_carried_is_followed_through_eight_rounds(values: int, settles: bool) -> None:
    """Each value is handed on to the next one, and the first comes to count the rows."""
    before, after = (", ".join(f"float[1] {kind}{i}" for i in range(values)) for kind in "ab")
    handed_on = " ".join(f"b{i} = Identity(a{i - 1})" for i in range(1, values))
    text = f"""g (float[N, 3] x, int64 m, float[1] k) => (float[1] y0) <bool go = {{1}}> {{
        s = Shape<end = 1>(x) e = Cast<to = 1>(s)
        {", ".join(f"y{i}" for i in range(values))} = Loop(m, go, {", ".join(["k"] * values)}) <body = step
            (int64 i, bool c, {before}) => (bool d, {after}) {{ d = Identity(c) b0 = Add(a0, e) {handed_on} }}>
    }}"""
    proof = prove_rows(view(text), {"x": 0})
    states = {proof.state(f"y{i}") for i in range(values)}
    assert states == {BatchSize()} if settles else _mixed(proof, "y0", "loop-not-settled")


@pytest.mark.parametrize("numbers", [False, True])
def test_a_size_that_grows_is_another_one_behind_the_loop(numbers: bool) -> None:
    """Rows that are doubled in length, or numbers of them that are doubled in number."""
    begin, axis, kind = ("h = Shape<end = 1>(x)", 0, "int64[S]") if numbers else ("h = Identity(x)", 1, "float[N, S]")
    text = f"""g (float[N, S] x, int64 m) => (float[] y) <bool go = {{1}}> {{
        {begin} y = Loop(m, go, h) <body = step (int64 i, bool c, {kind} s) => (bool d, {kind} t)
            {{ d = Identity(c) t = Concat<axis = {axis}>(s, s) }}>
    }}"""
    proof = prove_rows(view(text), {"x": 0})
    assert proof.state("y") == (BatchSize() if numbers else Row(0))
    before, after = (proof.shape(name) or () for name in ("h", "y"))
    assert len(after) == len(before) and after[axis] != before[axis] and after[axis].value is None
    assert after[axis].batch == numbers


def test_a_value_whose_size_is_lost_first_and_then_its_rank() -> None:
    text = """g (float[N, 3] x, float[1] k, float[2] h, int64 m) => (float[] y) <bool go = {1}, int64[1] first = {0}> {
        y, z = Loop(m, go, k, h) <body = step (int64 i, bool c, float[] a, float[] b) => (bool d, float[] e, float[] f)
            { d = Identity(c) e = Add(a, b) f = Unsqueeze(b, first) }>
        u = Relu(x)
    }"""
    proof = prove_rows(view(text), {"x": 0})
    assert proof.state("y") == proof.state("z") == RowFree() and proof.shape("y") is None and proof.shape("z") is None


def test_elements_that_a_loop_hands_on_are_known_behind_it() -> None:
    text = """g (float[N, 2, 2] x, int64 m) => (float[N, 4] y) <bool go = {1}, int64[2] flat = {-1, 4}> {
        h, k = Loop(m, go, x, flat) <body = step (int64 i, bool c, float[N, 2, 2] s, int64[2] l) =>
            (bool d, float[N, 2, 2] t, int64[2] o) { d = Identity(c) t = Relu(s) o = Identity(l) }>
        y = Reshape(h, k)
    }"""
    assert prove_rows(view(text), {"x": 0}).row_axis("y") == 0


#: Two values of which the branches of an If leave only the first with its rows on the same axis.
_BRANCHES = """If(f) <
    then_branch = p () => (float[N, 4] p0, float[N, 4] p1) { p0 = Relu(s) p1 = Transpose(s) },
    else_branch = q () => (float[N, 4] q0, float[N, 4] q1) { q0 = Tanh(s) q1 = Tanh(q0) }>"""


def test_a_value_that_is_mixed_leaves_the_others() -> None:
    text = f"""g (float[N, 4] x, float[N, 4] h, int64 m, bool f) => (float[N, 4] k, float[N, 4] y) <bool go = {{1}}> {{
        k, y = Loop(m, go, h, x) <body = step (int64 i, bool c, float[N, 4] a, float[N, 4] s) =>
            (bool d, float[N, 4] u, float[N, 4] t) {{ d = Identity(c) t, u = {_BRANCHES} }}>
    }}"""
    proof = prove_rows(view(text), {"x": 0, "h": 0})
    assert proof.row_axis("y") == 0 and _mixed(proof, "k", "branches-differ")


def test_what_is_mixed_in_a_loop_that_may_not_run_is_refused_for_its_own_reason() -> None:
    text = f"""g (float[N, 4] x, int64 m, bool f) => (float[N, 4] y, float[I, N, 4] z) <bool go = {{1}}> {{
        y, z = Loop(m, go, x) <body = step (int64 i, bool c, float[N, 4] s) =>
            (bool d, float[N, 4] t, float[N, 4] u) {{ d = Identity(c) t, u = {_BRANCHES} }}>
    }}"""
    proof = prove_rows(view(text), {"x": 0})
    assert proof.row_axis("y") == 0 and _mixed(proof, "z", "branches-differ")


def test_a_condition_that_is_mixed_leaves_nothing() -> None:
    text = """g (float[N, 4] x, int64 m, bool f) => (float[N, 4] y) <bool go = {1}> {
        y = Loop(m, go, x) <body = step (int64 i, bool c, float[N, 4] s) => (bool d, float[N, 4] t) {
            t, d = If(f) <
                then_branch = p () => (float[N, 4] p0, bool p1) { p0 = Relu(s) p1 = Identity(c) },
                else_branch = q () => (float[N, 4] q0, bool[N, 4] q1) { q0 = Tanh(s) q1 = IsNaN(s) }> }>
    }"""
    assert _mixed(prove_rows(view(text), {"x": 0}), "y", "branches-differ")


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        ("n = Shape<end = 1>(x) k = Squeeze(n)", "the number of rows decides how often the body of Loop runs"),
        ("k = Cast<to = 7>(x)", "the rows decide how often the body of Loop runs"),
    ],
)
def test_who_decides_how_often_a_loop_runs(begin: str, why: str) -> None:
    text = f"""g (float[N] x) => (float[N] y) <bool go = {{1}}> {{
        {begin} y = Loop(k, go, x) <body = step
            (int64 i, bool c, float[N] s) => (bool d, float[N] t) {{ d = Identity(c) t = Relu(s) }}>
    }}"""
    proof = prove_rows(view(text), {"x": 0})
    assert _mixed(proof, "y", "loop-over-rows") and why in str(proof.refusal("y"))


@pytest.mark.parametrize(
    ("loop", "rule"),
    [
        # What is the same for all rows at first, and rows after the first iteration.
        ("Loop(m, go, h) <body = step (int64 i, bool c, float[N, 3] s) => (bool d, float[N, 3] t) "
         "{ d = Identity(c) t = Add(s, x) }>", "carried-rows-differ"),
        ("Loop(m, go, x) <body = step (int64 i, bool c) => (bool d, float[N, 3] t) "
         "{ d = Identity(c) t = Relu(x) }>", "malformed-node"),
        ("Loop(m, go, x) <body = step (int64 i, bool c, float[N, 3] s) => (bool d) "
         "{ d = Identity(c) }>", "malformed-node"),
        # Coordinates that hold the position of their row.
        ("Scan(x, p) <num_scan_inputs = 1, scan_input_axes = [1], body = step (float[N, 3] s, int64[N] v) => "
         "(float[N, 3] t) { t = Tanh(s) }>", "row-position-in-data"),
    ],
)  # fmt: skip
def test_loops_that_are_refused(loop: str, rule: str) -> None:
    text = f"""g (float[N, 3] x, float[1, 3] h, int64[N, 1] k, int64 m) => (float[N, 3] y)
    <bool go = {{1}}, int64 none = {{0}}, int64 one = {{1}}, int64[1] last = {{1}}> {{
        n = Shape<end = 1>(x) e = Squeeze(n) r = Range(none, e, one) a = Unsqueeze(r, last) p = Concat<axis = 1>(a, k)
        y = {loop}
    }}"""
    assert _mixed(prove_rows(view(text), {"x": 0, "k": 0}), "y", rule)


def test_coordinates_that_hold_positions_are_not_stacked_up() -> None:
    text = """g (float[N, 3] x, int64[N, 1] k) => (float[N, 3] y)
    <bool go = {1}, int64 m = {2}, int64 none = {0}, int64 one = {1}, int64[1] last = {1}> {
        n = Shape<end = 1>(x) e = Squeeze(n) r = Range(none, e, one) a = Unsqueeze(r, last) p = Concat<axis = 1>(a, k)
        y, z = Loop(m, go, x) <body = step (int64 i, bool c, float[N, 3] s) => (bool d, float[N, 3] t, int64[N, 2] u)
            { d = Identity(c) t = Tanh(s) u = Identity(p) }>
    }"""
    assert _mixed(prove_rows(view(text), {"x": 0, "k": 0}), "z", "row-position-in-data")


def test_a_scan_over_as_many_numbers_as_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, ("test", "Numbers"), Rule(lambda op: Value(op.need(0).state, (N,)), sizes=(0,)))
    text = """g (float[N, 3] x) => (float[N, 3] y) {
        n = Shape<end = 1>(x)
        k = test.Numbers(n)
        y = Scan(x, k) <num_scan_inputs = 1, body = step (float[N, 3] s, int64 v) => (float[N, 3] t) { t = Tanh(s) }>
    }"""
    proof = prove_rows(view(text), {"x": 0})
    assert proof.state("k") == BatchSize() and _mixed(proof, "y", "loop-over-rows")


@pytest.mark.parametrize(("number", "condition"), [("int64[1]", "bool"), ("int64", "bool[1]"), ("int64", "bool")])
def test_numbers_of_iterations_and_conditions_may_be_vectors_of_one(number: str, condition: str) -> None:
    text = f"""g (float[N, 3] x) => (float[N, 3] y) <bool go = {{1}}, int64 m = {{2}}> {{
        y, j, z = Loop(m, go, x) <body = step ({number} i, {condition} c, float[N, 3] s) =>
            ({condition} d, float[N, 3] t, {number} u, {condition} v)
            {{ d = Identity(c) f = Cast<to = 1>(i) t = Mul(s, f) u = Identity(i) v = Identity(c) }}>
    }}"""
    proof = prove_rows(view(text), {"x": 0})
    assert proof.row_axis("y") == 0
    for name, declared in (("j", number), ("z", condition)):
        assert [size.value for size in proof.shape(name) or ()] == [2, 1][: 2 if "[1]" in declared else 1]


def test_what_holds_of_a_size_before_it_grows_does_not_hold_after() -> None:
    """At first two entries are a row of their own; of four they are half of one."""
    text = """g (float[N, 2] x, int64 m) => (float[] y) <bool go = {1}, int64[2] pairs = {-1, 2}> {
        y = Loop(m, go, x) <body = step (int64 i, bool c, float[N, S] s) => (bool d, float[N, T] t)
            { d = Identity(c) k = Reshape(s, pairs) t = Concat<axis = 1>(s, s) }>
    }"""
    assert _mixed(prove_rows(view(text), {"x": 0}), "y", "reshape-mixes-rows")
