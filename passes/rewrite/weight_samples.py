"""Samples of weights that a branch computes anew, for sessions that replace the original.

onnxruntime computes ``w@<region>`` from the weight that the model file has (:mod:`actcache.passes.rewrite.placement`).
``SessionOptions.add_initializer`` replaces ``w`` after that, so that a branch could go on with values that the session
does not have. So onnxruntime takes a few elements of it at the same time, and ``CacheStore`` compares them with those
of what the session has for ``w`` (custom_ops/src/ops/weight_sample.h)::

    w@<region> ─► Slice: one element of each w[i] ─► CacheStore

Its attribute ``samples`` says where they are, and what the weight was when it was compiled: a digest of all of it, and
one of these elements. One node is the price of it; whoever replaces nothing is told by the digest.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from actcache.base.library import library
from actcache.passes.graph.nodes import element_bits, tensor_bytes
from actcache.passes.graph.tensor_data import external_data, is_external, stored_bytes

_T = onnx.TensorProto
_TYPES = frozenset({_T.FLOAT, _T.DOUBLE, _T.FLOAT16, _T.BFLOAT16, _T.INT8, _T.UINT8, _T.INT16, _T.UINT16, _T.INT32})
#: From this version on, Reshape takes a shape as its input.
_LEAST_OPSET = 5
#: From this version on, Slice has its bounds as inputs.
_BOUNDS_ARE_INPUTS = 10
#: How many numbers a digest is.
DIGEST_NUMBERS = 4
#: How many numbers :func:`sample_numbers` gives.
SAMPLE_NUMBERS = 2 + 2 * DIGEST_NUMBERS
#: Most elements of a sample.
_MOST = 1024


@dataclass(frozen=True)
class Sample:
    """Which elements are taken: on each axis a piece, of one element on all axes but the first."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @staticmethod
    def of(dims: Sequence[int]) -> Sample:
        """Return the sample of a weight of these sizes."""
        rows = min(dims[0], _MOST)
        begins = ((dims[0] - rows) // 2, *(size // 2 for size in dims[1:]))
        return Sample(begins, (begins[0] + rows, *(begin + 1 for begin in begins[1:])))

    def elements(self, dims: Sequence[int]) -> slice:
        """Return which of all elements of the weight in row-major order they are."""
        stride = math.prod(dims[1:])
        first = int(np.ravel_multi_index(self.begins, tuple(dims)))
        return slice(first, first + (self.ends[0] - self.begins[0] - 1) * stride + 1, stride)


def can_be_sampled(tensor: onnx.TensorProto, opset: int) -> bool:
    """Return whether onnxruntime takes samples of tensors of this type and shape, by operators of that version."""
    return opset >= _LEAST_OPSET and tensor.data_type in _TYPES and len(tensor.dims) > 0 and 0 not in tensor.dims


def sample_name(name: str, mark: str) -> str:
    """Return how the sample of a weight is called in the branch of the region with the suffix `mark`."""
    return f"{name}{mark}.sample"


def is_of_sample(name: str, mark: str) -> bool:
    """Return whether a tensor of a branch is a sample."""
    return name.endswith(f"{mark}.sample")


def sample_node(tensor: onnx.TensorProto, mark: str, opset: int) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """Return what takes the sample of the weight that a branch has under its name with `mark` appended.

    Args:
        tensor: The original, which can be sampled. Its values do not matter.
        mark: What the region's names are marked with.
        opset: The version of the ONNX operators in the model.
    """
    name, source = sample_name(tensor.name, mark), tensor.name + mark
    sample = Sample.of(tensor.dims)
    bounds = {"starts": sample.begins, "ends": sample.ends}
    if opset < _BOUNDS_ARE_INPUTS:
        node = onnx.helper.make_node("Slice", [source], [name], name)
        node.attribute.extend(onnx.helper.make_attribute(what, values) for what, values in bounds.items())
        return node, []
    constants = [
        onnx.helper.make_tensor(f"{name}.{what}", _T.INT64, [len(values)], values) for what, values in bounds.items()
    ]
    return onnx.helper.make_node("Slice", [source, *(c.name for c in constants)], [name], name), constants


def sample_numbers(tensor: onnx.TensorProto, weight_file: Path | None) -> list[int]:
    """Return first element and stride of a weight's sample, and its two digests, of four numbers each.

    Args:
        tensor: A weight that can be sampled.
        weight_file: Where its data is, if it is not stored in the model.
    """
    dims = tuple(tensor.dims)
    values = _elements(tensor, weight_file)
    places = Sample.of(dims).elements(dims)
    sample = np.ascontiguousarray(values[places])
    digests = _digest(tensor.data_type, dims, values) + _digest(tensor.data_type, (len(sample),), sample)
    return [places.start, places.step, *np.frombuffer(digests, "<i8").tolist()]


def digest_numbers(tensor: onnx.TensorProto, weight_file: Path | None) -> list[int]:
    """Return the digest of a constant, as four numbers.

    Args:
        tensor: Of elements of a byte or more, but no strings.
        weight_file: Where its data is, if it is not stored in the model.
    """
    digest = _digest(tensor.data_type, tuple(tensor.dims), _elements(tensor, weight_file))
    return [int(number) for number in np.frombuffer(digest, "<i8")]


def _elements(tensor: onnx.TensorProto, weight_file: Path | None) -> npt.NDArray[Any]:
    """Return the elements in row-major order, each as bytes."""
    data: npt.NDArray[np.uint8]
    if is_external(tensor):
        assert weight_file is not None
        where = external_data(tensor)
        data = np.memmap(weight_file.parent / where.location, np.uint8, "r", where.offset, (tensor_bytes(tensor),))
    else:
        data = np.frombuffer(stored_bytes(tensor), np.uint8)
    return data.reshape(-1, element_bits(tensor.data_type) // 8)


def _digest(data_type: int, dims: Sequence[int], values: npt.NDArray[Any]) -> bytes:
    sizes = (ctypes.c_int64 * len(dims))(*dims)
    digest = ctypes.create_string_buffer(32)
    function = library().handle.actcache_tensor_digest
    if function(data_type, sizes, len(dims), values.ctypes.data, values.nbytes, digest) != 0:
        raise MemoryError
    return digest.raw
