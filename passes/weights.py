"""Large weights: kept in one file beside the model instead of inside it.

A weight inside the branch of an ``If`` is held twice by onnxruntime when it is stored in the model file (the
node keeps its protobuf); as external data it is mapped once. Moving weights out first also keeps the compiler's
own memory small: every later step handles a model of a few hundred kilobytes.
"""

from __future__ import annotations

import errno
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import onnx

from actcache.errors import InvalidModel
from actcache.passes.graph import INLINE_BYTES, tensor_bytes

#: Weights begin on a page, so that onnxruntime can map them.
ALIGNMENT = 4096
_CHUNK = 1 << 22


@dataclass
class WeightFile:
    """Where the large weights of a model are, and what they hold.

    Attributes:
        path: The file; weights stand in it at offsets recorded in the model.
        digest: SHA-256 of the whole file, in hex.
        tensors: Offset in the file to the SHA-256 of the tensor there: element type, dims and bytes, in hex.
        size: Bytes in the file; 0 when nothing was large enough to be moved.
    """

    path: Path
    digest: str = ""
    tensors: dict[int, str] = field(default_factory=dict)
    size: int = 0


def move_weights(model: onnx.ModelProto, source: Path, path: Path) -> WeightFile:
    """Write the large weights of `model` to `path` and make the model refer to them there.

    Args:
        model: Edited in place: tensors above :data:`~actcache.passes.graph.INLINE_BYTES`, and whatever was stored
            outside the model before, become external data at ``path.name``.
        source: The model's own file; its external data is looked up beside it.
        path: The file to write.

    Raises:
        InvalidModel: External data of the model is missing or shorter than the model says.
    """
    result = WeightFile(path)
    total = hashlib.sha256()
    with path.open("wb") as file:
        for tensor, top_level in all_tensors(model):
            if not _is_large(tensor, top_level):
                continue
            start = -(-file.tell() // ALIGNMENT) * ALIGNMENT
            total.update(bytes(start - file.tell()))
            file.write(bytes(start - file.tell()))
            own = tensor_hash(tensor)
            length = 0
            for chunk in _content(tensor, source):
                file.write(chunk)
                own.update(chunk)
                total.update(chunk)
                length += len(chunk)
            _refer(tensor, path.name, start, length)
            result.tensors[start] = own.hexdigest()
        result.size = file.tell()
    result.digest = total.hexdigest()
    return result


def inline_weights(model: onnx.ModelProto, directory: Path) -> None:
    """Put external data found in `directory` back into the model (for ``--single-file``)."""
    for tensor, _ in all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            data = b"".join(_external_chunks(tensor, directory))
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = data


def rename_weight_file(model: onnx.ModelProto, name: str) -> None:
    """Make every external tensor of the model refer to the file called `name`."""
    for tensor, _ in all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = name


def all_tensors(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, bool]]:
    """Yield every tensor that holds data, and whether it is an initializer of the main graph."""
    for tensor in model.graph.initializer:
        yield tensor, True
    for node in model.graph.node:
        for tensor in _node_tensors(node):
            yield tensor, False
    for function in model.functions:
        for node in function.node:
            for tensor in _node_tensors(node):
                yield tensor, False


def external_offset(tensor: onnx.TensorProto) -> int:
    """Return where the data of an external tensor begins in its file."""
    return int(next((e.value for e in tensor.external_data if e.key == "offset"), "0"))


def tensor_hash(tensor: onnx.TensorProto) -> hashlib._Hash:
    """Start the hash of a tensor: its type and dims; the caller adds the bytes."""
    head = f"{tensor.data_type}:{','.join(map(str, tensor.dims))};"
    return hashlib.sha256(head.encode())


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield attribute.t
        yield from attribute.tensors
        bodies = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
        for body in bodies:
            yield from body.initializer
            for inner in body.node:
                yield from _node_tensors(inner)


def _is_large(tensor: onnx.TensorProto, top_level: bool) -> bool:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return True
    return top_level and tensor.data_type != onnx.TensorProto.STRING and tensor_bytes(tensor) > INLINE_BYTES


def _content(tensor: onnx.TensorProto, source: Path) -> Iterator[bytes]:
    """Yield the little-endian bytes of a tensor, however it is stored."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        yield from _external_chunks(tensor, source.parent)
        return
    if tensor.HasField("raw_data"):
        data = tensor.raw_data
        if len(data) != tensor_bytes(tensor):
            problem = f"holds {len(data)} bytes where its shape needs {tensor_bytes(tensor)}"
            raise InvalidModel(problem, file=source, node=f"initializer '{tensor.name}'", hint="export the model again")
    else:
        try:
            data = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)).raw_data
        except Exception as error:
            where = f"initializer '{tensor.name}'"
            raise InvalidModel(f"cannot be read ({error})", file=source, node=where) from error
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


def _external_chunks(tensor: onnx.TensorProto, directory: Path) -> Iterator[bytes]:
    where = {entry.key: entry.value for entry in tensor.external_data}
    path = directory / where.get("location", "")
    needed = int(where["length"]) if "length" in where else math.ceil(tensor_bytes(tensor))
    try:
        file = _open_inside(path, directory)
    except OSError as error:
        problem = f"external data of initializer '{tensor.name}' cannot be read ({error.strerror or error})"
        raise InvalidModel(problem, file=path, hint="put the file beside the model") from error
    with file:
        file.seek(external_offset(tensor))
        while needed > 0:
            chunk = file.read(min(needed, _CHUNK))
            if not chunk:
                problem = f"the file ends before the data of initializer '{tensor.name}'"
                raise InvalidModel(problem, file=path, hint="copy it again")
            needed -= len(chunk)
            yield chunk


def _open_inside(path: Path, directory: Path) -> BinaryIO:
    """Open external data, refusing a location that leads out of the model's folder (as the ONNX checker does)."""
    if not path.resolve().is_relative_to(directory.resolve()):
        raise PermissionError(errno.EACCES, "it lies outside the model's folder")
    return path.open("rb")


def _refer(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(name)
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
