"""The bytes of a tensor, however it is stored: raw, in typed fields, or in a file beside the model."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from actcache.errors import InvalidModel
from actcache.passes.graph.nodes import element_bits, tensor_bytes

_CHUNK = 1 << 22

#: The typed field of each element type; all other types use int32_data, one entry per element (or pair of 4-bit ones).
_FIELDS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float_data",
    onnx.TensorProto.COMPLEX64: "float_data",
    onnx.TensorProto.DOUBLE: "double_data",
    onnx.TensorProto.COMPLEX128: "double_data",
    onnx.TensorProto.INT64: "int64_data",
    onnx.TensorProto.UINT32: "uint64_data",
    onnx.TensorProto.UINT64: "uint64_data",
}
_WIDTHS = {"float_data": "<f4", "double_data": "<f8", "int64_data": "<i8"}


@dataclass(frozen=True)
class ExternalData:
    """Where a tensor lies outside the model.

    Attributes:
        location: The file, relative to the model's folder.
        offset: Where the data begins in it.
        length: Its bytes, if the model says; otherwise what type and shape need.
    """

    location: str
    offset: int = 0
    length: int | None = None


def is_external(tensor: onnx.TensorProto) -> bool:
    """Return whether the data of a tensor lies outside the model."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def external_data(tensor: onnx.TensorProto) -> ExternalData:
    """Return where the data of an external tensor lies.

    Raises:
        InvalidModel: What the model says about it means nothing.
    """
    where = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(where.get("offset") or 0)
        length = int(where["length"]) if where.get("length") else None
    except ValueError as error:
        raise InvalidModel(
            f"offset or length of its external data is not a number ({error})", node=_label(tensor)
        ) from None
    needed = tensor_bytes(tensor)
    if not element_bits(tensor.data_type) or not where.get("location") or offset < 0:
        raise InvalidModel(
            "the model describes its external data wrongly (type, location or offset)", node=_label(tensor)
        )
    if length is not None and length != needed:
        raise InvalidModel(f"its external data has {length} bytes where its shape needs {needed}", node=_label(tensor))
    return ExternalData(where["location"], offset, length)


def stored_bytes(tensor: onnx.TensorProto) -> bytes:
    """Return the little-endian bytes of a tensor that is stored in the model and does not hold strings.

    Raises:
        InvalidModel: It holds more or less than its shape needs.
    """
    data = tensor.raw_data if tensor.HasField("raw_data") else _typed_bytes(tensor)
    if len(data) != tensor_bytes(tensor):
        problem = f"holds {len(data)} bytes where its shape needs {tensor_bytes(tensor)}"
        raise InvalidModel(problem, node=_label(tensor), hint="export the model again")
    return bytes(data)


def chunks(tensor: onnx.TensorProto, model: Path) -> Iterator[bytes]:
    """Yield the little-endian bytes of a tensor of the model in the file `model`.

    Raises:
        InvalidModel: They are missing, cannot be read, or are more or less than its shape needs.
    """
    if is_external(tensor):
        yield from _external_chunks(tensor, model)
        return
    data = stored_bytes(tensor)
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


def _typed_bytes(tensor: onnx.TensorProto) -> bytes:
    if element_bits(tensor.data_type) == 6:  # one entry per element, four elements to three bytes
        return bytes(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)).raw_data)
    field = _FIELDS.get(tensor.data_type, "int32_data")
    width = _WIDTHS.get(field) or f"<u{max(element_bits(tensor.data_type), 8) // 8}"
    values = np.array(getattr(tensor, field), dtype=_field_type(field))
    return values.astype(width).tobytes()


def _field_type(field: str) -> str:
    return {"int32_data": "<i4", "uint64_data": "<u8"}.get(field) or _WIDTHS[field]


def _external_chunks(tensor: onnx.TensorProto, model: Path) -> Iterator[bytes]:
    where = external_data(tensor)
    path, needed = model.parent / where.location, tensor_bytes(tensor)
    try:
        file = _open_inside(path, model)
    except (OSError, ValueError) as error:
        problem = f"external data of {_label(tensor)} cannot be read ({getattr(error, 'strerror', None) or error})"
        raise InvalidModel(problem, file=path, hint="put the file beside the model") from error
    with file:
        file.seek(where.offset)
        while needed > 0:
            chunk = file.read(min(needed, _CHUNK))
            if not chunk:
                problem = f"the file ends before the data of {_label(tensor)}"
                raise InvalidModel(problem, file=path, hint="copy it again")
            needed -= len(chunk)
            yield chunk


def _open_inside(path: Path, model: Path) -> BinaryIO:
    """Open external data, refusing a location that leads out of the model's folder (as the ONNX checker does).

    Model and data may both be links into one other folder, as in the caches of download tools.
    """
    found, homes = path.resolve(), (model.parent.resolve(), model.resolve().parent)
    if not any(found.is_relative_to(home) for home in homes):
        raise PermissionError(errno.EACCES, "it lies outside the model's folder")
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file")
    return path.open("rb")


def _label(tensor: onnx.TensorProto) -> str:
    return f"initializer '{tensor.name}'" if tensor.name else "a constant without a name"


def tensor_hash(tensor: onnx.TensorProto) -> hashlib._Hash:
    """Start the hash of a tensor: its type and dims; the caller adds the bytes."""
    head = f"{tensor.data_type}:{','.join(map(str, tensor.dims))};"
    return hashlib.sha256(head.encode())


def tensor_digest(tensor: onnx.TensorProto, weights: Mapping[int, str]) -> str:
    """Return the digest of a tensor's type, dims and values, wherever they are stored.

    Args:
        tensor: The tensor.
        weights: Digests of those that were moved out of the model (:attr:`WeightFile.tensors`).
    """
    if is_external(tensor):
        return weights[external_data(tensor).offset]
    state = tensor_hash(tensor)
    if tensor.data_type == onnx.TensorProto.STRING:
        for text in tensor.string_data:
            state.update(len(text).to_bytes(8, "little") + text)
    else:
        state.update(stored_bytes(tensor))
    return state.hexdigest()
