"""What CacheLookup and CacheStore compute and look up, through plain onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hand_written import Array, Control, Region, Tensor, batch, session, squares

# -- Row granularity --------------------------------------------------------------------------------------------------


def test_rows_are_computed_once(control: Control) -> None:
    region = squares()
    model = region.session()

    def check(x: Array, hits: int, misses: int) -> None:
        before = control.counts(region, "hits", "misses")
        assert np.array_equal(model.run(None, {"x": x})[0], x * x)
        after = control.counts(region, "hits", "misses")
        assert (after[0] - before[0], after[1] - before[1]) == (hits, misses)

    check(batch(1, 2, 3), hits=0, misses=3)  # cold
    check(batch(1, 2, 3), hits=3, misses=0)  # warm
    check(batch(3, 1, 2), hits=3, misses=0)  # permuted
    check(batch(9, 2, 8, 1), hits=2, misses=2)  # partly warm
    check(batch(7, 7, 1, 7), hits=3, misses=1)  # equal rows, one of them known before
    check(batch(2), hits=1, misses=0)  # N = 1
    check(batch(6), hits=0, misses=1)
    check(batch(*([5, 4, 5] * 40)), hits=118, misses=2)  # enough rows for the table of equal rows
    check(batch(), hits=0, misses=0)  # N = 0
    assert control.counts(region, "duplicates", "bypassed", "stored", "anomalies") == (120, 0, 9, 0)


def test_only_missing_rows_are_computed(control: Control) -> None:
    # The region hands out its number of rows beside its result.
    region = Region(
        [Tensor("x")],
        [Tensor("y"), Tensor("n", "int64", "[N]")],
        "y_m = Mul(x_c, x_c) one = Shape <start: int = 0, end: int = 1> (x_c) n_m = Expand(one, one)",
    )
    model = region.session()
    assert model.run(["n"], {"x": batch(1, 2, 1, 3)})[0].tolist() == [3, 3, 3, 3]
    assert model.run(["n"], {"x": batch(4, 2, 5)})[0].tolist() == [2, 3, 2]


def test_every_row_axis(control: Control) -> None:
    # State [layers, N, H] on axis 1 beside [N, H], and a live-out [H, N] on its last axis.
    region = Region(
        [Tensor("s", shape="[2, N, 3]", axis=1), Tensor("x")],
        [Tensor("t", shape="[2, N, 3]", axis=1), Tensor("z", shape="[3, N]", axis=1)],
        "t_m = Add(s_c, x_c) z_m = Transpose(x_c)",
    )
    model = region.session()
    random = np.random.default_rng(0)
    s = random.random((2, 5, 3), dtype=np.float32)
    x = random.random((5, 3), dtype=np.float32)
    for rows in ([0, 1, 2], [2, 3, 0, 4, 3], [4, 3, 2, 1, 0], [1]):
        t, z = model.run(None, {"s": s[:, rows], "x": x[rows]})
        assert np.array_equal(t, s[:, rows] + x[rows])
        assert np.array_equal(z, x[rows].T)
    assert control.counts(region, "misses", "hits") == (5, 9)


def test_tensors_without_rows_are_part_of_every_key(control: Control) -> None:
    region = Region(
        [Tensor("x"), Tensor("scale", shape="[3]", axis=-1), Tensor("bias", shape="", axis=-1)],
        [Tensor("y")],
        "p = Mul(x_c, scale) y_m = Add(p, bias)",
    )
    model = region.session()
    x = batch(1, 2)
    for scale, bias in [(1, 0), (2, 0), (1, 5), (1, 0), (2, 0)]:
        feed = {"x": x, "scale": np.full(3, scale, np.float32), "bias": np.array(bias, np.float32)}
        assert np.array_equal(model.run(None, feed)[0], x * scale + bias)
    assert control.counts(region, "misses", "hits") == (6, 4)


def test_several_inputs_and_live_outs_of_different_types(control: Control) -> None:
    region = Region(
        [Tensor("x"), Tensor("i", "int64", "[N]"), Tensor("flag", "bool", "[N, 1]")],
        [Tensor("y"), Tensor("j", "int64", "[N]"), Tensor("k", "bool", "[N, 3]"), Tensor("d", "double", "[N, 2, 3]")],
        """z = Neg(x_c) y_m = Where(flag_c, x_c, z) j_m = Mul(i_c, i_c) k_m = Greater(x_c, y_m)
           e = Cast <to: int = 11> (x_c) a = Constant <value_ints: ints = [1]> () u = Unsqueeze(e, a)
           d_m = Concat <axis: int = 1> (u, u)""",
    )
    model = region.session()
    x = batch(1, 2, 3, 4)
    i = np.array([10, 20, 30, 40])
    flag = np.array([[True], [False], [True], [False]])
    for rows in ([0, 1], [1, 2, 0, 3], [3, 2, 1, 0], [3, 3]):
        y, j, k, d = model.run(None, {"x": x[rows], "i": i[rows], "flag": flag[rows]})
        want = np.where(flag[rows], x[rows], -x[rows])
        assert np.array_equal(y, want) and np.array_equal(j, i[rows] ** 2) and np.array_equal(k, x[rows] > want)
        assert d.dtype == np.float64 and np.array_equal(d, np.stack([x[rows], x[rows]], axis=1))
    # The same x with another i is another row.
    assert model.run(["j"], {"x": x[:1], "i": np.array([7]), "flag": flag[:1]})[0].tolist() == [49]
    assert control.counts(region, "misses", "hits") == (5, 8)


@pytest.mark.parametrize(
    "name",
    "float double float16 bfloat16 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool"
    " float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz".split(),
)
@pytest.mark.parametrize("granularity", ["row", "tensor"])
def test_every_type_of_fixed_size(control: Control, name: str, granularity: str) -> None:
    number = getattr(onnx.TensorProto, name.upper())
    region = Region(
        [Tensor("t", name)],
        [Tensor("u", name)],
        f"u_m = Identity({'t_c' if granularity == 'row' else 't'})",
        granularity=granularity,
        opset=19,
        inputs=[Tensor("x")],
        before=f"t = Cast <to: int = {number}> (x)",
        outputs=[Tensor("y")],
        after="y = Cast <to: int = 1> (u)",
    )
    model = region.session()
    plain = session(
        onnx.parser.parse_model(
            f"""<ir_version: 9, opset_import: ["": 19]> plain (float[N, 3] x) => (float[N, 3] y)
                {{ t = Cast <to: int = {number}> (x)  y = Cast <to: int = 1> (t) }}"""
        )
    )
    for x in (batch(1, 2, 0), batch(1, 2, 0), batch(2, 4, 1)):
        assert np.array_equal(model.run(None, {"x": x})[0], plain.run(None, {"x": x})[0])
    # As booleans, some of the rows are equal.
    rows = (2, 7) if name == "bool" else (4, 5)
    assert control.counts(region, "misses", "hits") == (rows if granularity == "row" else (2, 1))


@pytest.mark.parametrize("name", ["int4", "uint4"])
def test_types_below_a_byte_are_looked_up_whole(control: Control, name: str) -> None:
    number = getattr(onnx.TensorProto, name.upper())
    for granularity in ("row", "tensor"):
        region = Region(
            [Tensor("t", name)],
            [Tensor("y")],
            f"y_m = Cast <to: int = 1> ({'t_c' if granularity == 'row' else 't'})",
            granularity=granularity,
            opset=21,
            inputs=[Tensor("x", shape="[N, 3]")],
            before=f"t = Cast <to: int = {number}> (x)",
        )
        try:
            model = region.session()
        except Exception as error:
            pytest.skip(f"this onnxruntime has no operators for {name}: {error}")
        for rows in ([1, 2, 3], [1, 2, 3], [1, 2, 4], [3, 2, 1]):  # 9 elements: a half byte is left over
            x = np.array(rows, np.float32)[:, None].repeat(3, axis=1)
            assert np.array_equal(model.run(None, {"x": x})[0], x)
        assert control.counts(region, "misses", "hits") == (3, 1)


def test_strings_in_rows(control: Control) -> None:
    region = Region(
        [Tensor("s", "string", "[N, 2]"), Tensor("x")],
        [Tensor("y")],
        """a = Constant <value_strings: strings = ["ab"]> () same = Equal(s_c, a) f = Cast <to: int = 1> (same)
           axes = Constant <value_ints: ints = [1]> () count = ReduceSum(f, axes) y_m = Add(count, x_c)""",
        opset=19,
    )
    model = region.session()
    s = np.array([["ab", "c"], ["a", "bc"], ["ab", "ab"], ["", "äöü" * 20], ["a\0b", "ab"]], dtype=object)
    x = np.zeros((5, 3), np.float32)
    want = np.array([1, 0, 2, 0, 1], np.float32)
    for rows in ([0, 1], [1, 3, 2, 0, 3], [4, 0], [2, 3]):
        y = model.run(None, {"s": s[rows], "x": x[rows]})[0]
        assert y[:, 0].tolist() == want[rows].tolist()
    assert control.counts(region, "misses", "hits", "duplicates") == (5, 6, 1)


def test_strings_on_another_axis_and_without_rows(control: Control) -> None:
    region = Region(
        [Tensor("s", "string", "[2, N]", axis=1), Tensor("w", "string", "[1]", axis=-1)],
        [Tensor("y", "bool", "[2, N]", axis=1)],
        "y_m = Equal(s_c, w)",
        opset=19,
    )
    model = region.session()
    s = np.array([["a", "b", "c"], ["b", "b", "a"]], dtype=object)
    for word, rows in [("a", [0, 1]), ("a", [2, 1, 2]), ("b", [0, 1, 2])]:
        w = np.array([word], dtype=object)
        assert np.array_equal(model.run(None, {"s": s[:, rows], "w": w})[0], s[:, rows] == word)
    assert control.counts(region, "misses", "hits") == (6, 2)


def test_batches_of_different_length_are_looked_up_whole(control: Control) -> None:
    # A batch of one against a batch of many broadcasts; there are no rows then.
    region = Region([Tensor("x"), Tensor("z", shape="[M, 3]")], [Tensor("y", shape="[K, 3]")], "y_m = Add(x_c, z_c)")
    model = region.session()
    x, z = batch(1, 2, 3), batch(5)
    for _ in range(2):
        assert np.array_equal(model.run(None, {"x": x, "z": z})[0], x + z)
    assert control.counts(region, "misses", "hits", "anomalies") == (1, 1, 0)
    assert np.array_equal(model.run(None, {"x": x[::-1], "z": z})[0], x[::-1] + z)
    assert control.counts(region, "misses", "hits") == (2, 1)
    assert np.array_equal(model.run(None, {"x": x, "z": x})[0], x + x)  # rows again
    assert control.counts(region, "misses", "hits") == (5, 1)


def test_results_that_are_not_rows_are_not_cached(control: Control) -> None:
    # A reduction over the batch was declared a row; nothing was known before, so the result is right as it is.
    region = Region(
        [Tensor("x")], [Tensor("y", shape="[M, 3]")], "a = Constant <value_ints: ints = [0]> () y_m = ReduceSum(x_c, a)"
    )
    model = region.session()
    x = batch(1, 2)
    for _ in range(2):
        assert np.array_equal(model.run(None, {"x": x})[0], x.sum(0, keepdims=True))
    assert control.counts(region, "anomalies", "stored", "misses", "hits") == (2, 0, 4, 0)
    # Where rows are already left out, there is no right answer to give.
    with pytest.raises(Exception, match=f'region "{region.id}": live-out "y_m"'):
        model.run(None, {"x": batch(1, 1, 2)})


# -- Whole tensors ----------------------------------------------------------------------------------------------------


def test_tensor_granularity(control: Control) -> None:
    region = Region(
        [Tensor("x"), Tensor("s", "string", "[K]"), Tensor("c", shape="")],
        [Tensor("y"), Tensor("total", shape=""), Tensor("w", "bool", "[K]")],
        """y_m = Mul(x, c) total_m = ReduceSum <keepdims: int = 0> (x)
           a = Constant <value_strings: strings = ["a"]> () w_m = Equal(s, a)""",
        granularity="tensor",
        opset=19,
    )
    model = region.session()
    s = np.array(["a", "b"], dtype=object)
    feeds = [{"x": batch(1, 2), "s": s, "c": np.array(2, np.float32)}]
    feeds.append(feeds[0] | {"c": np.array(3, np.float32)})
    feeds.append(feeds[0] | {"s": s[::-1]})
    feeds.append(feeds[0] | {"x": batch(2, 1)})
    feeds.append(feeds[0] | {"x": batch()})
    for feed in feeds + feeds[::-1]:
        y, total, w = model.run(None, feed)
        assert np.array_equal(y, feed["x"] * feed["c"]) and np.array_equal(w, feed["s"] == "a")
        assert total.shape == () and total == feed["x"].sum()
    assert control.counts(region, "misses", "hits") == (5, 5)


def test_shapes_with_equal_bytes_are_different(control: Control) -> None:
    region = Region([Tensor("x", shape="[A, B]")], [Tensor("y", shape="[B, A]")], "y_m = Transpose(x)", "tensor")
    model = region.session()
    for shape in [(2, 3), (3, 2), (6, 1), (2, 3)]:
        x = np.arange(6, dtype=np.float32).reshape(shape)
        assert np.array_equal(model.run(None, {"x": x})[0], x.T)
    assert control.counts(region, "misses", "hits") == (3, 1)
