"""Loops and scans: rows go through them when every row is treated alike, and are refused when they take turns."""

from __future__ import annotations

import pytest
from graphs import view
from rows_support import Sample, described, follows, free, ints, literal, mixes, rows, sample, session, weight

from actcache.passes.rows import BatchSize, RowFree, prove_rows

#: A recurrent cell on slices v [N, 3] with states s [N, 4].
_CELL = "a = Concat<axis = 1>(v, s) g = MatMul(a, w) t = Tanh(g) u = Mul(t, t)"
_STEP = f"body = step (float[N, 4] s, float[N, 3] v) => (float[N, 4] t, float[N, 4] u) {{ {_CELL} }}"
_TIMES = "y, z = Loop(m, go, h) <body = step (int64 i, bool c, float[N, 4] s) => (bool d, float[N, 4] t, float[N, 4] u)"
_BESIDE = """y, k = Loop(m, go, x, h) <body = step (int64 i, bool c, float[N, 3] s, float a) =>
    (bool d, float[N, 3] t, float b)"""
_W, _TRUE = weight(7, 4), literal(True, "bool")

LOOPS: list[Sample] = [
    *(sample(f"y, z = Scan(h, x) <num_scan_inputs = 1, {_STEP}>", {"y": 0, "z": 1}, opset=opset, h=rows(4),
        x=rows(5, 3, axis=1), w=_W) for opset in (9, 11, 24)),
    *(sample(f"{_TIMES} {{ d = Identity(c) v = Gather<axis = 0>(x, i) {_CELL} }}>", {"y": 0, "z": 1}, opset=opset,
        h=rows(4), x=rows(5, 3, axis=1), w=_W, m=literal(5), go=_TRUE) for opset in (9, 11, 23)),
    sample(f"y, z = Scan(h, x) <num_scan_inputs = 1, {_STEP}>", {"y": 0, "z": 1}, h=rows(4), x=rows(5, 3, axis=1),
        w=_W),
    # Slices of another axis, backwards, put together on yet another.
    sample(f"""y, z = Scan(h, x) <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1],
        scan_output_axes = [-1], {_STEP}>""", {"y": 0, "z": 0}, h=rows(4), x=rows(5, 3), w=_W),
    sample(f"y, z = Scan(h, x) <num_scan_inputs = 1, scan_input_axes = [2], scan_output_axes = [1], {_STEP}>",
        {"y": 0, "z": 0}, h=rows(4), x=rows(3, 5), w=_W),
    # The state begins with zeros for as many rows as there are.
    sample(f"""n = Shape<start = 1, end = 2>(x) k = Concat<axis = 0>(n, four) h = ConstantOfShape(k)
        y, z = Scan(h, x) <num_scan_inputs = 1, {_STEP}> r = Transpose<perm = [1, 0, 2]>(z)
        b = Shape(x) e = Gather(b, places) f = Concat<axis = 0>(e, four) q = Reshape(r, f)""",
        {"y": 0, "z": 1, "q": 0}, x=rows(5, 3, axis=1), w=_W, four=literal([4]), places=literal([1, 0])),
    # As tf2onnx writes a recurrent layer: the step counts itself and takes its slice by number.
    sample(f"{_TIMES} {{ d = Identity(c) v = Gather<axis = 0>(x, i) {_CELL} }}>", {"y": 0, "z": 1}, h=rows(4),
        x=rows(5, 3, axis=1), w=_W, m=literal(5), go=_TRUE),
    sample(f"""y, j, z = Loop(, go, h, zero) <body = step (int64 i, bool c, float[N, 4] s, int64 k) =>
        (bool d, float[N, 4] t, int64 l, float[N, 4] u)
        {{ l = Add(k, one) d = Less(l, end) v = Gather<axis = 1>(x, k) {_CELL} }}>""",
        {"y": 0, "j": "free", "z": 1}, h=rows(4), x=rows(5, 3), w=_W, zero=literal(0), one=literal(1), end=literal(5),
        go=_TRUE),
    # A text that grows, token by token; how often is up to the host.
    sample("""y = Loop(m, , x) <body = step (int64 i, bool c, int64[N, S] s) => (bool d, int64[N, T] t)
        { d = Identity(c) e = Gather(w, s) f = ReduceSum<keepdims = 0>(e, last) g = ArgMax<axis = 1>(f)
          t = Concat<axis = 1>(s, g) }>""", 0, x=ints(3), m=free(dtype="int64", values=4), w=weight(6, 6),
        last=literal([1])),
    # A shape that the loop only hands on keeps its elements; a sum of the rest does not.
    sample("""y, k = Loop(m, go, x, e) <body = step (int64 i, bool c, float[N, 2, 6] s, int64[3] k) =>
        (bool d, float[N, 2, 6] t, int64[3] l)
        { d = Identity(c) l = Identity(k) a = Reshape(s, flat) b = MatMul(a, w) t = Reshape(b, k) }>""",
        {"y": 0, "k": "free"}, x=rows(2, 6), m=literal(3), go=_TRUE, e=literal([-1, 2, 6]), flat=literal([-1, 6]),
        w=weight(6, 6)),
    # A loop in a branch in a loop, with what both capture.
    sample("""y = Loop(m, go, x) <body = outer (int64 i, bool c, float[N, 4] s) => (bool d, float[N, 4] t)
        { d = Identity(c) f = Less(i, one) t = If(f) <
            then_branch = yes () => (float[N, 4] p) { p = Scan(s, x3) <num_scan_inputs = 1,
                body = inner (float[N, 4] q, float[N, 4] v) => (float[N, 4] r) { e = Mul(q, v) r = Add(e, s) }> },
            else_branch = no () => (float[N, 4] o) { o = Tanh(s) }> }>""", 0, x=rows(4), x3=rows(2, 4, axis=1),
        m=literal(3), go=_TRUE, one=literal(1)),
    # Two values that change places in every iteration, both of rows on the same axis.
    sample("""y, z = Loop(m, go, x, h) <body = step (int64 i, bool c, float[N, 4] a, float[N, 4] b) =>
        (bool d, float[N, 4] e, float[N, 4] f) { d = Identity(c) e = Tanh(b) f = Identity(a) }>""", {"y": 0, "z": 0},
        x=rows(4), h=rows(4), m=literal(3), go=_TRUE),
    # Beside the rows a value of any rank, which is the same for all rows, or stays a number of them.
    sample(f"{_BESIDE} {{ d = Identity(c) t = Tanh(s) b = Relu(a) }}>", {"y": 0, "k": "free"}, x=rows(3),
        h=free(2, declared=False), m=literal(2), go=_TRUE),
    sample(f"n = Shape<end = 1>(x) e = Cast<to = 1>(n) {_BESIDE} {{ d = Identity(c) t = Tanh(s) b = Add(a, e) }}>",
        {"y": 0, "k": "BatchSize"}, x=rows(3), h=free(1, declared=False), m=literal(2), go=_TRUE),
    sample(f"{_BESIDE} {{ d = Identity(c) t = Tanh(s) b = Unsqueeze(a, zero) }}>", {"y": 0, "k": "free"}, x=rows(3),
        h=free(2), zero=literal([0]), m=literal(2), go=_TRUE),
    # Slices of what is the same for all rows, with and without a rank.
    sample("""y, z, q = Scan(h, u, v) <num_scan_inputs = 2, body = step (float[N, 3] s, float a, float[2] b) =>
        (float[N, 3] t, float c, float[2] e) { t = Tanh(s) c = Relu(a) e = Relu(b) }>""",
        {"y": 0, "z": "free", "q": "free"}, h=rows(3), u=free(4, declared=False), v=free(4, 2)),
]  # fmt: skip

