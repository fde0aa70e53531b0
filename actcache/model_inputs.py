"""What a model takes: names, element types and shapes of its inputs, as numpy and messages need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

#: Element types that numpy arrays can carry into onnxruntime.
_FEEDABLE = frozenset(
    {
        TensorProto.FLOAT,
        TensorProto.DOUBLE,
        TensorProto.FLOAT16,
        TensorProto.INT8,
        TensorProto.INT16,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.UINT8,
        TensorProto.UINT16,
        TensorProto.UINT32,
        TensorProto.UINT64,
        TensorProto.BOOL,
        TensorProto.STRING,
    }
)

Feed = dict[str, npt.NDArray[np.generic]]
Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: Its name.
        element_type: ``TensorProto.DataType``; 0 for what is not a tensor.
        shape: Sizes, names of sizes, None for an unnamed unknown size; None for an unknown rank.
        optional: It has a default (an initializer of the same name) and may be left out of a feed.
    """

    name: str
    element_type: int
    shape: Shape | None
    optional: bool = False

    @property
    def feedable(self) -> bool:
        """Whether a numpy array can carry it into onnxruntime."""
        return self.element_type in _FEEDABLE

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The numpy type of a feed; strings are ``object``. REQUIRES ``feedable``."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.element_type))

    @property
    def type_name(self) -> str:
        """The element type as messages call it, ``int64`` for instance."""
        return str(TensorProto.DataType.Name(self.element_type)).lower() if self.element_type else "not a tensor"

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.type_name} of any rank"
        return f"{self.type_name}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"


def model_inputs(model: onnx.ModelProto) -> tuple[ModelInput, ...]:
    """Return the inputs of `model` in order, those with defaults included."""
    with_default = {tensor.name for tensor in model.graph.initializer}
    with_default |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    return tuple(_model_input(value, value.name in with_default) for value in model.graph.input)


def _model_input(value: onnx.ValueInfoProto, optional: bool) -> ModelInput:
    if not value.type.HasField("tensor_type"):
        return ModelInput(value.name, 0, None, optional)
    tensor = value.type.tensor_type
    shape = tuple(_size(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    return ModelInput(value.name, tensor.elem_type, shape, optional)


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return dim.dim_param if dim.dim_param not in ("", "?") else None
