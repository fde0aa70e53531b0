"""Sample inputs that a user gives: read from ``.npz`` files and checked against the model.

Samples are what the compiler measures costs with and verifies the result on. Without any,
:func:`actcache.model.synthetic_samples.make_samples` makes some up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.errors import InvalidSamples
from actcache.model.feed_file import read_feed, save_sample
from actcache.model.model_inputs import Feed, ModelInput, Shape, model_inputs
from actcache.model.synthetic_samples import make_samples

__all__ = ["Feed", "ModelInput", "check_sample", "load_sample", "make_samples", "model_inputs", "save_sample"]


def load_sample(path: str | PathLike[str], inputs: Sequence[ModelInput]) -> Feed:
    """Read one set of inputs from an ``.npz`` file (:func:`save_sample`, ``numpy.savez``), an array per input.

    Strings are stored as numpy's fixed-width unicode and come back as ``object`` arrays.

    Args:
        path: The file.
        inputs: The model's inputs (:func:`model_inputs`).

    Raises:
        InvalidSamples: The file cannot be read, or does not fit the model; names the file and the tensor.
    """
    return check_sample(read_feed(path, inputs), inputs, fspath(path))


def check_sample(arrays: Mapping[str, Any], inputs: Sequence[ModelInput], source: str) -> Feed:
    """Check one set of inputs against the model and return it as onnxruntime takes it.

    Args:
        arrays: Input name to array; to a list of arrays for a sequence, a dict for a map, None for an optional input
            that is not given.
        inputs: The model's inputs.
        source: What messages call the sample: its file, or ``samples[0]``.

    Raises:
        InvalidSamples: A name, type, rank or fixed size does not fit; names the source and the tensor.
    """
    known = {given.name: given for given in inputs}
    wanted = ", ".join(f"{given.name} ({given})" for given in inputs)
    for name in arrays:
        if name not in known:
            raise InvalidSamples(
                "the model has no such input", file=source, node=f"'{name}'", hint=f"its inputs are {wanted}"
            )
    for given in inputs:
        if given.name not in arrays and not given.optional:
            raise InvalidSamples(
                "this input is missing", file=source, node=f"'{given.name}'", hint=f"the model takes {wanted}"
            )
    return {name: _check_value(array, known[name], source) for name, array in arrays.items()}


def _check_value(value: Any, wanted: ModelInput, source: str) -> Any:
    if value is None and wanted.nullable:
        return None
    if wanted.kind == "tensor":
        return _check_array(np.asarray(value), wanted, source)
    fits = isinstance(value, dict) if wanted.kind == "map" else isinstance(value, (list, tuple, np.ndarray))
    if not fits:
        form = "{key: number, ...}" if wanted.kind == "map" else "[array, ...]"
        hint = f"give {form} to actcache.save_sample, or in Python"
        raise InvalidSamples(f"the model takes {wanted} here", file=source, node=f"'{wanted.name}'", hint=hint)
    if wanted.kind == "map":
        return dict(value)
    return [_check_array(np.asarray(part), wanted, source) for part in value]


def _check_array(array: npt.NDArray[np.generic], wanted: ModelInput, source: str) -> npt.NDArray[np.generic]:
    node = f"'{wanted.name}'"
    if not wanted.feedable:
        raise InvalidSamples(
            f"onnxruntime's Python API cannot feed this input ({wanted.type_name})", file=source, node=node
        )
    if wanted.dtype.kind == "O" and array.dtype.kind in "UT":
        array = array.astype(object)
    if array.dtype != wanted.dtype:
        raise InvalidSamples(
            f"the sample holds {array.dtype}, the model takes {wanted.type_name}",
            file=source,
            node=node,
            hint=f"convert it with array.astype('{wanted.dtype if wanted.dtype.kind != 'O' else 'str'}')",
        )
    if wanted.shape is not None and not _fits(array.shape, wanted.shape):
        raise InvalidSamples(
            f"the sample has shape {list(array.shape)}, the model takes {wanted}", file=source, node=node
        )
    return array


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    if len(shape) != len(wanted):
        return False
    return all(not isinstance(size, int) or size == found for found, size in zip(shape, wanted, strict=True))
