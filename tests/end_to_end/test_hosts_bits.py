"""Values that compare equal and are not the same, and types that numpy does not know: kept bit for bit."""

# mypy: disable-error-code="misc"
from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hosts import Array, Counts, Feed, Hosted, Run, host, options, same

import actcache

ROWS = 9
#: Types whose tensors numpy carries into onnxruntime, and the bits of which every row has others.
FLOATS = {"float": np.float32, "double": np.float64, "float16": np.float16}
OTHERS = {
    "bfloat16": ml_dtypes.bfloat16,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8e5m2": ml_dtypes.float8_e5m2,
    "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
}


#: What numpy carries into onnxruntime, and moved by Transpose; what only OrtValues carry has Identity.
KNOWN = [*FLOATS, "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
GRANULARITIES = ["row", "tensor"]


@cache
def _moved(granularity: str) -> Hosted:
    """``x_TYPE`` to ``y_TYPE`` for every type, each in a region of its own; bits stay as they are."""
    bodies = {kind: f"y_{kind} = Transpose<perm = [0, 2, 1]>(x_{kind})" for kind in KNOWN}
    bodies |= {kind: f"y_{kind} = Identity(x_{kind})" for kind in OTHERS}
    inputs = ", ".join(f"{kind}[N, 2, 3] x_{kind}" for kind in bodies)
    outputs = ", ".join(f"{kind}{'[N, 3, 2]' if kind in KNOWN else '[N, 2, 3]'} y_{kind}" for kind in bodies)
    body = " ".join(bodies.values())
    return host(
        f"""<ir_version: 9, opset_import: ["": 19]> moved ({inputs}) => ({outputs}) {{ {body} }}""",
        regions=[actcache.RegionSpec(kind, (f"x_{kind}",), (f"y_{kind}",)) for kind in bodies],
        granularity=granularity,
    )


@cache
def _reciprocals(granularity: str) -> Hosted:
    """Tells 0 from -0 and denormals from 0, in each type of `FLOATS`."""
    inputs, outputs = (
        ", ".join(f"{kind}[N, {n}] {name}_{kind}" for kind in FLOATS) for name, n in (("x", 4), ("y", 8))
    )
    body = " ".join(
        f"r_{kind} = Reciprocal(x_{kind})  s_{kind} = Add(x_{kind}, x_{kind})"
        f"  y_{kind} = Concat<axis = 1>(r_{kind}, s_{kind})"
        for kind in FLOATS
    )
    return host(
        f"""<ir_version: 8, opset_import: ["": 17]> reciprocal ({inputs}) => ({outputs}) {{ {body} }}""",
        regions=[actcache.RegionSpec(kind, (f"x_{kind}",), (f"y_{kind}",)) for kind in FLOATS],
        granularity=granularity,
    )


def special(kind: Any) -> Array:
    """Rows of four numbers, some of which compare equal and none of which have the same bits."""
    bits = np.dtype(f"u{np.dtype(kind).itemsize}")
    information: Any = np.finfo(kind)
    quiet = np.array([np.nan], kind).view(bits)[0]
    nans = np.array([quiet, quiet + 1, quiet + 7, quiet | (bits.type(1) << (8 * bits.itemsize - 1))], bits).view(kind)
    small = information.smallest_subnormal
    return np.stack(
        [
            np.array([0.0, -0.0, 0.0, 0.0], kind),
            np.array([0.0, 0.0, 0.0, 0.0], kind),
            np.array([-0.0, -0.0, -0.0, -0.0], kind),
            np.array([small, -small, small * 3, information.tiny], kind),
            np.array([np.inf, -np.inf, information.max, information.min], kind),
            nans,
            nans[::-1],
            np.array([nans[0]] * 4, kind),
            np.array([nans[1]] * 4, kind),
        ]
    )


def reciprocals_of() -> dict[str, Array]:
    """Rows of every type. onnxruntime's float16 kernels quieten NaNs or not as the batch has it, so there are none."""
    feed = {f"x_{kind}": special(dtype) for kind, dtype in FLOATS.items()}
    half = feed["x_float16"]
    half[np.isnan(half).any(axis=1)] = np.arange(4 * 4, dtype=np.float16).reshape(4, 4) + 1
    for x in feed.values():
        assert len(x) == ROWS == len({row.tobytes() for row in x})
    return feed


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_numbers_that_compare_equal_and_are_not(granularity: str) -> None:
    one = _reciprocals(granularity).again()
    one.check(one.plain(), one.session(), reciprocals_of())


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_denormals_taken_as_zero(granularity: str) -> None:
    """What the first session of a process says about them counts for its threads; here others came before."""
    one = _reciprocals(granularity).again()
    feed = reciprocals_of()
    for zero in "10":
        original = one.plain(options(session__set_denormal_as_zero=zero))
        compiled = one.session(options(session__set_denormal_as_zero=zero))
        for _ in range(2):
            same(compiled.run(None, feed), original.run(None, feed))


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_every_bit_of_every_type_goes_through(granularity: str) -> None:
    one = _moved(granularity).again()
    generator = np.random.default_rng(0)
    feed = {}
    for kind in (*KNOWN, *OTHERS):
        dtype = np.dtype({**FLOATS, **OTHERS}.get(kind, kind))
        feed[f"x_{kind}"] = generator.integers(0, 256, (ROWS, 2, 3 * dtype.itemsize), np.uint8).view(dtype)

    def through(session: ort.InferenceSession) -> Run:
        def run(feed: Feed) -> list[Array]:
            values = {name: _value(name, x) for name, x in feed.items()}
            return [_array(made) for made in session.run_with_ort_values(None, values)]

        return run

    one.check(through(one.plain()), through(one.session()), feed)


def _value(name: str, x: Array) -> ort.OrtValue:
    kind = name.removeprefix("x_")
    if kind in KNOWN:
        return ort.OrtValue.ortvalue_from_numpy(x)
    number = onnx.TensorProto.DataType.Value(kind.upper())
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(x), number)


