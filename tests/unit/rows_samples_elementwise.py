"""Samples for elementwise operators, reductions, softmax, normalisation."""

from __future__ import annotations

from rows_support import Sample, free, ints, literal, rows, sample, weight

_ANY = (
    "Atan Asinh Ceil Celu Cos Elu Erf Exp Floor HardSigmoid HardSwish LeakyRelu Mish Reciprocal "
    "Relu Round Selu Shrink Sigmoid Sign Sin Softplus Softsign Tan Tanh ThresholdedRelu Neg Abs Identity"
).split()
_INSIDE = {"Acos": (-1, 1), "Asin": (-1, 1), "Atanh": (-0.9, 0.9), "Acosh": (1, 50), "Log": (0.1, 90), "Sqrt": (0, 9)}
_INSIDE |= {"Cosh": (-3, 3), "Sinh": (-3, 3)}
_BINARY = "Add Sub Mul Div Pow PRelu Sum Mean Max Min".split()
_COMPARE = "Equal Greater GreaterOrEqual Less LessOrEqual".split()
_REDUCE = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()

UNARY: list[Sample] = [
    *(sample(f"y = {op}(x)", 0, x=rows(3, 4)) for op in _ANY),
    *(sample(f"y = {op}(x)", 1, x=rows(3, axis=1, low=a, high=b)) for op, (a, b) in _INSIDE.items()),
    sample("h = Mul(x, huge) y = IsInf(h)", 0, x=rows(3), huge=literal(3e38, "float32")),
    sample("s = Sqrt(x) y = IsNaN(s)", 0, x=rows(3)),
    sample("y = Gelu(x)", 0, opset=20, x=rows(3, 4)),
    sample("y = Swish(x)", 0, opset=24, x=rows(3, 4)),
    sample("y = Not(x)", 0, x=rows(3, dtype="bool")),
    sample("y = BitwiseNot(x)", 0, x=rows(3, dtype="int32")),
    sample("y = Cast<to = 7>(x)", 0, x=rows(3)),
    sample("y = CastLike(x, w)", 0, opset=19, x=rows(3), w=weight(1, dtype="int32")),
    sample("c = CastLike(w, x) y = Mul(x, c)", {"c": "free", "y": 0}, opset=19, x=rows(3), w=weight(1, dtype="int32")),
    sample("m = CumSum(x, zero) y = CastLike(x, m)", {"m": "mixed", "y": 0}, opset=19, x=rows(3), zero=literal(0)),
    sample("y = BitCast<to = 6>(x)", 0, opset=26, x=rows(3)),
    sample("y = Clip(x, low, high)", 0, x=rows(3), low=literal(-0.3, "float32"), high=literal(1.1, "float32")),
    sample("y = Clip<min = -0.3, max = 1.1>(x)", 0, opset=10, x=rows(3)),
    sample("y, mask = Dropout(x)", {"y": 0, "mask": 0}, opset=13, x=rows(3)),
    sample("y = Dropout(x, r, t)", 0, x=rows(3), r=literal(0.5, "float32"), t=literal(False, "bool")),
    sample('y = RegexFullMatch<pattern = "1.*">(x)', 0, opset=20, x=rows(3, dtype="str")),
    sample("y = StringConcat(x, z)", 0, opset=20, x=rows(3, dtype="str"), z=rows(3, dtype="str")),
    sample('y = StringNormalizer<case_change_action = "UPPER", locale = "C">(x)', 0, x=rows(dtype="str")),
    sample('y = StringNormalizer<stopwords = ["3"], locale = "C">(x)', "mixed", x=rows(dtype="str")),
    sample("y = SwiGLU<alpha = 0.7>(x, z)", 0, opset=28, reference=True, x=rows(3), z=rows(3)),
    *(sample(f"y = com.microsoft.{op}(x)", 0, x=rows(3, 4)) for op in ("Gelu", "QuickGelu", "SampleOp")),
    sample("y = com.microsoft.MurmurHash3<seed = 7>(x)", 1, x=ints(3, high=99, axis=1)),
    sample("y = com.microsoft.MurmurHash3(x)", 0, x=rows(3, dtype="str")),
    *(sample(f"y = com.microsoft.{op}(x, b)", 0, x=rows(3, 4), b=weight(4)) for op in ("BiasGelu", "FastGelu")),
]

BINARY: list[Sample] = [
    *(sample(f"y = {op}(x, z)", 0, x=rows(3, 4, low=0.2, high=3), z=rows(3, 4, low=0.2, high=3)) for op in _BINARY),
    *(sample(f"y = {op}(x, w)", 0, x=rows(3, 4, low=0.2, high=3), w=weight(4, low=1, high=2)) for op in _BINARY),
    *(sample(f"y = {op}(x, z)", 0, x=ints(3), z=ints(3)) for op in _COMPARE),
    *(sample(f"y = {op}(x, z)", 0, x=rows(3, dtype="bool"), z=rows(3, dtype="bool")) for op in ("And", "Or", "Xor")),
    *(sample(f"y = Bitwise{op}(x, z)", 0, x=ints(3), z=ints(3)) for op in ("And", "Or", "Xor")),
    sample('y = BitShift<direction = "LEFT">(x, z)', 0, x=ints(3, dtype="uint8"), z=ints(3, dtype="uint8")),
    sample("y = Mod(x, z)", 0, x=ints(3), z=ints(3, low=1)),
    sample("y = Where(c, x, z)", 0, c=rows(3, dtype="bool"), x=rows(3), z=rows(3)),
    sample("y = Where(c, x, w)", 0, c=rows(1, dtype="bool"), x=rows(3), w=literal(0.0, "float32")),
    sample("y = Add(x, w)", 1, x=rows(4), w=weight(2, 1, 4)),  # the axis of the rows moves to the right
    sample("y = Add(x, z)", 0, x=rows(3, 4), z=rows(1, 1)),
    sample("y = Add(x, w)", "mixed", x=rows(3), w=weight(5, 3)),  # legal for N = 5 and N = 1 only
    sample("y = Add(x, z)", "mixed", x=rows(5), z=rows()),  # [N, 5] + [N]: legal for N = 5, on another axis
    sample("y = Add(x, f)", "mixed", x=rows(3), f=free(5, 3, loose=True)),
]

