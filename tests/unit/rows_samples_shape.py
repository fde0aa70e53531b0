"""Samples for shapes, selecting, indexing: several nodes where an operator makes sense only beside others."""

from __future__ import annotations

from rows_support import Sample, free, ints, literal, rows, sample, weight

SHAPE: list[Sample] = [
    # What is computed from sizes comes back as a shape: Shape → Gather → Unsqueeze → Concat → Reshape.
    sample(
        """s = Shape(x) n = Gather(s, zero) u = Unsqueeze(n, first) t = Concat<axis = 0>(u, rest)
           y = Reshape(x, t) b = Size(x) c = Div(b, width) d = Unsqueeze(c, first) e = Concat<axis = 0>(d, w3)
           z = Reshape(x, e)""",
        {"y": 0, "z": (0, 4)},
        x=rows(4, 3),
        zero=literal(0),
        first=literal([0]),
        rest=literal([-1, 2]),
        width=literal(3),
        w3=literal([3]),
    ),
    sample("y = Reshape(x, t)", (0, 4), x=rows(4, 3), t=literal([-1, 3])),
    sample("y = Reshape(x, t)", 0, x=rows(4, 3), t=literal([0, -1])),
    sample("y = Reshape<shape = [-1, 12]>(x)", 0, opset=1, x=rows(4, 3)),
    sample("y = Reshape(x, t)", 1, x=rows(4, 3, axis=1), t=literal([4, -1, 3])),
    sample("y = Reshape(x, t)", "parts", x=rows(4, 3, axis=1), t=literal([-1, 3])),  # interleaves the rows
    sample("y = Reshape(x, t)", "mixed", x=rows(4, 3), t=literal([4, -1, 3])),
    sample("y = Reshape(x, t)", "mixed", x=rows(4, loose=True), t=literal([-1, 4])),
    sample("y = Flatten<axis = 1>(x)", 0, x=rows(4, 3)),
    sample("y = Flatten<axis = 2>(x)", (0, 4), x=rows(4, 3)),
    sample("y = Flatten<axis = 0>(x)", (1, 12), x=rows(4, 3)),
    sample("y = Transpose<perm = [2, 0, 1]>(x)", 1, x=rows(4, 3)),
    sample("y = Transpose(x)", 2, x=rows(4, 3)),
    sample("y = Squeeze(x, a)", 0, x=rows(1, 3, axis=1), a=literal([0])),
    sample("y = Squeeze<axes = [1]>(x)", 0, opset=11, x=rows(1, 3)),
    sample("y = Unsqueeze(x, a)", 1, x=rows(3), a=literal([0, -1])),
    sample("y = com.microsoft.ExpandDims(x, a)", 1, x=rows(3), a=literal(0, "int32")),
    sample("y = Expand(x, t)", 1, x=rows(1), t=literal([2, 1, 3])),
    sample("y = Expand(x, t)", "mixed", x=rows(1), t=literal([5, 3])),
    sample(
        "n = Shape<start = 0, end = 1>(x) t = Concat<axis = 0>(n, k) y = Expand(w, t) z = Add(y, x)",
        {"y": 0, "z": 0},
        x=rows(3),
        k=literal([3]),
        w=weight(1, 3),
    ),
    sample("n = Shape<end = 1>(x) z = Squeeze(n) r = com.microsoft.Range(zero, z) y = Gather(x, r)", 0, x=rows(3),
        zero=literal(0)),
    # ConstantOfShape → Equal → Where → Expand, as TorchScript writes expand(-1, …).
    sample(
        """s = Shape(x) c = ConstantOfShape<value = int64[1] {1}>(three) m = Mul(c, minus) e = Equal(t, m)
           r = Where(e, s, t) y = Expand(x, r)""",
        0,
        x=rows(3, 1),
        three=literal([3]),
        minus=literal(-1),
        t=literal([-1, 3, 4]),
    ),
    sample("s = Shape(x) z = ConstantOfShape(s) y = Add(x, z)", {"y": 0, "z": 0}, x=rows(3)),
    sample("y = Tile(x, r)", 0, x=rows(3), r=literal([1, 2])),
    sample(
        "n = Shape<end = 1>(x) r = Concat<axis = 0>(n, one) y = Tile(w, r) z = Tile(v, r) s = Add(x, y)",
        {"y": 0, "z": (0, 2), "s": 0},
        x=rows(3),
        one=literal([1]),
        w=weight(1, 3),
        v=weight(2, 3),
    ),
    # Range(0, N) used as an index only.
    sample(
        """n = Shape<end = 1>(x) z = Squeeze(n) r = Range(zero, z, one) y = Gather<axis = 0>(x, r)""",
        0,
        x=rows(3),
        zero=literal(0),
        one=literal(1),
    ),
    sample("n = Shape<end = 1>(x) z = Squeeze(n) r = Range(zero, z, one) f = Cast<to = 1>(r) y = Mul(q, f)",
        "mixed", x=rows(3), q=rows(), zero=literal(0), one=literal(1)),
]  # fmt: skip