_EACH = "y = Loop(m, go, x) <body = step (int64 i, bool c, float[N, 3] s) => (bool d, float[N, 3] t)"
TRAPS: dict[str, Sample] = {
    "loop-over-rows scan": sample("""y, z = Scan(h, x) <num_scan_inputs = 1,
        body = step (float[3] s, float[3] v) => (float[3] t, float[3] u) { t = Add(s, v) u = Identity(t) }>""",
        {"z": "mixed"}, h=free(3), x=rows(3)),
    "loop-over-rows scan of an axis": sample("""y, z = Scan(h, x) <num_scan_inputs = 1, scan_input_axes = [-1],
        scan_output_axes = [1], body = step (float[3] s, float[3] v) => (float[3] t, float[3] u)
        { t = Add(s, v) u = Identity(t) }>""", {"z": "mixed"}, h=free(3), x=rows(3, axis=1)),
    "loop-over-rows count": sample(f"n = Shape<end = 1>(x) m = Squeeze(n) {_EACH} "
        "{ d = Identity(c) t = Mul(s, two) }>", "mixed", x=rows(3), two=literal(2.0, "float32"), go=_TRUE),
    "loop-over-rows turns": sample("""n = Shape<end = 1>(x) m = Squeeze(n) k, y = Loop(m, go, h) <body = step
        (int64 i, bool c, float[3] s) => (bool d, float[3] t, float[3] u)
        { d = Identity(c) v = Gather(x, i) t = Add(s, v) u = Identity(t) }>""", "mixed", x=rows(3), h=free(3),
        go=_TRUE),
    "reduce-over-rows condition": sample(f"{_EACH} {{ t = Mul(s, two) k = ReduceMax<keepdims = 0>(t) "
        "d = Less(k, far) }>", "mixed", x=rows(3), two=literal(2.0, "float32"), far=literal(500.0, "float32"),
        m=literal(20), go=_TRUE),
    "loop-over-rows condition": sample("""n = Shape<end = 1>(x) k = Squeeze(n) y = Loop(m, go, x) <body = step
        (int64 i, bool c, float[N, 3] s) => (bool d, float[N, 3] t) { d = Less(i, k) t = Mul(s, two) }>""", "mixed",
        x=rows(3), two=literal(2.0, "float32"), m=literal(20), go=_TRUE),
    "reduce-over-rows body": sample(f"{_EACH} {{ d = Identity(c) k = ReduceMean(s, first) t = Sub(s, k) }}>", "mixed",
        x=rows(3), first=literal([0]), m=literal(2), go=_TRUE),
    "scan-over-rows body": sample(f"{_EACH} {{ d = Identity(c) t = CumSum(s, first) }}>", "mixed", x=rows(3),
        first=literal(0), m=literal(2), go=_TRUE),
    "carried-rows-differ": sample("""y = Loop(m, go, x) <body = step (int64 i, bool c, float[N, M] s) =>
        (bool d, float[M, N] t) { d = Identity(c) a = Softmax(s) t = Transpose(a) }>""", "mixed",
        x=rows(3), m=literal(2), go=_TRUE),
    "rank-unknown slices": sample("""n = Shape<end = 1>(x) e = Cast<to = 1>(n) b = Add(u, e) y, z = Scan(x, b)
        <num_scan_inputs = 1, body = step (float[N, 3] s, float v) => (float[N, 3] t, float q)
        { t = Tanh(s) q = Relu(v) }>""", {"z": "mixed"}, x=rows(3), u=free(4, declared=False)),
    # What is carried as a shape has other elements the second time.
    "reshape-mixes-rows": sample("""y, k = Loop(m, go, x, e) <body = step
        (int64 i, bool c, float[N, 6] s, int64[2] k) => (bool d, float[N, 6] t, int64[2] l)
        { d = Identity(c) t = Reshape(s, k) l = Gather(k, swap) }>""",
        {"y": "mixed"}, x=rows(6), e=literal([-1, 6]), swap=literal([1, 0]), m=literal(2), go=_TRUE),
    "row-position-in-data": sample("""n = Shape<end = 1>(x) e = Squeeze(n) r = Range(zero, e, one)
        f = Cast<to = 1>(r) g = Unsqueeze(f, one1) y = Loop(m, go, x) <body = step
        (int64 i, bool c, float[N, 3] s) => (bool d, float[N, 3] t) { d = Identity(c) t = Add(s, g) }>""", "mixed",
        x=rows(3), zero=literal(0), one=literal(1), one1=literal([1]), m=literal(2), go=_TRUE),
    "batch-size-in-data": sample("""n = Shape<end = 1>(x) e = Cast<to = 1>(n) y, k = Loop(m, go, x, h) <body = step
        (int64 i, bool c, float[N, 3] s, float[1] k) => (bool d, float[N, 3] t, float[1] l)
        { d = Identity(c) l = Add(k, e) t = Mul(s, k) }>""", "mixed", x=rows(3), h=free(1), m=literal(2), go=_TRUE),
}  # fmt: skip