REDUCE: list[Sample] = [
    *(sample(f"y = Reduce{op}<axes = [-1]>(x)", 0, opset=11, x=rows(3, 4, low=0.2, high=2)) for op in _REDUCE),
    *(
        sample(f"y = Reduce{op}<keepdims = 0>(x, a)", 1, x=rows(2, 3, axis=2, low=0.2, high=2), a=literal([0]))
        for op in _REDUCE
    ),
    sample("y = ReduceSum<noop_with_empty_axes = 1>(x)", 0, x=rows(3)),
    sample("y = ReduceSum(x, a)", "mixed", x=rows(3), a=literal([], "int64")),
    sample("y = ArgMax<axis = 1, keepdims = 0>(x)", 0, x=rows(3, 4)),
    sample("y = ArgMin<axis = -1>(x)", 0, x=rows(3, 4)),
    sample("y, i = TopK<axis = 1>(x, k)", {"y": 0, "i": 0}, x=rows(6), k=literal([2])),
    sample("y, i = TopK<k = 2>(x)", {"y": 0, "i": 0}, opset=9, x=rows(6)),
    *(sample(f"y = {op}(x)", 0, x=rows(3, 4)) for op in ("Softmax", "LogSoftmax", "Hardmax")),
    *(sample(f"y = {op}<axis = 1>(x)", 0, opset=11, x=rows(3, 4)) for op in ("Softmax", "LogSoftmax", "Hardmax")),
    sample("y = Softmax<axis = 0>(x)", 1, x=rows(3, axis=1)),
    sample("y = CumSum(x, a)", 0, x=rows(4), a=literal(1)),
    sample("y = CumProd(x, a)", 0, opset=26, x=rows(4), a=literal(1)),
]

NORMALISE: list[Sample] = [
    sample("y = LpNormalization(x)", 0, x=rows(4)),
    sample("y = MeanVarianceNormalization<axes = [1, 2]>(x)", 0, x=rows(4, 3)),
    sample("y = LayerNormalization(x, s, b)", 0, x=rows(3, 4), s=weight(4), b=weight(4)),
    sample("y, m, d = LayerNormalization<axis = 1>(x, s)", {"y": 0, "m": 0, "d": 0}, x=rows(3, 4), s=weight(3, 4)),
    sample("y = LayerNormalization(x, s)", 1, x=rows(3, 4, axis=1), s=weight(4)),
    sample("y = SimplifiedLayerNormalization(x, s)", 0, x=rows(3, 4), s=weight(4)),
    sample("y = RMSNormalization(x, s)", 0, opset=23, x=rows(3, 4), s=weight(4)),
    sample(
        "y = BatchNormalization(x, s, b, m, v)",
        0,
        x=rows(3, 4),
        s=weight(3),
        b=weight(3),
        m=weight(3),
        v=weight(3, low=0.5, high=2),
    ),
    sample("y = BatchNormalization(x, s, s, s, s)", 2, x=rows(2, 3, axis=2), s=weight(3, low=0.5, high=2)),
    sample("y = InstanceNormalization(x, s, b)", 0, x=rows(3, 8), s=weight(3), b=weight(3)),
    sample("y = GroupNormalization<num_groups = 2>(x, s, b)", 0, opset=21, x=rows(4, 8), s=weight(4), b=weight(4)),
    sample("y = LRN<size = 3>(x)", 0, x=rows(4, 5, 5)),
    sample(
        "y, _m, _d, t = com.microsoft.SkipLayerNormalization(x, z, s, b)",
        {"y": 0, "t": 0},
        x=rows(3, 4),
        z=rows(3, 4),
        s=weight(4),
        b=weight(4),
    ),
    sample(
        "y = com.microsoft.SkipLayerNormalization(x, z, s) r = Reshape(y, t)",
        {"y": 0, "r": 0},
        x=rows(3, 4, loose=True),
        z=rows(3, 4, loose=True),
        s=weight(4),
        t=literal([0, -1, 2]),
    ),
    sample("y = com.microsoft.SkipLayerNormalization(w, x, s)", "mixed", x=rows(3, 4), w=weight(5, 3, 4), s=weight(4)),
    sample("y = com.microsoft.SkipLayerNormalization(x, w, s)", 0, x=rows(3, 4), w=weight(1, 3, 4), s=weight(4)),
    sample("y = com.microsoft.SkipSimplifiedLayerNormalization(x, z, s)", 0, x=rows(3, 4), z=rows(3, 4), s=weight(4)),
]

SAMPLES = [*UNARY, *BINARY, *REDUCE, *NORMALISE]
