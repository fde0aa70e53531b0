"""More graphs that look like rows and are not, by what makes them so."""

from __future__ import annotations

from rows_support import Sample, free, ints, literal, rows, sample, weight

_N = "n = Shape<end = 1>(x)"
_F = "float32"

#: Rows are combined, compared, sorted or moved.
ACROSS: dict[str, Sample] = {
    "rows-contracted gram": sample("t = Transpose(x) y = MatMul(t, x)", "mixed", x=rows(3)),
    "rows-contracted einsum contracted": sample('e = Einsum<equation="bi,bj->ij">(x, x) y = MatMul(x, e)', "mixed",
        x=rows(3)),
    "rows-contracted einsum implicit": sample('e = Einsum<equation="ab,ac">(x, x) y = MatMul(x, e)', "mixed",
        x=rows(3)),
    "gather-rows gatherelements": sample("y = GatherElements<axis=0>(x, i)", "mixed", x=rows(3), i=ints(3, high=0)),
    "gather-rows roialign rows": sample("y = RoiAlign<sampling_ratio=2>(x, r, i)", "mixed", x=rows(2, 6, 6),
        r=rows(4, low=0, high=5), i=ints(high=0)),
    "reduce-over-rows gqa total": sample(
        "l64 = Cast<to=7>(l) tt = ReduceMax<keepdims=0>(l64) t5 = Cast<to=6>(tt) t = Add(t5, o5) y, p, pv = "
        "com.microsoft.GroupQueryAttention<num_heads=2,kv_num_heads=1>(q,k,v,a,c,l,t)", {"p": "mixed"}, q=rows(1, 16),
        k=rows(1, 8), v=rows(1, 8), a=rows(1, 4, 8), c=rows(1, 4, 8), l=ints(low=1, high=4, dtype="int32"),
        o5=literal(1, "int32")),
    "reduce-over-rows dynamic scale by hand": sample(
        "a = Abs(x) m = ReduceMax<keepdims=0>(a) s = Div(m, q) u = QuantizeLinear(x, s) y = DequantizeLinear(u, s)",
        "mixed", x=rows(4), q=literal(127.0, _F)),
    "reduce-over-rows qlinearconv computed scale": sample(
        "a = Abs(x) m = ReduceMax<keepdims=0>(a) s = Div(m, q) u = QuantizeLinear(x, s, z) y = QLinearConv(u, s, "
        "z, w, c, z, c, z)", "mixed", x=rows(2, 6), q=literal(255.0, _F), z=literal(128, "uint8"),
        w=weight(3, 2, 3, dtype="uint8"), c=literal(0.3, _F)),
    "reduce-over-rows argmax gather": sample(
        "s = ReduceSum<keepdims=0>(x, one1) i = ArgMax<axis=0,keepdims=1>(s) g = Gather(x, i) y = Add(x, g)", "mixed",
        x=rows(3), one1=literal([1])),
    "rows-repeated tile rows": sample("y = Tile(x, t)", "mixed", x=rows(3), t=literal([2, 1])),
    "concat-rows concat halves": sample("y = Concat<axis=0>(x, q)", "mixed", x=rows(3), q=rows(3)),
    "split-rows split rows": sample("a, y = Split<axis=0>(x, s)", {"a": "mixed"}, x=rows(3), s=literal([2, 3])),
    "slice-rows flip": sample("v = Slice(x, b, e, a, b) y = Concat<axis=1>(x, v)", "mixed", x=rows(3), b=literal([-1]),
        e=literal([-100]), a=literal([0])),
    "slice-rows roll": sample("a = Slice(x, o, f, z) b = Slice(x, z, o, z) y = Concat<axis=0>(a, b)", "mixed",
        x=rows(3), o=literal([1]), f=literal([2**40]), z=literal([0])),
    "pad-rows shifted where int32 wraps to -1": sample(
        "c = Cast<to=6>(f) l = Less(c, z) p = Cast<to=7>(l) m = Neg(p) t = Concat<axis=0>(p, o, m, o) y = Pad(x, t)",
        "mixed", x=rows(3), f=literal([2**63 - 1]), z=literal([0], "int32"), o=literal([0])),
    "pad-rows shifted where a sum of uint8 wraps": sample(
        "c = Add(f, f) d = Cast<to=7>(c) l = Less(d, z) p = Cast<to=7>(l) m = Neg(p) t = Concat<axis=0>(p, o, m, o) "
        "y = Pad(x, t)", "mixed", x=rows(3), f=literal([200], "uint8"), z=literal([150]), o=literal([0])),
    "size-from-batch shifted where a product of int32 wraps": sample(
        f"{_N} i = Cast<to=6>(n) j = Mul(i, f) k = Mul(j, g) c = Cast<to=7>(k) l = Min(n, c) p = Sub(n, l) m = Neg(p) "
        "t = Concat<axis=0>(p, o, m, o) y = Pad(x, t)", "mixed", x=rows(3), f=literal([1288490189], "int32"),
        g=literal([4], "int32"), o=literal([0])),
    "size-from-batch shifted where a product wraps to -1": sample(
        f"{_N} c = Mul(n, f) l = Min(n, c) p = Sub(n, l) m = Neg(p) t = Concat<axis=0>(p, o, m, o) y = Pad(x, t)",
        "mixed", x=rows(3), f=literal([(2**64 - 1) // 5]), o=literal([0])),
    "pad-rows difference to previous row": sample("a = Pad(x, p) b = Slice(a, z, e, z) y = Sub(x, b)", "mixed",
        x=rows(3), p=literal([1, 0, 0, 0]), z=literal([0]), e=literal([-1])),
    "reduce-over-rows reshape flat reduce": sample("f = Reshape(x, t) m = ReduceMax(f) y = Sub(x, m)", "mixed",
        x=rows(3), t=literal([-1])),
    "reduce-over-rows reshape merge": sample("f = Reshape(x, t) y0 = ReduceMean<axes=[1]>(f) y = Add(x, y0)", "mixed",
        opset=17, x=rows(3), t=literal([1, -1])),
    "pad-rows crop axis 0": sample("y = CenterCropPad<axes=[0]>(x, t)", "mixed", x=rows(3), t=literal([5])),
    "gather-rows scatter add": sample('y = ScatterElements<axis=0,reduction="add">(x, i, x)', "mixed", x=rows(3),
        i=ints(3, high=0)),
    "scatter-rows scatternd add own choice": sample('y = ScatterND<reduction="add">(x, i, x)', "mixed", x=rows(3),
        i=ints(1, high=0)),
    "scatter-rows scatter into constant": sample("y = ScatterND(w, i, x)", "mixed", w=weight(9, 3), i=ints(1, high=8),
        x=rows(3)),
    "reduce-over-rows sum of squares norm": sample("s = Mul(x,x) m = ReduceSum(s) r = Sqrt(m) y = Div(x, r)", "mixed",
        x=rows(3)),
    "reduce-over-rows batch std": sample(
        "m = ReduceMean(x, z) d = Sub(x, m) s = Mul(d,d) v = ReduceMean(s, z) y = Div(d, v)", "mixed", x=rows(3),
        z=literal([0])),
    "reduce-over-rows if any row": sample(
        "m = ReduceMax<keepdims=0>(x) c = Greater(m, t) y = If(c) <then_branch = a () => (float[N,3] p) { p = "
        "Neg(x) }, else_branch = b () => (float[N,3] q) { q = Identity(x) }>", "mixed", x=rows(3), t=literal(30.0, _F)),
    "gather-rows gather -1": sample("t = Gather(x, k) y = Add(x, t)", "mixed", x=rows(3), k=literal([-1])),
    "pad-rows flattened neighbours": sample(
        "f = Flatten<axis=0>(x) p = Pad(f, pd) s = Slice(p, z, e, o) y0 = Add(f, s) y = Reshape(y0, t)", "mixed",
        x=rows(3), pd=literal([0, 1, 0, 0]), z=literal([0]), e=literal([-1]), o=literal([1]), t=literal([-1, 3])),
    "scan-over-rows cumsum flattened": sample("f = Flatten<axis=0>(x) c = CumSum(f, o) y = Reshape(c, t)", "mixed",
        x=rows(3), o=literal(1), t=literal([-1, 3])),
    "softmax-over-rows softmax flattened": sample("f = Flatten<axis=0>(x) c = Softmax(f) y = Reshape(c, t)", "mixed",
        x=rows(3), t=literal([-1, 3])),
    "reshape-mixes-rows layernorm block": sample("f = Reshape(x, t) c = LayerNormalization(f, s) y = Reshape(c, u)",
        "mixed", x=rows(3), t=literal([3, -1]), s=weight(5), u=literal([-1, 3])),
    "data-dependent-shape nonzero count": sample(
        "c = Greater(x, t) i = NonZero(c) s = Shape<start=1>(i) f = Cast<to=1>(s) y = Mul(x, f)", "mixed", x=rows(3),
        t=literal(0.0, _F)),
    "data-dependent-shape unique inverse": sample(
        "f = Reshape(x, t) u, i, v, c = Unique(f) g = Cast<to=1>(v) y0 = Reshape(g, tt) y = Add(x, y0)", "mixed",
        x=rows(3), t=literal([-1]), tt=literal([-1, 3])),
    "reduce-over-rows reciprocal of N by mean of ones": sample(
        f"{_N} c = ConstantOfShape<value = float[1] {{1.0}}>(n) m = ReduceSum<keepdims=0>(c) y = Div(x, m)", "mixed",
        x=rows(3)),
    "rows-contracted matmul ones row": sample(
        f"{_N} t = Concat<axis=0>(one1, n) c = ConstantOfShape<value = float[1] {{1.0}}>(t) m = MatMul(c, x) y = "
        "Add(x, m)", "mixed", x=rows(3), one1=literal([1])),
    "sort-over-rows median": sample("s, i = TopK<axis=0>(x, k) g = Gather(s, h) y = Sub(x, g)", "mixed", x=rows(3),
        k=literal([3]), h=literal([1])),
    "data-dependent-shape compress": sample("c = Constant<value = bool[2] {1, 1}>() y = Compress<axis=0>(x, c)",
        "mixed", x=rows(3)),
    "data-dependent-shape nms": sample("y = NonMaxSuppression(b, s, k)", "mixed", b=rows(6, 4, low=0, high=1),
        s=rows(1, 6), k=literal(2)),
    "data-dependent-shape tokenizer": sample(
        'y = com.microsoft.Tokenizer<mark=0, mincharnum=1, pad_value="#", separators=[""]>(text)', "mixed",
        text=rows(dtype="str")),
    "reshape-mixes-rows optional blockless": sample("a = Reshape(x, t) y = ReduceSum<keepdims=0>(a, z)", "mixed",
        x=rows(4), t=literal([2, -1]), z=literal([0])),
    "rows-misaligned moe tokens": sample(
        'f = Reshape(r, t) y = com.microsoft.MoE<k = 1, activation_type = "relu">(x, f, a, , c)', "mixed", x=rows(2, 8),
        r=rows(2, 4, axis=1), t=literal([-1, 4]), a=weight(4, 16, 8), c=weight(4, 8, 16)),
    "reshape-mixes-rows zero that is copied": sample(
        f"{_N} c = Equal(k, three) e = Cast<to=7>(c) ne = Mul(n, e) t = Concat<axis=0>(ne, rest) v = Reshape(x, "
        "t) s = Shape<end=1>(v) d = Sub(s, ne) f = Cast<to=1>(d) y = Add(x, f)", "mixed", x=rows(4),
        k=free(1, dtype="int64", values=[7]), three=literal([3]), rest=literal([-1, 4])),
    "scan-over-rows expand then positional": sample("s = Shape(x) a = Expand(w, s) c = CumSum(a, z) y = Add(x, c)",
        "mixed", x=rows(3), w=weight(1, 3), z=literal(0)),
    "scan-over-rows constantofshape nonzero": sample(
        "s = Shape<end=1>(x) o = ConstantOfShape<value=int64[1]{1}>(s) c = CumSum(o, z) f = Cast<to=1>(c) u = "
        "Unsqueeze(f, ax) y = Add(x, u)", "mixed", x=rows(3), z=literal(0), ax=literal([1])),
    "reduce-over-rows mask from lengths over batch": sample(
        "m = ReduceMax<keepdims=0>(l) r = Range(z, m, o) u = Unsqueeze(l, a) c = Less(r, u) f = Cast<to=1>(c) y = "
        "ReduceMean(f, a)", "mixed", l=ints(low=1, high=6), z=literal(0), o=literal(1), a=literal([1])),
    "reduce-over-rows pad to max": sample("m0 = ReduceMax(l) p = Concat<axis=0>(zz, m0) y = Pad(x, p)", "mixed",
        x=rows(3), l=ints(low=1, high=6), zz=literal([0, 0, 0])),
    "rows-contracted matmul 1d": sample("y0 = MatMul(w, x) y = Add(x, y0)", "mixed", x=rows(3), w=weight(5)),
    "rows-contracted gemm transA": sample("y = Gemm<transA=1>(x, x)", "mixed", x=rows(5)),
}  # fmt: skip

#: The rows lie on another axis than the operator takes for the batch.
AXES: dict[str, Sample] = {
    "reverse-rows reverse swapped": sample("y = ReverseSequence<batch_axis=1,time_axis=0>(x, l)", "mixed", x=rows(5),
        l=literal([1, 2, 1, 2, 1])),
    "reverse-rows reverse swapped free": sample("y = ReverseSequence<batch_axis=1,time_axis=0>(x, l)", "mixed",
        x=rows(4, 2), l=literal([1, 2, 1, 2])),
    "not-batch-axis instancenorm folded": sample(
        "f = Reshape(x, t) g = InstanceNormalization(f, s, b) y = Reshape(g, u)", "mixed", x=rows(2, 6),
        t=literal([1, -1, 6]), s=weight(10), b=weight(10), u=literal([-1, 2, 6])),
    "not-batch-axis instancenorm n in space": sample(
        "f = Transpose<perm=[1,2,0]>(x) g = InstanceNormalization(f, s, b) y = Transpose<perm=[2,0,1]>(g)", "mixed",
        x=rows(2, 6), s=weight(6), b=weight(6)),
    "not-batch-axis groupnorm folded": sample(
        "f = Reshape(x, t) g = GroupNormalization<num_groups=1>(f, s, b) y = Reshape(g, u)", "mixed", opset=21,
        x=rows(2, 6), t=literal([1, -1, 6]), s=weight(10), b=weight(10), u=literal([-1, 2, 6])),
    "not-batch-axis batchnorm channels": sample(
        "t = Transpose(x) g = BatchNormalization(t, s, s, s, v) y = Transpose(g)", "mixed", x=rows(3), s=weight(5),
        v=weight(5, low=1, high=2)),
    "resize-rows resize axis 0": sample('y = Resize<mode="linear">(x, , s)', "mixed", x=rows(4),
        s=literal([0.4, 1.0], _F)),
    "resize-rows resize axis 0 same size at 5": sample('y = Resize<mode="nearest">(x, , , t)', "mixed", x=rows(4),
        t=literal([5, 4])),
    "normalise-over-rows lpnorm axis 0": sample("y = LpNormalization<axis=0>(x)", "mixed", x=rows(4)),
    "normalise-over-rows mvn axes 0": sample("y = MeanVarianceNormalization<axes=[0]>(x)", "mixed", x=rows(4)),
    "transform-over-rows dft over rows": sample("u = Unsqueeze(x, k) y = DFT<axis=0>(u)", "mixed", x=rows(4),
        k=literal([2])),
    "not-batch-axis stft over rows": sample(
        "t = Transpose(x) u = Unsqueeze(t, k) y0 = STFT<onesided=1>(u, st, , sz) y = Transpose<perm=[1,0,2,3]>(y0)",
        "mixed", x=rows(2), k=literal([2]), st=literal(1), sz=literal(4)),
    "not-batch-axis depthtospace folded": sample("f = Reshape(x, t) g = DepthToSpace<blocksize=2>(f) y = Reshape(g, u)",
        "mixed", x=rows(4, 1, 2), t=literal([1, -1, 1, 2]), u=literal([-1, 4, 1, 2])),
    "not-batch-axis conv over batch": sample(
        "t = Transpose<perm=[1,2,0]>(x) c = Conv<pads=[1,1]>(t, w) y = Transpose<perm=[2,0,1]>(c)", "mixed",
        x=rows(1, 2), w=weight(2, 2, 3)),
    "not-batch-axis conv batch as channels": sample(
        "t = Transpose<perm=[1,0,2]>(x) y0 = Conv(t, w) y = Transpose<perm=[1,0,2]>(y0)", "mixed", x=rows(2, 6),
        w=weight(5, 5, 3)),
    "not-batch-axis pool over batch": sample(
        "t = Transpose<perm=[1,2,0]>(x) c = MaxPool<kernel_shape=[3],pads=[1,1]>(t) y = Transpose<perm=[2,0,1]>(c)",
        "mixed", x=rows(1, 2)),
    "not-batch-axis lrn over batch": sample(
        "t = Transpose<perm=[1,0,2,3]>(x) c = LRN<size=3>(t) y = Transpose<perm=[1,0,2,3]>(c)", "mixed",
        x=rows(2, 3, 3)),
    "not-batch-axis ml imputer": sample(
        "y = ai.onnx.ml.Scaler<offset=[1.0,2.0,3.0,4.0,5.0],scale=[1.0,2.0,3.0,4.0,5.0]>(x)", "mixed", x=rows()),
    "not-batch-axis feature from vector": sample('y0 = ai.onnx.ml.Normalizer<norm = "L2">(x) y = Mul(y0, y0)', "mixed",
        x=rows()),
    "resize-rows upsample all": sample("y = Upsample(x, s)", "mixed", opset=9, x=rows(2, 3, 3),
        s=literal([2.0, 1.0, 1.0, 1.0], _F)),
    "resize-rows resize aspect": sample('y = Resize<keep_aspect_ratio_policy="not_larger">(x, , , t)', "mixed",
        opset=19, x=rows(4), t=literal([3, 8])),
    "not-batch-axis bn 1d": sample("t = Unsqueeze(x, z) g = BatchNormalization(t, s, s, s, v) y = Squeeze(g, z)",
        "mixed", x=rows(), z=literal([0]), s=weight(5), v=weight(5, low=1, high=2)),
}  # fmt: skip

#: A parameter that counts as shared is one for each row, or comes from all rows.
SHARED: dict[str, Sample] = {
    "rows-misaligned gram scores": sample("t = Transpose(x) s = MatMul(x, t) p = Softmax(s) y = MatMul(p, x)", "mixed",
        x=rows(3)),
    "training-mode batchnorm training": sample("y, _a, _b = BatchNormalization<training_mode=1>(x, s, s, s, v)",
        "mixed", x=rows(3), s=weight(3), v=weight(3, low=1, high=2)),
    "rows-misaligned gridsample fixed grid": sample("y = GridSample(w, g)", "mixed", w=weight(5, 2, 4, 4),
        g=rows(3, 2, 2, low=-1, high=1)),
    "rows-misaligned attention mask NN": sample("y = Attention(q,k,v,m)", "mixed", opset=23, q=rows(2, 3, 8),
        k=rows(2, 3, 8), v=rows(2, 3, 8), m=weight(5, 1, 3, 3)),
    "rows-misaligned attention over rows": sample("u = Unsqueeze(x, zz) y0 = Attention(u,u,u) y = Squeeze(y0, zz)",
        "mixed", opset=23, x=rows(8), zz=literal([0, 1])),
    "rows-misaligned attention heads are rows": sample(
        "t = Transpose<perm=[1,0,2,3]>(x) y0 = Attention(t,t,t,m) y = Transpose<perm=[1,0,2,3]>(y0)", "mixed", opset=23,
        x=rows(1, 3, 8), m=weight(5, 3, 3)),
    "training-mode dropout training": sample("y = Dropout<seed=7>(x, r, t)", "mixed", x=rows(30), r=literal(0.5, _F),
        t=literal(True, "bool")),
    "rows-misaligned lstm h0": sample("y0, h = LSTM<hidden_size=2>(w0, w, r, , , h0, h0)", {"h": "mixed"},
        w0=weight(3, 5, 3), w=weight(1, 8, 3), r=weight(1, 8, 2), h0=rows(1, 2, axis=1)),
    "rows-misaligned lstm seq as batch": sample(
        "t = Transpose<perm=[1,0,2]>(x) q = Transpose<perm=[1,0,2]>(t) y0 = LSTM<hidden_size=2>(q, w, r) s = "
        "Squeeze(y0, o) y = Add(s, s)", "mixed", x=rows(4, 3), w=weight(1, 8, 3), r=weight(1, 8, 2), o=literal([1])),
    "rows-misaligned two batches": sample(
        "u = Unsqueeze(x, o) v = Unsqueeze(q, z) d = Sub(u, v) s = ReduceSum<keepdims=0>(d, two) y = MatMul(s, q)",
        "mixed", x=rows(3), q=rows(3), o=literal([1]), z=literal([0]), two=literal([2])),
    "rows-misaligned cdist": sample("s = com.microsoft.CDist(x, x) y = Softmax(s)", "mixed", x=rows(3)),
    "parameter-per-row blockwise quant": sample(
        "t = Transpose(x) q = DequantizeLinear<axis=1,block_size=5>(t, s) y = Transpose(q)", "mixed", opset=21,
        x=rows(3, dtype="uint8", low=0, high=255), s=weight(3, 1)),
    "broadcast-against-rows skiplayernorm table": sample("y = com.microsoft.SkipLayerNormalization(x, w, s)", "mixed",
        x=rows(3, 4), w=weight(5, 3, 4), s=weight(4)),
    "rows-misaligned embed positions": sample("y, m = com.microsoft.EmbedLayerNormalization(i, g, w, p, t, s, b, , q)",
        "mixed", i=ints(4, dtype="int32"), g=ints(4, high=1, dtype="int32"), w=weight(6, 8), p=weight(9, 8),
        t=weight(2, 8), s=weight(8), b=weight(8), q=weight(5, 4, dtype="int32", low=0, high=8)),
    "rows-misaligned fused conv add": sample('y = com.microsoft.FusedConv<activation="Relu">(x, w, , z)', "mixed",
        x=rows(3, 6), w=weight(4, 3, 3), z=weight(5, 4, 4)),
    "broadcast-against-rows string concat": sample("y = StringConcat(x, w)", "mixed", opset=20, x=rows(dtype="str"),
        w=weight(5, dtype="str")),
    "rows-misaligned gathernd coords swapped": sample(
        "s = Shape(x) n = Gather(s, z) r = Range(z, n, o) c = Unsqueeze(r, l) i = Concat<axis=-1>(k, c) y = "
        "GatherND(x, i)", "mixed", x=rows(5), k=ints(1, high=0), z=literal(0), o=literal(1), l=literal([-1])),
    "rows-misaligned equal dims by coincidence": sample("t = Transpose(x) y = Add(x, t)", "mixed",
        x=rows(5, loose=True)),
    "broadcast-against-rows einsum repeated": sample('y = Einsum<equation="bb,bc->bc">(w, x)', "mixed", x=rows(3),
        w=weight(5, 5)),
    "broadcast-against-rows einsum broadcast ellipsis": sample('y = Einsum<equation="...i,...i->...">(x, w)', "mixed",
        x=rows(3), w=weight(5, 3)),
    "broadcast-against-rows gemm C per row": sample("y = Gemm(x, w, c)", "mixed", x=rows(3), w=weight(3, 2),
        c=weight(5, 1)),
    "broadcast-against-rows prelu slope per row": sample("y = PRelu(x, s)", "mixed", x=rows(3), s=weight(5, 1)),
    "broadcast-against-rows layernorm scale per row": sample(
        "t = Transpose(x) y0 = LayerNormalization(t, s) y = Transpose(y0)", "mixed", x=rows(3), s=weight(5)),
    "parameter-per-row dequant default axis": sample("t = Transpose(x) y0 = DequantizeLinear(t, s) y = Transpose(y0)",
        "mixed", x=rows(3, dtype="uint8", low=0, high=255), s=weight(5)),
    "rows-misaligned lstm lens from free": sample("y0, y = LSTM<hidden_size=2>(x, w, r, , l)", "mixed",
        x=rows(4, 3, axis=1), w=weight(1, 8, 3), r=weight(1, 8, 2), l=literal([1, 2, 3, 4, 2], "int32")),
    "rows-misaligned gridsample image shared": sample("y = GridSample(x, g)", "mixed", x=rows(2, 4, 4),
        g=weight(5, 3, 3, 2, low=-1, high=1)),
    "rows-misaligned deform offset shared": sample("y = DeformConv(x, w, o)", "mixed", opset=19, x=rows(2, 5, 5),
        w=weight(3, 2, 2, 2), o=weight(5, 8, 4, 4)),
    "rows-misaligned tensorscatter shared positions": sample("y = TensorScatter(x, u, i)", "mixed", opset=24,
        x=rows(2, 6, 3), u=rows(2, 2, 3), i=literal([0, 1, 2, 3, 4])),
    "rows-misaligned rotary positions shared": sample("y = RotaryEmbedding(x, c, d, i)", "mixed", opset=23,
        x=rows(2, 3, 8), c=weight(9, 4), d=weight(9, 4), i=weight(5, 3, dtype="int64", low=0, high=8)),
    "rows-misaligned mha padding shared": sample("y = com.microsoft.MultiHeadAttention<num_heads=2>(q,k,v,,m)", "mixed",
        q=rows(3, 8), k=rows(5, 8), v=rows(5, 8), m=literal([1, 2, 3, 4, 5], "int32")),
    "rows-misaligned attention contrib left mask": sample("y = com.microsoft.Attention<num_heads=2>(x,w,b,m)", "mixed",
        x=rows(3, 8), w=weight(8, 24), b=weight(24), m=literal([3] * 5 + [0, 1, 2, 0, 1], "int32")),
}  # fmt: skip

TRAPS: dict[str, Sample] = {**ACROSS, **AXES, **SHARED}