@pytest.mark.parametrize("looped", LOOPS, ids=str)
def test_rows_go_through_loops(looped: Sample) -> None:
    proof = looped.proof
    assert {n: described(proof.state(n)) for n in looped.claims} == looped.claims, [
        proof.refusal(name) for name in looped.claims
    ]
    assert all(same for _, _, same in follows(looped, session(looped)))


@pytest.mark.parametrize("name", TRAPS)
def test_loops_that_mix_rows_are_refused(name: str) -> None:
    trap = TRAPS[name]
    refusal = trap.proof.refusal(next(iter(trap.claims)))
    assert refusal is not None and refusal.rule == name.split()[0] and refusal.node, refusal
    assert mixes(trap)


def test_a_loop_that_may_not_run_has_no_rows_to_stack_up() -> None:
    """With no iteration onnxruntime makes [0, 0, 4] of it: no axis has one entry for each row."""
    text = f"""g (float[N, 4] h, float[5, N, 3] x, int64 m) => (float[N, 4] y, float[I, N, 4] z)
    <float[7, 4] w = {{{", ".join(["0.5"] * 28)}}}, bool go = {{1}}>
    {{ {_TIMES} {{ d = Identity(c) v = Gather<axis = 0>(x, i) {_CELL} }}> }}"""
    proof = prove_rows(view(text), {"h": 0, "x": 1})
    refusal = proof.refusal("z")
    assert proof.row_axis("y") == 0 and refusal is not None and refusal.rule == "loop-may-not-run"


