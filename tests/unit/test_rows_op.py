"""What a row rule sees of its node: inputs, elements, axes, attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from actcache.passes.rows.registry import Op, bound, known, numbers, objects, row_of
from actcache.passes.rows.sizes import ONE, N, Size, Symbols, const
from actcache.passes.rows.state import BATCH_SIZE, ROW_FREE, Mixes, Row, RowIndex, Value

ROWS = Value(Row(0), (N, const(4)))


def op(*inputs: Value | None, **attributes: Any) -> Op:
    """A node of opset 18 with these inputs."""
    node = onnx.helper.make_node("Tried", ["given"] * len(inputs), ["y"], **attributes)
    return Op(node, 18, inputs, Symbols())


def elements(*values: int) -> Value:
    """A constant vector."""
    return numbers(objects([const(value) for value in values], (len(values),)))


def free(*sizes: int) -> Value:
    """A tensor of unknown elements that is the same for all rows."""
    return Value(ROW_FREE, tuple(const(size) for size in sizes))


def test_inputs_are_those_that_are_there_and_count_as_seen() -> None:
    tried = op(ROWS, None, free(2))
    assert tried.get(0) is ROWS and tried.get(1) is None and tried.get(3) is None
    assert tried.seen == {0, 1, 3}
    for missing in (1, 3):
        with pytest.raises(Mixes, match=f"no input {missing}"):
            tried.need(missing)
    assert tried.present == [ROWS, tried.need(2)] and tried.seen >= {0, 1, 2}


def test_attributes_are_decoded() -> None:
    tried = op(ROWS, mode="linear", axis=1, scales=[1.0, 2.0])
    assert tried.attributes == {"mode": "linear", "axis": 1, "scales": [1.0, 2.0]}
    assert tried.attribute("mode") == "linear" and tried.attribute("none", 3) == 3


@pytest.mark.parametrize("shape", [(), (1,), (3,), (16,)])
def test_each_unknown_element_of_a_small_vector_is_a_number_of_its_own(shape: tuple[int, ...]) -> None:
    for state in (ROW_FREE, BATCH_SIZE):
        value = Value(state, tuple(const(size) for size in shape))
        tried = op(value)
        content = tried.content(0)
        assert content is not None and content.shape == shape
        found: list[Size] = list(content.reshape(-1))
        assert len(set(found)) == len(found) == int(np.prod(shape))
        for element in found:
            assert element.value is None and not element.dimension and not element.integer
            assert element.batch == (state == BATCH_SIZE)
        again = tried.content(0)
        assert again is not None and list(again.reshape(-1)) == found


@pytest.mark.parametrize(
    "value", [None, free(17), free(2, 2), Value(ROW_FREE), Value(ROW_FREE, (Symbols().fresh("S"),))]
)
def test_elements_of_other_tensors_are_not_followed(value: Value | None) -> None:
    assert op(value).content(0) is None and op(value).integers(0) is None


def test_known_elements_are_those_that_are_known() -> None:
    assert op(elements(3, -1)).integers(0) == [3, -1]
    assert op(numbers(objects([N, ONE], (2,)))).integers(0) is None
    assert op(free(2)).integers(0) is None
    floats = Value(ROW_FREE, (const(1),), constant=np.array([1.5]))
    assert op(floats).content(0) is None and op(floats).integers(0) is None


def test_elements_of_rows_are_a_parameter_that_differs_between_rows() -> None:
    for ask in (Op.content, Op.integers, Op.row_free):
        with pytest.raises(Mixes) as caught:
            ask(op(ROWS), 0)
        assert caught.value.rule == "row-dependent-parameter"
    op(free(2), None, Value(BATCH_SIZE)).row_free(0, 1, 2, 3)


def test_axes_are_given_by_an_attribute_or_an_input() -> None:
    assert op(ROWS, axes=[-1, 0]).axes(3) == [2, 0]
    assert op(ROWS, elements(-1, 1)).axes(3) == [2, 1]
    assert op(elements(-2), ROWS).axes(3, 0) == [1]
    assert op(ROWS, elements(0), dims=[2]).axes(3, name="dims") == [2]
    assert op(ROWS).axes(3) is None and op(ROWS, None).axes(3) is None
    with pytest.raises(Mixes, match="not constants"):
        op(ROWS, free(1)).axes(3)
    with pytest.raises(Mixes, match="axis 3 of a tensor of rank 3"):
        op(ROWS, elements(3)).axes(3)


def test_axis_has_a_default() -> None:
    assert op(ROWS).axis(-1, 3) == 2 and op(ROWS, axis=0).axis(-1, 3) == 0 and op(ROWS, dim=-3).axis(1, 3, "dim") == 0


def test_shapes_have_a_known_rank() -> None:
    assert known(ROWS) == (N, const(4)) == op(ROWS).shape(0)
    with pytest.raises(Mixes, match="rank"):
        known(Value(ROW_FREE))


@pytest.mark.parametrize(
    ("array", "below"),
    [
        (np.array([0, 3, 2]), 4),
        (np.array([[0]]), 1),
        (np.array([5], np.uint8), 6),
        (np.array([-1, 3]), None),
        (np.array([], np.int64), None),
        (np.array([1.0]), None),
        (np.array([True]), None),
        (None, None),
    ],
)
def test_bounds_of_constants(array: np.ndarray | None, below: int | None) -> None:
    assert bound(Value(ROW_FREE, constant=array)) == (None if below is None else const(below))
    assert bound(Value(ROW_FREE, constant=array, below=const(9))) == const(9)


def test_data_are_rows_or_the_same_for_all() -> None:
    assert row_of(ROWS) == Row(0) and row_of(free(2)) is None
    for other in (Value(BATCH_SIZE), Value(RowIndex(0), (N,))):
        with pytest.raises(Mixes, match="number or position"):
            row_of(other)


def test_elements_with_the_number_of_rows_in_them_are_a_size_of_the_batch() -> None:
    assert elements(1, 2).state == ROW_FREE and elements(1, 2).shape == (const(2),)
    square = numbers(objects([ONE, N, ONE, ONE], (2, 2)))
    assert square.state == BATCH_SIZE and square.shape == (const(2), const(2))
    assert square.content is not None and square.content[0, 1] == N
