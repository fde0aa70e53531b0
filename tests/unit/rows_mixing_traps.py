"""Traps that keep a shape [N, ...] and mix rows, or work for one N only."""

from __future__ import annotations

from typing import Any

from rows_support import ROWS, Sample, free, ints, literal, rows, sample, weight

_ZERO, _ONE = literal(0), literal(1)
_RANGE = "n = Shape<end = 1>(x) z = Squeeze(n) r = Range(zero, z, one)"


_RANGES: dict[str, Any] = {"zero": _ZERO, "one": _ONE}


_CELL: dict[str, Any] = {"w": weight(1, 8, 3), "r": weight(1, 8, 2), "b": weight(1, 16)}


_GRU: dict[str, Any] = {"w": weight(1, 6, 3), "r": weight(1, 6, 2)}


TRAPS: dict[str, Sample] = {
    "softmax-over-rows": sample("y = Softmax<axis = 0>(x)", "mixed", x=rows(3)),
    "softmax-over-rows log": sample("y = LogSoftmax<axis = -2>(x)", "mixed", x=rows(3)),
    "softmax-over-rows hard": sample("y = Hardmax<axis = 0>(x)", "mixed", x=rows(3)),
    "softmax-over-rows flattened": sample("y = Softmax<axis = 0>(x)", "mixed", opset=11, x=rows(3)),
    "softmax-over-rows flattened, axis 1": sample("y = Softmax<axis = 1>(x)", "mixed", opset=11, x=rows(2, 3, axis=1)),
    "softmax-over-rows flattened, rows last": sample("y = LogSoftmax(x)", "mixed", opset=12, x=rows(2, 3, axis=2)),
    "scan-over-rows": sample("y = CumSum(x, zero)", "mixed", x=rows(3), zero=_ZERO),
    "reduce-over-rows mean": sample("m = ReduceMean<axes = [0]>(x) y = Sub(x, m)", "mixed", opset=17, x=rows(3)),
    "reduce-over-rows all": sample("m = ReduceMax(x) y = Div(x, m)", "mixed", x=rows(3)),
    "reduce-over-rows arg": sample("y = ArgMax(x)", "mixed", x=rows(3)),
    "sort-over-rows": sample("y, i = TopK<axis = 0>(x, k)", "mixed", x=rows(3), k=literal([2])),
    "data-dependent-shape unique": sample("y = Unique(x)", "mixed", x=rows(3)),
    "data-dependent-shape nonzero": sample("y = NonZero(x)", "mixed", x=rows(3, dtype="bool")),
    "data-dependent-shape compress": sample("y = Compress<axis = 0>(x, c)", "mixed", x=rows(3), c=rows(dtype="bool")),
    "row-position-in-data": sample(f"{_RANGE} f = Cast<to = 1>(r) y = Add(x, f)", "mixed", x=rows(), **_RANGES),
    "row-position-in-data gathered": sample(
        f"{_RANGE} y = Gather(w, r)", "mixed", x=rows(3), w=weight(9, 3), **_RANGES),
    "row-position-in-data mask": sample(
        f"{_RANGE} c = Less(r, two) y = Where(c, x, w)", "mixed", x=rows(), two=literal(2), w=literal(0.0, "float32"),
        **_RANGES),
    "dynamic-quantisation": sample(
        "q, s, p = DynamicQuantizeLinear(x) i = MatMulInteger(q, w, p) f = Cast<to = 1>(i) y = Mul(f, s)", "mixed",
        x=rows(4), w=weight(4, 3, dtype="uint8")),
    "scatter-rows": sample("y = ScatterND(x, i, u)", "mixed", x=rows(3), i=literal([[1], [0]]), u=weight(2, 3)),
    "gather-rows scatter": sample("y = ScatterElements<axis = 0>(x, i, u)", "mixed", x=rows(3), i=ints(3, high=0),
        u=rows(3)),
    "reshape-mixes-rows": sample("t = Transpose(x) s = Shape(x) y = Reshape(t, s)", "mixed", x=rows(3)),
    "reshape-mixes-rows interleaved": sample("t = Transpose<perm = [1, 0, 2]>(x) y = Reshape(t, s)", "mixed",
        x=rows(4, 3), s=literal([-1, 4, 3])),
    "rows-misaligned": sample("t = Transpose(z) y = Add(x, t)", "mixed", x=rows(1), z=rows(1)),
    "batch-size-in-data": sample(
        "m = Shape<end = 1>(x) f = Cast<to = 1>(m) y = Div(x, f)", "mixed", x=rows(3)),
    "batch-size-in-data sliced": sample(
        "n = Shape<end = 1>(x) m = Sub(n, one) t = Gather(w, m) y = Add(x, t)", "mixed", x=rows(3), w=weight(9, 3),
        one=_ONE),
    "size-from-batch": sample("n = Shape<end = 1>(x) y = Slice(x, zero, n, one)", "mixed", x=rows(9),
        zero=literal([0]), one=literal([1])),
    "rows-misaligned lstm time": sample("y = LSTM<hidden_size = 2>(x, w, r, b)", "mixed", x=rows(4, 3), **_CELL),
    "rows-misaligned gru time": sample("y = GRU<hidden_size = 2>(x, w, r)", "mixed", x=rows(4, 3), **_GRU),
    "slice-rows reversed": sample("v = Slice(x, b, e, a, b) y = Add(x, v)", "mixed", x=rows(3), b=literal([-1]),
        e=literal([-(2**63)]), a=literal([0])),
    "slice-rows tail": sample("y = Slice(x, b, e, a)", "mixed", x=rows(3), b=literal([1]), e=literal([2**31]),
        a=literal([0])),
    "gather-rows": sample("y = Gather(x, i)", "mixed", x=rows(3), i=literal([2, 0])),
    "gather-rows own choice": sample("y = Gather(x, i)", "mixed", x=rows(3), i=ints(high=0)),
    "concat-rows": sample("y = Concat<axis = 0>(x, x)", "mixed", x=rows(3)),
    "rows-repeated": sample("y = Tile(x, t)", "mixed", x=rows(3), t=literal([2, 1])),
    "broadcast-against-rows": sample("y = Expand(x, t)", "mixed", x=rows(3), t=literal([5, 3])),
    "size-from-batch given": sample("t = Concat<axis = 0>(s, three) y = Reshape(x, t)", "mixed", x=rows(3),
        s=free(dtype="int64", values=[ROWS]), three=literal([3])),
    "size-from-batch square": sample(
        "n = Shape<end = 1>(x) t = Concat<axis = 0>(n, n) y = Expand(x, t)", "mixed", x=rows(1)),
    "rows-misaligned gram": sample("t = Transpose(x) y = MatMul(x, t)", "mixed", x=rows(3)),
    "rows-contracted": sample("y = MatMul(t, x)", "mixed", x=rows(3), t=free(2, ROWS)),
    "broadcast-against-rows square mask": sample("y = Add(x, m)", "mixed", x=rows(ROWS, loose=True),
        m=free(ROWS, ROWS, loose=True)),
    "rows-misaligned square": sample("t = Transpose(x) y = Add(x, t)", "mixed", x=rows(ROWS, loose=True)),
    "normalise-over-rows": sample("y = MeanVarianceNormalization(x)", "mixed", x=rows(2, 3, 3)),
    "normalise-over-rows axis 0": sample("y = LayerNormalization<axis = 0>(x, s)", "mixed", x=rows(3),
        s=weight(1, 3)),
    "not-batch-axis": sample("y = InstanceNormalization(x, s, s)", "mixed", x=rows(1, 6, axis=2), s=weight(6)),
    "pad-rows": sample("y = Pad(x, p)", "mixed", x=rows(3), p=literal([1, 0, 1, 0])),
    "impure-random": sample("r = RandomUniformLike(x) y = Add(x, r)", "mixed", x=rows(3)),
    "gather-rows region": sample("y = MaxRoiPool<pooled_shape = [1, 1]>(p, q)", "mixed", p=rows(1, 4, 4),
        q=rows(5, low=0, high=0)),
}  # fmt: skip
