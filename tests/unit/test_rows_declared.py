"""What a row proof believes of declarations that onnxruntime does not check, and which calls it then is about."""

from __future__ import annotations

import onnx
import pytest
from graphs import model, view

from actcache.passes.cuts import WholeCut
from actcache.passes.graph.view import GraphView
from actcache.passes.region import Region
from actcache.passes.rewrite.certain_shapes import certain_shapes
from actcache.passes.rows import prove_rows

SCALED = """g (float[N, 3] x, float s) => (float[N, 3] y) {
    t = Mul(x, s)
    y = Softmax<axis = -1>(t)
}"""


def test_a_scalar_is_believed_where_the_region_reads_it() -> None:
    proof = prove_rows(view(SCALED), {"x": 0})
    assert proof.row_axis("y") == 0
    assert proof.ranks(("x", "s")) == {"x": 2, "s": 0}
    assert proof.is_told_by(("x", "s"))


def test_what_a_scalar_outside_the_region_led_to_is_not_believed() -> None:
    proof = prove_rows(view(SCALED), {"x": 0}, unread=["s"])
    assert proof.refusal("t") is not None and proof.refusal("y") is not None
    believed = prove_rows(view(SCALED), {"x": 0})
    assert not believed.is_told_by(("t",))  # the rank of s is in no call of a region that reads t alone


def test_a_tensor_behind_a_scalar_can_hold_rows_of_its_own() -> None:
    proof = prove_rows(view(SCALED), {}, row_tensors={"t": 0}, unread=["x", "s"])
    assert proof.row_axis("y") == 0
    assert proof.ranks(("t",)) == {"t": 2}
    assert proof.is_told_by(("t",))


def test_sizes_behind_a_scalar_are_not_taken_for_those_before_it() -> None:
    text = """g (float[N, 1] x, float s) => (float[N, M] y) <int64[1] one = {-1}, int64[2] flat = {-1, 1}> {
        t = Mul(x, s)
        y = Reshape(t, flat)
    }"""
    assert prove_rows(view(text), {}, row_tensors={"t": 0}, unread=[]).row_axis("y") == 0
    # s may be [3], and t then [N, 3]: its N * 3 elements are no rows
    assert prove_rows(view(text), {}, row_tensors={"t": 0}, unread=["x", "s"]).row_axis("y") is None


def test_a_tensor_without_a_shape_has_any_rank() -> None:
    proto = model(SCALED)
    proto.graph.input[1].type.tensor_type.ClearField("shape")
    proof = prove_rows(GraphView(proto), {"x": 0})
    assert proof.refusal("t") is not None
    assert proof.ranks(("x", "s")) == {"x": 2}
    assert proof.is_told_by(("x", "s"))


@pytest.mark.parametrize(("declared", "certain"), [("float s", False), ("float[1] s", True), ("float[3] s", True)])
def test_a_shape_is_not_certain_behind_a_scalar(declared: str, certain: bool) -> None:
    text = f"g (float[4, 3] x, {declared}) => (float[4, 3] y) {{ y = Mul(x, s) }}"
    proto = onnx.shape_inference.infer_shapes(model(text))
    region = Region("r", frozenset({0}), ("x", "s"), ("y",), WholeCut.of(2, 1))
    assert (certain_shapes(GraphView(proto), region) == {"y"}) is certain
