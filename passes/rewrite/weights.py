"""Large weights: kept in one file beside the model instead of inside it.

A weight inside the branch of an ``If`` is held twice by onnxruntime when it is stored in the model file (the
node keeps its protobuf); as external data it is mapped once. Moving weights out first also keeps the compiler's
own memory small: every later step handles a model of a few hundred kilobytes. Small tensors go the other way: stored in
the model, their values can be read by every analysis, ours and onnxruntime's.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import onnx

from actcache.errors import InvalidModel
from actcache.passes.graph.nodes import INLINE_BYTES, subgraphs, tensor_bytes
from actcache.passes.graph.tensor_data import chunks, external_data, is_external, tensor_hash

#: Weights begin on a page, so that onnxruntime can map them.
ALIGNMENT = 4096

_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
)


@dataclass
class WeightFile:
    """Where the large weights of a model are, and what they hold.

    Attributes:
        path: The file; weights stand in it at offsets recorded in the model.
        digest: SHA-256 of the whole file, in hex.
        tensors: Offset in the file to the SHA-256 of the tensor there: element type, dims and bytes, in hex.
        size: Bytes in the file; 0 when nothing was large enough to be moved.
        sources: The files beside the model that weights were read from.
    """

    path: Path
    digest: str = ""
    tensors: dict[int, str] = field(default_factory=dict)
    size: int = 0
    sources: set[Path] = field(default_factory=set)


def move_weights(model: onnx.ModelProto, source: Path, path: Path) -> WeightFile:
    """Write the large weights of `model` to `path` and make the model refer to them there.

    Args:
        model: Edited in place: tensors above :data:`~actcache.passes.graph.view.INLINE_BYTES` become external data at
            ``path.name``, smaller ones that were stored outside the model are stored in it.
        source: The model's own file; its external data is looked up beside it.
        path: The file to write.

    Raises:
        InvalidModel: A tensor holds more or less data than its shape needs, or its external data cannot be read.
    """
    result = WeightFile(path)
    total = hashlib.sha256()
    with path.open("wb") as file:
        for tensor, top_level in all_tensors(model):
            try:
                if is_external(tensor):
                    result.sources.add((source.parent / external_data(tensor).location).resolve())
                    if tensor_bytes(tensor) <= INLINE_BYTES:
                        _take_in(tensor, source, file, total, result, top_level)
                if _is_large(tensor, top_level):
                    _move(tensor, source, file, total, result)
            except InvalidModel as error:
                where = error.file or source
                raise InvalidModel(error.message, file=where, node=error.node, hint=error.hint) from error
        result.size = file.tell()
    result.digest = total.hexdigest()
    return result


def _move(tensor: onnx.TensorProto, source: Path, file: BinaryIO, total: hashlib._Hash, result: WeightFile) -> None:
    padding = bytes(-file.tell() % ALIGNMENT)
    file.write(padding)
    total.update(padding)
    start = file.tell()
    own = tensor_hash(tensor)
    for chunk in chunks(tensor, source):
        file.write(chunk)
        own.update(chunk)
        total.update(chunk)
    _refer(tensor, result.path.name, start)
    result.tensors[start] = own.hexdigest()


def _take_in(
    tensor: onnx.TensorProto, source: Path, file: BinaryIO, total: hashlib._Hash, result: WeightFile, top_level: bool
) -> None:
    """Store a small tensor in the model, where its values are seen. Weights keep a place in the file for later."""
    data = b"".join(chunks(tensor, source))
    weight = top_level and tensor.data_type in _FLOATS and math.prod(tensor.dims) > 1
    if weight:
        _move(tensor, source, file, total, result)
    places = [(entry.key, entry.value) for entry in tensor.external_data] if weight else []
    _store(tensor, data)
    for key, value in places:
        tensor.external_data.add(key=key, value=value)


def has_a_place(tensor: onnx.TensorProto) -> bool:
    """Return whether a tensor that is stored in the model was outside of it, and has a place there again."""
    return not is_external(tensor) and len(tensor.external_data) > 0


def put_in_place(model: onnx.ModelProto) -> None:
    """Let tensors of the main graph that have a place outside of the model stand there alone.

    A session can replace them by ``add_external_initializers`` then, as it can in the original.
    """
    for tensor in model.graph.initializer:
        if has_a_place(tensor):
            places = [(entry.key, entry.value) for entry in tensor.external_data]
            _clear(tensor)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in places:
                tensor.external_data.add(key=key, value=value)


def inline_weights(model: onnx.ModelProto, directory: Path) -> None:
    """Put external data found in `directory` back into the model (for ``--single-file``)."""
    for tensor, _ in all_tensors(model):
        if is_external(tensor):
            _store(tensor, b"".join(chunks(tensor, directory / "model")))
        elif has_a_place(tensor):
            del tensor.external_data[:]


def rename_weight_file(model: onnx.ModelProto, name: str) -> None:
    """Make every external tensor of the model refer to the file called `name`."""
    for tensor, _ in all_tensors(model):
        if is_external(tensor):
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = name


def all_tensors(model: onnx.ModelProto) -> Iterator[tuple[onnx.TensorProto, bool]]:
    """Yield every tensor that holds data, and whether it is a dense initializer of the main graph."""
    for tensor in model.graph.initializer:
        yield tensor, True
    for tensor in _other_tensors(model):
        yield tensor, False


def _other_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _sparse_tensors(model.graph.sparse_initializer)
    for node in model.graph.node:
        yield from _node_tensors(node)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)
    for info in model.training_info:
        yield from _graph_tensors(info.initialization)
        yield from _graph_tensors(info.algorithm)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _sparse_tensors(graph.sparse_initializer)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield attribute.t
        elif attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
            yield from _sparse_tensors([attribute.sparse_tensor])
        yield from attribute.tensors
        yield from _sparse_tensors(attribute.sparse_tensors)
    for body in subgraphs(node):
        yield from _graph_tensors(body)


def _sparse_tensors(tensors: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in tensors:
        yield tensor.values
        yield tensor.indices


def _is_large(tensor: onnx.TensorProto, top_level: bool) -> bool:
    if is_external(tensor):
        return True
    return top_level and tensor.data_type != onnx.TensorProto.STRING and tensor_bytes(tensor) > INLINE_BYTES


def _refer(tensor: onnx.TensorProto, location: str, offset: int) -> None:
    _clear(tensor)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(tensor_bytes(tensor)))):
        tensor.external_data.add(key=key, value=value)


def _store(tensor: onnx.TensorProto, data: bytes) -> None:
    _clear(tensor)
    tensor.ClearField("data_location")
    tensor.raw_data = data


def _clear(tensor: onnx.TensorProto) -> None:
    for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(name)
    del tensor.external_data[:]
