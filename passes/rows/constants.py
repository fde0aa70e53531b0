"""What is known of constants: their sizes, their elements where these may be sizes, their values where a rule asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.passes.graph.nodes import INLINE_BYTES, tensor_bytes
from actcache.passes.rows.registry import MAX_CONTENT, objects
from actcache.passes.rows.sizes import const
from actcache.passes.rows.state import ROW_FREE, Value
from actcache.passes.rows.wrapping import is_narrow


def constant(tensor: onnx.TensorProto) -> Value:
    """What is known of an initializer, or of a tensor that a node holds."""
    sizes = tuple(const(n) for n in tensor.dims)
    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    if external or tensor_bytes(tensor) > INLINE_BYTES or tensor.data_type == onnx.TensorProto.STRING:
        return Value(ROW_FREE, sizes)
    return _known(onnx.numpy_helper.to_array(tensor))


def constant_node(node: onnx.NodeProto) -> Value:
    """What is known of what a ``Constant`` gives."""
    values: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if "value" in values:
        return constant(values["value"])
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64), ("value_float", np.float32)):
        if name in values:
            return _known(np.asarray(values[name], dtype))
    if "value_floats" in values:
        return _known(np.asarray(values["value_floats"], np.float32))
    return Value(ROW_FREE)


def _known(array: npt.NDArray[np.generic]) -> Value:
    sizes = tuple(const(n) for n in array.shape)
    if array.dtype.kind not in "iub" or is_narrow(array.dtype) or array.size > MAX_CONTENT:
        return Value(ROW_FREE, sizes, constant=array)
    content = objects([const(int(n)) for n in array.reshape(-1)], array.shape)
    return Value(ROW_FREE, sizes, content, array)
