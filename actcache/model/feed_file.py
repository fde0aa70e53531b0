"""Inputs of one call in a file: ``.npz``, as :func:`numpy.savez` writes it, for inputs of any names.

``numpy.savez`` takes names as keyword arguments and has some of its own (``file``, ``allow_pickle``); ``numpy.load``
takes ``x.npy`` for ``x``. So the archive is written and read here, entry by entry.

What is no tensor is several entries: of a sequence ``name`` ``name[0]``, ``name[1]``, ...; of a map ``name{keys}`` and
``name{values}``. A scalar ``name[]`` is 0 for an empty sequence and -1 for an optional input that is not given.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from actcache.errors import InvalidSamples

if TYPE_CHECKING:
    from actcache.model.model_inputs import Feed, ModelInput

#: How a user writes such a file.
HINT = "save one with actcache.save_sample(FILE, {name: array for every input}), or numpy.savez(FILE, name=array, ...)"
_SUFFIX = ".npy"
#: Bytes of a name; an archive's entry takes 65,535.
_LONGEST_NAME = 65_000


def save_sample(path: str | PathLike[str], feed: Mapping[str, Any]) -> Path:
    """Write the inputs of one call so that ``actcache-compile --sample``, ``--trace`` and ``numpy.load`` read them.

    Args:
        path: The file.
        feed: What onnxruntime takes: input name to array; to a list of arrays for a sequence, a dict for a map, None
            for an optional input that is not given. Strings are stored as numpy's fixed-width unicode.

    Returns:
        `path`.

    Raises:
        OSError: The file cannot be written.
        InvalidSamples: A name is too long for it, or two inputs would have one.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, value in _entries(feed):
            if name + _SUFFIX in archive.NameToInfo:
                raise InvalidSamples(
                    "two parts of the inputs have this name", node=f"'{name}'", hint="rename one of the model's inputs"
                )
            if len(name.encode()) > _LONGEST_NAME:
                raise InvalidSamples(
                    "this name is too long for an .npz file", node=f"'{name[:40]}...'", hint="rename the model's input"
                )
            stored = value.astype(np.str_) if value.dtype.kind == "O" else value
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, stored, allow_pickle=False)
    return Path(path)


def read_entries(path: str | PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of an ``.npz`` file by their names; strings come back as ``object`` arrays.

    Raises:
        InvalidSamples: The file cannot be read, is no ``.npz`` file, is damaged, or holds Python objects.
    """
    file = fspath(path)
    try:
        with open(path, "rb") as opened:
            if opened.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
                raise InvalidSamples("this is a single array, not an .npz file with names", file=file, hint=HINT)
            with zipfile.ZipFile(opened) as archive:
                return {entry.filename.removesuffix(_SUFFIX): _read(archive, entry) for entry in archive.infolist()}
    except _PythonObjects as error:
        hint = "store strings with array.astype(numpy.str_)"
        raise InvalidSamples(
            "Python objects are not read from samples", file=file, node=str(error), hint=hint
        ) from None
    except InvalidSamples:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidSamples(f"the sample cannot be read: {reason}", file=file, hint=HINT) from error
    except Exception as error:  # numpy and zipfile raise half a dozen unrelated types on a broken file
        raise InvalidSamples("this is not an .npz file, or it is damaged", file=file, hint=HINT) from error


def grouped(entries: Mapping[str, npt.NDArray[Any]], inputs: Collection[ModelInput]) -> Feed:
    """Put the entries of sequences, maps and absent optional inputs together; the others stay as they are.

    Args:
        entries: What a file holds.
        inputs: The model's inputs: they tell which entry is part of what.
    """
    left: Feed = dict(entries)
    feed: Feed = {}
    for given in inputs:
        if given.name in left:
            feed[given.name] = left.pop(given.name)
    for given in inputs:
        name = given.name
        mark = left.pop(f"{name}[]", None) if given.nullable or given.kind == "sequence" else None
        if mark is not None and given.nullable and mark == -1:
            feed[name] = None
        elif given.kind == "sequence":
            count = 0
            while f"{name}[{count}]" in left:
                count += 1
            if count or mark is not None:
                feed[name] = [left.pop(f"{name}[{number}]") for number in range(count)]
        elif given.kind == "map" and {f"{name}{{keys}}", f"{name}{{values}}"} <= left.keys():
            keys, values = left.pop(f"{name}{{keys}}"), left.pop(f"{name}{{values}}")
            feed[name] = dict(zip(keys.tolist(), values.tolist(), strict=True))
    return {**feed, **left}


def read_feed(path: str | PathLike[str], inputs: Collection[ModelInput]) -> Feed:
    """Read the inputs of one call; they are not checked (:func:`actcache.model.samples.load_sample`).

    Raises:
        InvalidSamples: As :func:`read_entries`.
    """
    return grouped(read_entries(path), inputs)


def can_be_saved(value: Any) -> bool:
    """Whether a file can hold what was fed for one input: not so a value in a device's memory."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return value is None or isinstance(value, dict) or all(isinstance(part, np.ndarray) for part in parts)


def arrays_of(value: Any) -> list[npt.NDArray[Any]]:
    """Return the arrays that a value of one input is made of."""
    return [array for _, array in _parts("", value)]


def _entries(feed: Mapping[str, Any]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, value in feed.items():
        yield from _parts(name, value)


def _parts(name: str, value: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if value is None:
        yield f"{name}[]", np.array(-1)
    elif isinstance(value, dict):
        yield f"{name}{{keys}}", np.asarray(list(value))
        yield f"{name}{{values}}", np.asarray(list(value.values()))
    elif isinstance(value, (list, tuple)):
        if not value:
            yield f"{name}[]", np.array(0)
        for number, part in enumerate(value):
            yield f"{name}[{number}]", np.asanyarray(part)
    else:
        yield name, np.asanyarray(value)


class _PythonObjects(Exception):
    """An entry holds objects; says which."""


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(entry) as file:
        try:
            array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            if "pickle" not in str(error):
                raise
            raise _PythonObjects(f"'{entry.filename.removesuffix(_SUFFIX)}'") from error
    return array.astype(object) if array.dtype.kind == "U" else array