SELECT: list[Sample] = [
    sample("y = Concat<axis = 1>(x, z)", 0, x=rows(3), z=rows(4)),
    sample("y = Concat<axis = -1>(x, x)", 1, x=rows(2, 3, axis=1)),
    sample("y = Concat<axis = 1>(x, w)", "mixed", x=rows(3), w=weight(5, 3)),
    sample("a, y = Split<axis = 1>(x, s)", {"a": 0, "y": 0}, x=rows(5), s=literal([2, 3])),
    sample("a, y = Split<axis = 1, num_outputs = 2>(x)", {"a": 0, "y": 0}, x=rows(5)),
    sample("a, y = Split<axis = 1>(x)", {"a": 0, "y": 0}, opset=11, x=rows(6)),
    sample("y = Slice(x, b, e, a, s)", 0, x=rows(6, 4), b=literal([-1, 0]), e=literal([-7, 2**63 - 1]),
        a=literal([1, 0]), s=literal([-2, 1])),
    sample("n = Shape<end = 1>(x) y = Slice(x, b, n, b)", 0, x=rows(3), b=literal([0])),
    sample("y = Slice<starts = [1], ends = [3], axes = [1]>(x)", 0, opset=9, x=rows(6)),
    # Of nothing, only the sizes of other axes are left: those of no rows, or the number of rows.
    sample("y = Slice(x, z, z, z) e = Slice(x, z, z, o) n = Shape<end = 1>(e) t = Concat<axis = 0>(n, k) "
        "r = Reshape(x, t)", {"y": "free", "e": 0, "r": 0}, x=rows(3, 2), z=literal([0]), o=literal([1]),
        k=literal([6])),
    sample("y = Pad(x, p)", 0, x=rows(3), p=literal([0, 1, 0, 2])),
    sample('y = Pad<mode = "reflect">(x, p, , a)', 0, x=rows(4), p=literal([1, 2]), a=literal([-1])),
    sample("y = Pad<pads = [0, 1, 0, 2]>(x)", 0, opset=10, x=rows(3)),
    sample("y = Pad(x, p)", "mixed", x=rows(3), p=literal([1, 0, 0, 0])),
    sample("y = com.microsoft.Pad(x, p)", 0, x=rows(3), p=literal([0, 1, 0, 2])),
    sample("y = OneHot(i, d, v)", 0, i=ints(3), d=literal(6), v=literal([-0.5, 1.25], "float32")),
    sample("y = OneHot<axis = 0>(i, d, v)", 1, i=ints(3), d=literal(6), v=literal([-0.5, 1.25], "float32")),
    sample("r = OneHot(i, d, v) s = Reshape(r, m) y = Tile(x, s)", {"r": "free", "s": "free", "y": 0}, x=rows(1, 4),
        i=literal([1]), d=literal(3), v=literal([1, 2]), m=literal([-1])),
    sample("y = Trilu<upper = 0>(x)", 0, x=rows(4, 4)),
    sample("y = com.microsoft.Trilu(x)", 0, x=rows(4, 4)),
    sample("y = Trilu(x)", "mixed", x=rows(4)),
    sample("y = ReverseSequence<batch_axis = 0, time_axis = 1>(x, l)", 0, x=rows(6), l=ints(low=1, high=6)),
    sample("y = ReverseSequence(x, l)", 1, x=rows(6, axis=1), l=ints(low=1, high=6)),
    sample("y = Compress<axis = 1>(x, c)", 0, x=rows(4, 2), c=literal([True, False, True], "bool")),
    sample("y = Compress<axis = -1>(x, c)", "mixed", x=rows(4), c=rows(dtype="bool")),
    sample("y = CenterCropPad<axes = [1]>(x, t)", 0, x=rows(6), t=literal([4])),
    sample("y = EyeLike(w) z = Add(x, y)", {"y": "free", "z": 0}, x=rows(3, 3), w=weight(3, 3)),
    sample("y = EyeLike(x)", "mixed", x=rows(4)),
]  # fmt: skip