def _array(value: ort.OrtValue) -> Array:
    """The bytes of a value, as an array of its shape."""
    shape = value.shape()
    size = value.tensor_size_in_bytes()
    return np.frombuffer(ctypes.string_at(value.data_ptr(), size), np.uint8).reshape(*shape, -1)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_booleans_that_are_neither(granularity: str) -> None:
    """What onnxruntime makes of such a byte is its own matter (Not gives 3 of 2, or 0, as the batch has it)."""
    one = host(
        """<ir_version: 8, opset_import: ["": 17]>
        decide (bool[N, 4] b, float[N, 4] x) => (float[N, 4] y, bool[N, 8] kept, float[N, 4] number) {
            minus = Neg(x)  y = Where(b, x, minus)  kept = Concat<axis = 1>(b, b)  number = Cast<to = 1>(b)
        }""",
        regions=[actcache.RegionSpec("decide", ("b", "x"), ("y", "kept", "number"))],
        granularity=granularity,
    )
    original, compiled = one.plain(), one.session()
    bytes_ = np.array([[0, 1, 2, 255], [0, 1, 1, 1], [255] * 4, [2] * 4, [1] * 4, [128, 64, 2, 1]], np.uint8)
    feed = {"b": bytes_.view(bool), "x": np.arange(24, dtype=np.float32).reshape(6, 4) + 1}
    one.check(original, compiled, feed)


@pytest.mark.parametrize("kind", ["int4", "uint4"])
def test_types_of_half_a_byte(kind: str) -> None:
    """Between regions or as inputs of one: looked up whole."""
    number = onnx.TensorProto.DataType.Value(kind.upper())
    one = host(
        f"""<ir_version: 10, opset_import: ["": 21]> halves (float[N, 3] x) => (float[N, 3] y) {{
            packed = QuantizeLinear<output_dtype = {number}>(x, scale)
            y = DequantizeLinear(packed, scale)
        }}""",
        {"scale": np.array(0.5, np.float32)},
    )
    original, compiled = one.plain(), one.session()
    x = np.random.default_rng(0).integers(0, 8, (ROWS, 3)).astype(np.float32) / 2
    x[0], x[1] = 0, 1
    x[:, 0] = np.arange(ROWS)
    one.check(original, compiled, {"x": x})


def test_a_region_that_begins_within_half_bytes() -> None:
    one = host(
        """<ir_version: 10, opset_import: ["": 21]> halves (float[N, 3] x) => (float[N, 3] y) {
            packed = QuantizeLinear<output_dtype = 22>(x, scale)
            y = DequantizeLinear(packed, scale)
        }""",
        {"scale": np.array(0.5, np.float32)},
        [actcache.RegionSpec("half", ("packed",), ("y",))],
        "tensor",
    )
    original, compiled = one.plain(), one.session()
    x = np.arange(15, dtype=np.float32).reshape(5, 3) / 4
    for rows, counts in [(5, Counts(0, 1)), (5, Counts(1, 0)), (4, Counts(0, 1)), (3, Counts(0, 1))]:
        got, found = one.counted(lambda rows=rows: compiled.run(None, {"x": x[:rows]}))
        assert found == counts
        same(got, original.run(None, {"x": x[:rows]}))