@pytest.mark.parametrize("counts_rows", [False, True])
def test_sizes_of_what_a_loop_that_may_not_run_stacks_up_are_open(counts_rows: bool) -> None:
    begin = "n = Shape<end = 1>(x) h = Cast<to = 1>(n)" if counts_rows else "h = Identity(k)"
    text = f"""g (float[N, 3] x, int64 m, float[1] k) => (float[N, 3] y, float[I, J] z) <bool go = {{1}}>
    {{ {begin} y, z = Loop(m, go, x) <body = step (int64 i, bool c, float[N, 3] s) =>
        (bool d, float[N, 3] t, float[1] u) {{ d = Identity(c) t = Relu(s) u = Relu(h) }}> }}"""
    proof = prove_rows(view(text), {"x": 0})
    sizes = proof.shape("z") or ()
    assert proof.row_axis("y") == 0 and proof.state("z") == (BatchSize() if counts_rows else RowFree())
    assert [size.value for size in sizes] == [None, None] and {size.batch for size in sizes} == {counts_rows}


def test_rows_whose_rank_grows_in_a_loop_are_refused() -> None:
    text = f"""g (float[N, 3] x, int64 m) => (float[] y) <bool go = {{1}}, int64[1] last = {{-1}}>
    {{ {_EACH} {{ d = Identity(c) t = Unsqueeze(s, last) }}> }}"""
    refusal = prove_rows(view(text), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "rank-unknown" and "rank of rows changes" in str(refusal)


def test_a_loop_whose_body_fails_hands_on_rows_where_it_does_not_run() -> None:
    """A GRU takes tensors of rank 3. Nothing reads what it makes here, and with m = 0 nobody runs it."""
    body = "{ d = Identity(c) t = Relu(s) k = GRU<hidden_size = 2>(s, w, w) }"
    text = f"""g (float[N, 3] x, int64 m) => (float[N, 3] y) <bool go = {{1}}, float[1, 2, 1] w = {{1, 2}}>
    {{ {_EACH} {body}> }}"""
    assert prove_rows(view(text), {"x": 0}).row_axis("y") == 0


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("{ d = Identity(c) t = custom.Thing(s) }", "no-row-rule"),
        ("{ d = Identity(c) t = RandomNormalLike(s) }", "impure-random"),
        ("{ d = Identity(c) q = SequenceConstruct(s) t = SequenceAt(q, i) }", "non-tensor"),
        ("{ d = Identity(c) t = Identity(nowhere) }", "unknown-tensor"),
    ],
)
def test_what_a_body_refuses_its_loop_refuses(body: str, rule: str) -> None:
    text = f"g (float[N, 3] x, int64 m) => (float[N, 3] y) <bool go = {{1}}> {{ {_EACH} {body}> }}"
    refusal = prove_rows(view(text), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == rule and refusal.node


def test_a_body_runs_as_a_whole() -> None:
    """What it gathers by position is not used, but fails where there are fewer rows."""
    body = "{ d = Identity(c) t = Relu(s) k = Gather(s, last) }"
    text = f"g (float[N, 3] x, int64 m) => (float[N, 3] y) <bool go = {{1}}, int64 last = {{4}}> {{ {_EACH} {body}> }}"
    refusal = prove_rows(view(text), {"x": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "gather-rows" and refusal.node == "Gather → k"


def test_loops_of_what_no_row_changes_are_row_free() -> None:
    looped = f"{_EACH} {{ d = Identity(c) t = Relu(s) }}>"
    made = view(f"g (float[N, 3] x, int64 m) => (float[N, 3] y) <bool go = {{1}}> {{ {looped} }}")
    assert prove_rows(made, {}).state("y") == RowFree()


def test_the_old_scan_with_its_own_batch_is_not_followed() -> None:
    text = """g (float[B, T, 3] x, float[B, 3] h) => (float[B, 3] y, float[B, T, 3] z)
    { y, z = Scan( , h, x) <num_scan_inputs = 1, body = b (float[3] s, float[3] v) => (float[3] t, float[3] u)
        { t = Add(s, v) u = Tanh(t) }> }"""
    refusal = prove_rows(view(text, opset=8), {"x": 0, "h": 0}).refusal("y")
    assert refusal is not None and refusal.rule == "not-followed"
