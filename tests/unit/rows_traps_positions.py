"""Traps: where a row stands, or how many there are, gets into its data."""

from __future__ import annotations

from typing import Any

from rows_support import Sample, free, ints, literal, rows, sample, weight

_N = "n = Shape<end = 1>(x)"
_COUNT = f"{_N} m = Squeeze(n)"
_RANGE = f"{_COUNT} r = Range(zero, m, one)"
_ENDS: dict[str, Any] = {"zero": literal(0), "one": literal(1)}
_F = "float32"

TRAPS: dict[str, Sample] = {
    "batch-size-in-data onehot depth N": sample(f"{_COUNT} y = OneHot(i, m, v)", "mixed", x=rows(3), i=ints(high=0),
        v=literal([0.5, 1.5], _F)),
    "row-position-in-data eyelike": sample("e = EyeLike(x) y = Add(x, e)", "mixed", x=rows(5)),
    "row-position-in-data eyelike shape": sample(
        f"{_N} s = Concat<axis=0>(n, three) c = ConstantOfShape(s) e = EyeLike<dtype=1>(c) y = Add(x,e)", "mixed",
        x=rows(3), three=literal([3])),
    "row-position-in-data trilu": sample("y = Trilu(x)", "mixed", x=rows(4)),
    "row-position-in-data trilu batch": sample("t = Transpose<perm=[1,0,2]>(x) y = Trilu<upper=0>(t)", "mixed",
        x=rows(2, 4)),
    "batch-size-in-data size as value": sample("s = Size(x) f = Cast<to=1>(s) y = Div(x, f)", "mixed", x=rows(3)),
    "batch-size-in-data shape of other input": sample("n = Shape<end=1>(q) f = Cast<to=1>(n) y = Mul(x, f)", "mixed",
        x=rows(3), q=rows(2)),
    "row-position-in-data mod of rows": sample(
        f"{_RANGE} k = Mod(r, two) f = Cast<to=1>(k) u = Unsqueeze(f, one1) y = Mul(x, u)", "mixed", x=rows(3),
        two=literal(2), one1=literal([1]), **_ENDS),
    "row-position-in-data where rows": sample(f"{_RANGE} k = Equal(r, zero) u = Unsqueeze(k, one1) y = Where(u, w, x)",
        "mixed", x=rows(3), w=literal(0.0, _F), one1=literal([1]), **_ENDS),
    "batch-size-in-data rank": sample("k = Shape<end=1>(x) v, y = TopK<axis=0>(x, k)", "mixed", x=rows(3)),
    "condition-from-rows if N": sample(
        f"{_COUNT} c = Greater(m, two) y = If(c) <then_branch = a () => (float[N,3] p) {{ p = Neg(x) }}, "
        f"else_branch = b () => (float[N,3] q) {{ q = Identity(x) }}>", "mixed", x=rows(3), two=literal(2)),
    "size-from-batch slice to N": sample(f"{_N} y = Slice(x, z, n, o)", "mixed", x=rows(9), z=literal([0]),
        o=literal([1])),
    "batch-size-in-data slice last N-1": sample(f"{_N} k = Sub(n, o) t = Slice(w, k, n, z) y = Add(x, t)", "mixed",
        x=rows(3), w=weight(9, 3), z=literal([0]), o=literal([1])),
    "batch-size-in-data gather N-1": sample(f"{_N} k = Sub(n, o) t = Gather(x, k) y = Add(x, t)", "mixed", x=rows(3),
        o=literal([1])),
    "row-position-in-data positional embedding by row": sample(f"{_RANGE} e = Gather(w, r) y = Add(x, e)", "mixed",
        x=rows(3), w=weight(9, 3), **_ENDS),
    "row-position-in-data xor of positions": sample(
        f"{_RANGE} k = Cast<to=1>(r) c = Cos(k) u = Unsqueeze(c, one1) y = Add(x, u)", "mixed", x=rows(3),
        one1=literal([1]), **_ENDS),
    "batch-size-in-data N times weight": sample(f"{_COUNT} f = Cast<to=1>(m) p = Pow(f, h) y = Div(x, p)", "mixed",
        x=rows(3), h=literal(0.5, _F)),
    "size-from-batch matmul ones": sample(
        f"{_N} t = Concat<axis=0>(n, n) c = ConstantOfShape<value = float[1] {{1.0}}>(t) y = MatMul(c, x)", "mixed",
        x=rows(3)),
    "row-position-in-data bitshift of position": sample(
        f'{_RANGE} k = Cast<to=13>(r) y0 = BitShift<direction="LEFT">(k, k) f = Cast<to=1>(y0) u = Unsqueeze(f, '
        'one1) y = Add(x, u)', "mixed", x=rows(3), one1=literal([1]), **_ENDS),
    "batch-size-in-data split content free": sample(
        "s = Shape<end=1>(x) q = Concat<axis=0>(seven, eight, s) a, b, c = Split<axis=0>(q, p) r = "
        "ReduceSum<keepdims=0>(b) f = Cast<to=1>(r) y = Add(x, f)", "mixed", x=rows(4),
        p=free(3, dtype="int64", values=[1, 2, 0]), seven=literal([7]), eight=literal([8])),
    "batch-size-in-data neg index shape": sample("s = Shape(x) q = Gather(s, k) f = Cast<to=1>(q) y = Add(x, f)",
        "mixed", x=rows(4), k=literal(-2)),
    "batch-size-in-data gather idx free shape": sample("s = Shape(x) q = Gather(s, k) f = Cast<to=1>(q) y = Add(x, f)",
        "mixed", x=rows(4), k=free(dtype="int64", values=0)),
    "batch-size-in-data slice reversed shape": sample(
        "s = Shape(x) q = Slice(s, b, e, a, b) r = Slice(q, o, tw, a) f = Cast<to=1>(r) y = Add(x, f)", "mixed",
        x=rows(4), b=literal([-1]), e=literal([-9]), a=literal([0]), o=literal([1]), tw=literal([2])),
    "batch-size-in-data compress content": sample(
        "s = Shape(x) c = Constant<value=bool[2]{1,0}>() q = Compress<axis=0>(s, c) f = Cast<to=1>(q) y = Add(x, f)",
        "mixed", x=rows(4)),
    "batch-size-in-data topk content": sample(
        "s = Shape(x) v, i = TopK<axis=0>(s, one) f = Cast<to=1>(v) y = Add(x, f)", "mixed", x=rows(4),
        one=literal([1])),
    "batch-size-in-data reducemax content": sample("s = Shape(x) v = ReduceMax(s) f = Cast<to=1>(v) y = Add(x, f)",
        "mixed", x=rows(4)),
    "batch-size-in-data reducemin content": sample("s = Shape(x) v = ReduceMin(s) f = Cast<to=1>(v) y = Add(x, f)",
        "mixed", x=rows(4)),
    "batch-size-in-data cumsum content": sample(
        "s = Shape(x) v0 = CumSum(s, z) v = Gather(v0, one) f = Cast<to=1>(v) y = Add(x, f)", "mixed", x=rows(4),
        z=literal(0), one=literal(1)),
    "batch-size-in-data scatter content": sample(
        "s = Shape(x) v0 = ScatterElements<axis=0>(w, i, s) v = Gather(v0, one) f = Cast<to=1>(v) y = Add(x, f)",
        "mixed", x=rows(4), w=literal([3, 4]), i=literal([1, 0]), one=literal(1)),
    "batch-size-in-data gather table by N": sample("s = Shape<end=1>(x) e = Gather(w, s) y = Add(x, e)", "mixed",
        x=rows(4), w=weight(9, 4)),
    "batch-size-in-data where N": sample("s = Shape<end=1>(x) c = Equal(s, two) y = Where(c, w, x)", "mixed", x=rows(4),
        two=literal([2]), w=literal(0.0, _F)),
    "batch-size-in-data N mod 2": sample("s = Shape<end=1>(x) c = Mod(s, two) f = Cast<to=1>(c) y = Mul(x, f)", "mixed",
        x=rows(4), two=literal([2])),
    "batch-size-in-data min(N,3)": sample("s = Shape<end=1>(x) c = Min(s, two) f = Cast<to=1>(c) y = Mul(x, f)",
        "mixed", x=rows(4), two=literal([3])),
    "batch-size-in-data div N/N": sample("s = Shape<end=1>(x) c = Div(two, s) f = Cast<to=1>(c) y = Mul(x, f)", "mixed",
        x=rows(4), two=literal([4])),
    "batch-size-in-data pow content": sample("s = Shape<end=1>(x) c = Pow(s, two) f = Cast<to=1>(c) y = Mul(x, f)",
        "mixed", x=rows(4), two=literal([2])),
    "batch-size-in-data bitwise": sample("s = Shape<end=1>(x) c = BitwiseAnd(s, two) f = Cast<to=1>(c) y = Mul(x, f)",
        "mixed", x=rows(4), two=literal([1])),
    "batch-size-in-data neg abs": sample(
        "s = Shape<end=1>(x) m = Neg(s) a = Abs(m) b = Sub(a, s) c = Add(b, s) f = Cast<to=1>(c) y = Mul(x, f)",
        "mixed", x=rows(4)),
    "batch-size-in-data not cast": sample(
        "s = Shape<end=1>(x) o = Sub(s, one) b = Cast<to=9>(o) f = Cast<to=1>(b) y = Mul(x, f)", "mixed", x=rows(4),
        one=literal([1])),
    "size-from-batch range 2N": sample(
        "s = Shape<end=1>(x) m0 = Mul(s, two) m = Squeeze(m0) r = Range(z, m, st) f = Cast<to=1>(r) u = "
        "Unsqueeze(f, o) y = Add(x, u)", "mixed", x=rows(4), two=literal([2]), z=literal(0), st=literal(2),
        o=literal([1])),
    "size-from-batch range reversed": sample(
        "s = Shape<end=1>(x) m = Squeeze(s) l = Sub(m, o1) r = Range(l, mo, mo) y = Gather(x, r)", "mixed", x=rows(4),
        o1=literal(1), mo=literal(-1)),
    "size-from-batch range from one": sample(
        "s = Shape<end=1>(x) m = Squeeze(s) e = Add(m, o1) r = Range(o1, e, o1) k = Mod(r, m) y = Gather(x, k)",
        "mixed", x=rows(4), o1=literal(1)),
    "size-from-batch range float": sample(
        "s = Shape<end=1>(x) m = Squeeze(s) mf = Cast<to=1>(m) r = Range(z, mf, o1) u = Unsqueeze(r, ax) y = "
        "Mul(x, u)", "mixed", x=rows(4), o1=literal(1.0, _F), z=literal(0.0, _F), ax=literal([1])),
    "row-position-in-data position as own offset swapped": sample(
        "s = Shape(x) n = Gather(s, z) l = Gather(s, o) r = Range(z, n, o) f = Flatten<axis=2>(x) q = Mul(r, o) k "
        "= Add(q, z) y = Gather(f, k)", "mixed", x=rows(6, 2), z=literal(0), o=literal(1)),
    "row-position-in-data gathernd batch 1 on positions": sample(
        "s = Shape(x) n = Gather(s, z) r = Range(z, n, o) c = Unsqueeze(r, l) y = GatherND<batch_dims=1>(x, c)",
        "mixed", x=rows(6), z=literal(0), o=literal(1), l=literal([-1])),
    "row-position-in-data stride off by one": sample(
        "s = Shape(x) n = Gather(s, z) l = Gather(s, o) l1 = Sub(l, o) r = Range(z, n, o) f = Flatten<axis=2>(x) "
        "k = ArgMax<axis=1,keepdims=0>(q) m = Mul(r, l1) i = Add(m, k) y = Gather(f, i)", "mixed", x=rows(6, 2),
        q=rows(6), z=literal(0), o=literal(1)),
    "row-position-in-data offset argmax of other axis": sample(
        "s = Shape(x) n = Gather(s, z) l = Gather(s, o) r = Range(z, n, o) f = Flatten<axis=2>(x) k = "
        "ArgMax<axis=1,keepdims=0>(q) m = Mul(r, l) i = Add(m, k) y = Gather(f, i)", "mixed", x=rows(6, 2), q=rows(9),
        z=literal(0), o=literal(1)),
    "shape-unknown affinegrid free theta": sample(
        "n = Shape<end=1>(x) s = Concat<axis=0>(n, chw) g = AffineGrid(t, s) y = GridSample(x, g)", "mixed", opset=20,
        x=rows(2, 4, 4), t=weight(5, 2, 3), chw=literal([2, 4, 5])),
    "batch-size-in-data contrib rotary position": sample(
        "n = Shape<end=1>(x) y = com.microsoft.RotaryEmbedding(x, n, c, d)", "mixed", x=rows(2, 3, 8), c=weight(29, 4),
        d=weight(29, 4)),
}  # fmt: skip
