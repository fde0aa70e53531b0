"""What is known of constants, and of the sizes of inputs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import model, view

from actcache.passes.graph.nodes import INLINE_BYTES
from actcache.passes.graph.view import GraphView
from actcache.passes.rows import RowFree, prove_rows
from actcache.passes.rows.analysis import Interpreter


def test_weights_in_other_files_are_known_by_their_sizes() -> None:
    made = model("g (float[N, 2] x) => (float[N, 2] y) <int64[2] w = {1, 2}> { y = Expand(x, w) z = Identity(w) }")
    (weight,) = made.graph.initializer
    weight.ClearField("int64_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="not written yet.bin")
    proof = prove_rows(GraphView(made), {"x": 0})
    assert proof.state("z") == RowFree() and [size.value for size in proof.shape("z") or ()] == [2]
    assert proof.row_axis("y") is None  # the elements are not known


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("value_int = 2", ()),
        ("value_ints = [1, 2]", (2,)),
        ("value_float = 1.5", ()),
        ("value_floats = [1.5, 2.5]", (2,)),
        ('value_string = "a"', None),
        ("value = float[2, 1] {1, 2}", (2, 1)),
    ],
)
def test_constants_are_the_same_for_all_rows(value: str, shape: tuple[int, ...] | None) -> None:
    proof = prove_rows(
        view(f"g (float[N, 3] x) => (float[N, 3] y) {{ k = Constant<{value}>() y = Relu(x) }}"), {"x": 0}
    )
    sizes = proof.shape("k")
    assert proof.state("k") == RowFree()
    assert (None if sizes is None else tuple(size.value for size in sizes)) == shape


@pytest.mark.parametrize(("elements", "followed"), [(64, True), (65, False)])
def test_elements_are_followed_of_at_most_64(elements: int, followed: bool) -> None:
    numbers = ", ".join([*"1" * (elements - 2), "-1", "4"])
    made = view(f"""g (float[N, 2, 2] x) => (float[N, 4] y)
        <int64[{elements}] w = {{{numbers}}}, int64[1] from = {{-2}}, int64[1] to = {{{elements}}}> {{
            t = Slice(w, from, to) y = Reshape(x, t) }}""")
    assert prove_rows(made, {"x": 0}).row_axis("y") == (0 if followed else None)


@pytest.mark.parametrize(("over", "known"), [(0, True), (1, False)])
def test_values_are_kept_of_small_constants(over: int, known: bool) -> None:
    made = model("g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }")
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(INLINE_BYTES + over, np.int8), "w"))
    view_of_it = GraphView(made)
    interpreter = Interpreter(view_of_it, {})
    interpreter.inputs({"x": 0})
    interpreter.run(made.graph, interpreter.values, main=True)
    assert (interpreter.values["w"].constant is not None) is known
    assert interpreter.values["w"].known_shape == (INLINE_BYTES + over,)


@pytest.mark.parametrize("overridable", [False, True])
def test_a_constant_that_a_host_may_override_is_not_known(overridable: bool) -> None:
    made = model("g (float[N, 2, 2] x, int64[2] t) => (float[N, 4] y) { y = Reshape(x, t) }")
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 4]), "t"))
    if not overridable:
        del made.graph.input[1]
    assert prove_rows(GraphView(made), {"x": 0}).row_axis("y") == (None if overridable else 0)


def test_sizes_of_inputs_are_known_from_1_on() -> None:
    made = model("g (float[A, B, C, D, E] x) => (float[] y) { y = Relu(x) z = Relu(y) }")
    for dim, size in zip(made.graph.input[0].type.tensor_type.shape.dim, (7, -1, 0, 1, 2), strict=True):
        dim.dim_value = size
    for rows in ({}, {"x": 0}):
        sizes = prove_rows(GraphView(made), rows).shape("y") or ()
        assert [size.value for size in sizes] == [None if rows else 7, None, None, 1, 2]
