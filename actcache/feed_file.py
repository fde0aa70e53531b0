"""Inputs of one call in a file: ``.npz``, as :func:`numpy.savez` writes it, for inputs of any names.

``numpy.savez`` takes names as keyword arguments and has some of its own (``file``, ``allow_pickle``); ``numpy.load``
takes ``x.npy`` for ``x``. So the archive is written and read here, entry by entry.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actcache.errors import InvalidSamples

#: How a user writes such a file.
HINT = "save one with actcache.save_sample(FILE, {name: array for every input}), or numpy.savez(FILE, name=array, ...)"
_SUFFIX = ".npy"
#: Bytes of a name; an archive's entry takes 65,535.
_LONGEST_NAME = 65_000


def save_sample(path: str | PathLike[str], feed: Mapping[str, Any]) -> Path:
    """Write the inputs of one call so that ``actcache-compile --sample``, ``--trace`` and ``numpy.load`` read them.

    Args:
        path: The file.
        feed: Input name to array, as onnxruntime takes it. Strings are stored as numpy's fixed-width unicode.

    Returns:
        `path`.

    Raises:
        OSError: The file cannot be written.
        InvalidSamples: A name is too long for it.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, value in feed.items():
            if len(name.encode()) > _LONGEST_NAME:
                raise InvalidSamples("this name is too long for an .npz file", node=f"'{name[:40]}...'")
            array = np.asanyarray(value)
            stored = array.astype(np.str_) if array.dtype.kind == "O" else array
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
