"""What a model takes: names, element types and shapes of its inputs, as numpy and messages need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from actcache.passes.graph.nodes import type_name

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

#: Inputs of one call as onnxruntime takes them: arrays; for sequences lists of them, for maps dicts, None for an
#: optional input that is not given.
Feed = dict[str, Any]
Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: Its name.
        element_type: ``TensorProto.DataType`` of it, of the tensors in a sequence, or of the values of a map; 0 for
            anything else.
        shape: Sizes, names of sizes, None for an unnamed unknown size; None for an unknown rank.
        optional: It has a default (an initializer of the same name) and may be left out of a feed.
        kind: ``tensor``, ``sequence`` (of tensors) or ``map`` (from texts or integers to numbers).
        nullable: Of an optional type: None may be fed for it.
        key_type: Of a map, ``TensorProto.DataType`` of its keys.
    """

    name: str
    element_type: int
    shape: Shape | None
    optional: bool = False
    kind: str = "tensor"
    nullable: bool = False
    key_type: int = 0

    @property
    def feedable(self) -> bool:
        """Whether numpy arrays can carry it into onnxruntime."""
        return self.element_type in _FEEDABLE

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The numpy type of a feed; strings are ``object``. REQUIRES ``feedable``."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.element_type))

    @property
    def type_name(self) -> str:
        """The element type as messages call it, ``int64`` for instance."""
        return type_name(self.element_type) or "not a tensor"

    def __str__(self) -> str:
        name = ("optional " if self.nullable else "") + {"sequence": "sequence of ", "map": "map to "}.get(
            self.kind, ""
        )
        if self.shape is None:
            return f"{name}{self.type_name} of any rank"
        return f"{name}{self.type_name}[{', '.join('?' if size is None else str(size) for size in self.shape)}]"


def model_inputs(model: onnx.ModelProto) -> tuple[ModelInput, ...]:
    """Return the inputs of `model` in order, those with defaults included."""
    with_default = {tensor.name for tensor in model.graph.initializer}
    with_default |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    return tuple(_model_input(value, value.name in with_default) for value in model.graph.input)


def _model_input(value: onnx.ValueInfoProto, optional: bool) -> ModelInput:
    kind, inner = value.type, "tensor"
    nullable = kind.HasField("optional_type")
    if nullable:
        kind = kind.optional_type.elem_type
    key_type = 0
    if kind.HasField("sequence_type"):
        inner, kind = "sequence", kind.sequence_type.elem_type
    elif kind.HasField("map_type"):
        inner, key_type, kind = "map", kind.map_type.key_type, kind.map_type.value_type
    if not kind.HasField("tensor_type"):
        return ModelInput(value.name, 0, None, optional, inner, nullable, key_type)
    tensor = kind.tensor_type
    shape = tuple(_size(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    if inner == "map":
        shape = ()
    return ModelInput(value.name, tensor.elem_type, shape, optional, inner, nullable, key_type)


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return dim.dim_param if dim.dim_param not in ("", "?") else None
