"""Samples of weights: the elements that onnxruntime takes are those whose digest the compiled model has."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime as ort
import pytest

from actcache.passes.rewrite.weight_samples import Sample, can_be_sampled, sample_node, sample_numbers

SHAPES = [(1,), (5,), (3000,), (7, 4), (2000, 3), (64, 8, 3, 3), (2, 1, 5), (1, 9, 1, 1)]


def _weight(shape: tuple[int, ...], dtype: type = np.float32) -> onnx.TensorProto:
    values: np.ndarray = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    return onnx.numpy_helper.from_array(values, "w")


@pytest.mark.parametrize("opset", [5, 9, 10, 13, 17])
@pytest.mark.parametrize("shape", SHAPES)
def test_onnxruntime_takes_the_elements_that_are_stated(shape: tuple[int, ...], opset: int) -> None:
    tensor = _weight(shape)
    node, constants = sample_node(tensor, "@r", opset)
    tensor.name = "w@r"
    out = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "g", [], [out], [tensor, *constants])
    proto = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", opset)])
    (taken,) = ort.InferenceSession(proto.SerializeToString()).run(None, {})
    stated = onnx.numpy_helper.to_array(tensor).reshape(-1)[Sample.of(shape).elements(shape)]
    assert 1 <= stated.size <= 1024
    np.testing.assert_array_equal(taken.reshape(-1), stated)


def test_numbers_tell_the_weight_and_its_sample_apart() -> None:
    shape = (6, 4, 3)
    place = Sample.of(shape).elements(shape)
    first = sample_numbers(_weight(shape), None)
    assert len(first) == 10
    assert first[:2] == [place.start, place.step]
    values = onnx.numpy_helper.to_array(_weight(shape)).copy()
    values.reshape(-1)[0] += 1
    unsampled = sample_numbers(onnx.numpy_helper.from_array(values, "w"), None)
    assert unsampled[2:6] != first[2:6] and unsampled[6:] == first[6:]
    values.reshape(-1)[place.start] += 1
    sampled = sample_numbers(onnx.numpy_helper.from_array(values, "w"), None)
    assert sampled[6:] != first[6:]
    other_type = sample_numbers(_weight(shape, np.int32), None)
    assert other_type[2:6] != first[2:6] and other_type[6:] != first[6:]


def test_a_weight_that_no_sample_can_be_taken_of() -> None:
    assert can_be_sampled(_weight((4, 4)), 13)
    assert not can_be_sampled(_weight((4, 4)), 4)
    assert not can_be_sampled(_weight((0, 4)), 13)
    assert not can_be_sampled(_weight(()), 13)
    assert not can_be_sampled(_weight((4, 4), np.complex64), 13)