INDEX: list[Sample] = [
    sample("y = Gather(w, i)", 0, w=weight(6, 4), i=ints(3)),
    sample("y = Gather<axis = 1>(w, i)", 1, w=weight(2, 6, 4), i=ints(3)),
    sample("y = Gather<axis = 1>(x, i)", 0, x=rows(6, 4), i=literal([3, 0])),
    sample("y = Gather<axis = 0>(x, i)", 2, x=rows(6, 4, axis=1), i=literal([[3, 0], [1, 1]])),
    sample("y = Gather<axis = 1>(x, i)", "mixed", x=rows(6), i=ints(2)),
    sample("y = GatherElements<axis = 1>(x, i)", 0, x=rows(6), i=ints(3)),
    sample("y = GatherElements<axis = 0>(w, i)", 0, w=weight(6, 3), i=ints(3)),
    sample("y = GatherElements<axis = 1>(w, i)", "mixed", w=weight(9, 6), i=ints(3)),
    sample("y = ScatterElements<axis = 1>(x, i, u)", 0, x=rows(6), i=ints(2), u=rows(2)),
    sample("y = Scatter<axis = 1>(x, i, u)", 0, opset=9, x=rows(6), i=ints(2), u=rows(2)),
    sample("y = GatherND(w, i)", 0, w=weight(6, 6, 2), i=ints(3, 2)),
    sample("y = com.microsoft.GatherND(w, i)", 0, w=weight(6, 6, 2), i=ints(3, 2)),
    sample("y = com.microsoft.GatherND(x, i)", 1, x=rows(6, axis=1), i=literal([[3], [0]])),
    sample(
        "y = com.microsoft.GatherBlockQuantized<block_size = 16, quantize_axis = 1, bits = 8>(w, i, s)",
        0,
        w=weight(9, 32, dtype="uint8"),
        i=ints(3, high=8),
        s=weight(9, 2),
    ),
    sample(
        "y = com.microsoft.GatherBlockQuantized<block_size = 16, quantize_axis = 1, bits = 4>(w, i, s)",
        1,
        w=weight(9, 16, dtype="uint8"),
        i=ints(3, high=8, axis=1),
        s=weight(9, 2),
    ),
    sample("y = GatherND<batch_dims = 1>(x, i)", 0, x=rows(6, 2), i=ints(3, 1)),
    sample("y = GatherND(x, i)", 1, x=rows(6, axis=1), i=literal([[3], [0]])),
    sample("y = ScatterND(x, i, u)", 1, x=rows(6, axis=1), i=literal([[3], [0]]), u=rows(2, axis=1)),
    # Each row picked at its own position and at an index of its own: the end-of-text pooling of dynamo exports.
    sample(
        """n = Shape<end = 1>(x) z = Squeeze(n) r = Range(zero, z, one) c = Unsqueeze(r, last) k = ArgMax<axis = 1>(q)
           i = Concat<axis = -1>(c, k) y = GatherND(x, i)""",
        0,
        x=rows(6, 2),
        q=rows(6),
        zero=literal(0),
        one=literal(1),
        last=literal([-1]),
    ),
    # The same as TorchScript writes it: rows flattened to N·S, and the index i·S + argmax.
    sample(
        """s = Shape(x) n = Gather(s, zero) l = Gather(s, one) r = Range(zero, n, one) f = Flatten<axis = 2>(x)
           k = ArgMax<axis = 1, keepdims = 0>(q) o = Mul(r, l) i = Add(k, o) y = Gather(f, i)
           m = Shape(q) z = Gather(m, one) p = Mul(r, z) j = Add(p, k) g = Flatten<axis = 0>(q)
           w = Gather<axis = 1>(g, j)""",
        {"y": 0, "w": 1},
        x=rows(6, 2),
        q=rows(6),
        zero=literal(0),
        one=literal(1),
    ),
    # Nothing bounds this index: it may point into the next row.
    sample(
        """s = Shape(x) n = Gather(s, zero) l = Gather(s, one) r = Range(zero, n, one) f = Flatten<axis = 2>(x)
           o = Mul(r, l) i = Add(k, o) y = Gather(f, i)""",
        "mixed",
        x=rows(6, 2),
        k=ints(),
        zero=literal(0),
        one=literal(1),
    ),
    # Range → Expand → GatherND, as vmap writes masks.
    sample(
        """n = Shape<end = 1>(x) z = Squeeze(n) r = Range(zero, z, one) u = Unsqueeze(r, later) l = Shape<start = 1>(x)
           m = Squeeze(l) p = Range(zero, m, one) q = Max(u, p) t = Shape(q) a = Expand(u, t) b = Expand(p, t)
           c = Unsqueeze(a, last) d = Unsqueeze(b, last) i = Concat<axis = -1>(c, d) y = GatherND(x, i)""",
        0,
        x=rows(6),
        zero=literal(0),
        one=literal(1),
        later=literal([1]),
        last=literal([-1]),
    ),
    sample(
        """n = Shape<end = 1>(x) z = Squeeze(n) r = Range(zero, z, one) c = Unsqueeze(r, last)
           i = Concat<axis = -1>(c, k) y = ScatterND(x, i, u)""",
        0,
        x=rows(6),
        k=ints(1),
        u=rows(),
        zero=literal(0),
        one=literal(1),
        last=literal([-1]),
    ),
    sample("y = TensorScatter(x, u, i)", 0, opset=24, x=rows(2, 6, 3), u=rows(2, 2, 3), i=ints(low=0, high=4)),
]

TRANSFORM: list[Sample] = [
    sample("y = DFT<axis = 1>(x)", 0, x=rows(8, 1), tolerance=1e-4),
    sample("y = DFT(x, , a)", 0, opset=20, x=rows(8, 1), a=literal(1), tolerance=1e-4),
    sample("y = DFT(x)", 0, opset=20, x=rows(8, 2), tolerance=1e-4),
    sample("y = STFT<onesided = 1>(x, step, , size)", 0, x=rows(32, 1), step=literal(8), size=literal(16),
        tolerance=1e-4),
    sample("y = com.microsoft.UnfoldTensor<size = 3, step = 2, dim = 1>(x)", 0, x=rows(7, 2)),
    sample("y = com.microsoft.UnfoldTensor<size = 3, dim = -1>(x)", 1, x=rows(2, 7, axis=1)),
    sample("y = com.microsoft.UnfoldTensor<size = 1, dim = 0>(x)", "mixed", x=rows(7)),
    sample("y = Det(x)", 0, x=rows(3, 3), tolerance=1e-4),
    sample("y = com.microsoft.Inverse(x)", 0, x=rows(3, 3), tolerance=1e-3),
    sample(
        """y = TfIdfVectorizer<max_gram_length = 2, min_gram_length = 1, max_skip_count = 0, mode = "TF",
           ngram_counts = [0, 3], ngram_indexes = [0, 1, 2, 3], pool_int64s = [1, 2, 3, 1, 2]>(x)""",
        0,
        x=ints(8, low=0, high=3),
    ),
]  # fmt: skip

BARRIERS: list[Sample] = [
    sample("y = NonZero(x)", "mixed", x=rows(3)),
    sample("y = Compress<axis = 0>(x, c)", "mixed", x=rows(3), c=rows(dtype="bool")),
    sample("y = Compress(x, c)", "mixed", x=rows(3), c=free(7, dtype="bool")),
    sample("y = Compress<axis = -1>(x, c)", 0, x=rows(3), c=free(3, dtype="bool")),
    sample("y = Compress<axis = 0>(x, c)", 1, x=rows(3, axis=1), c=free(2, dtype="bool")),
    sample("y = Unique<axis = 0>(x)", "mixed", x=rows(3)),
    sample("y, i, n = com.microsoft.Unique(x)", "mixed", x=rows()),
    sample("y = NonMaxSuppression(b, s)", "mixed", b=rows(6, 4), s=rows(1, 6)),
    sample('y, n = StringSplit<delimiter = "1">(x)', "mixed", opset=20, x=rows(3, dtype="str")),
    sample("y = NonZero(w)", "free", w=weight(3)),
    *(
        sample(
            f"y = {op}Window(s) n = Shape<end = 1>(x) m = Squeeze(n) z = {op}Window(m)",
            {"y": "free", "z": "mixed"},
            x=rows(3),
            s=literal(8),
        )
        for op in ("Blackman", "Hamming", "Hann")
    ),
    sample(
        "b = Size(x) y = MelWeightMatrix(b, d, r, l, u)",
        "mixed",
        x=rows(),
        d=literal(16),
        r=literal(8192),
        l=literal(0.0, "float32"),
        u=literal(4096.0, "float32"),
    ),
    sample("y = ImageDecoder(x)", "mixed", opset=20, x=rows(dtype="uint8")),
]

SAMPLES = [*SHAPE, *SELECT, *INDEX, *TRANSFORM, *BARRIERS]
